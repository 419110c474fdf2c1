//! `flatbao copy`

use std::{ops::ControlFlow, path::Path};

use flatbao_core::{
    BlobFormat, Hash, HashAndFormat, Tag,
    progress::Watch,
    store::{Copied, State, Status, copy},
};

use crate::{
    args::{Copy, Global},
    collection,
    commands::tag,
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, Tally, count, exact, printable, size},
    platform,
    reference::{self, Resolved},
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Copy, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let named = args.tag.as_deref().map(tag::new_name).transpose()?;
    let from = store::to_read(global, out)?;
    let found = reference::resolve(&from, &args.reference)?;
    let value = meant(&from, &found)?;
    check_place(global, &args.to)?;
    let to = store::other_to_fill(global, &args.to, out)?;
    let mut tagging = Tagging::decide(&to, args, named, &found, value)?;
    out.meter.start("copying, bytes", None);
    let mut watch = out.meter.watch();
    let itself = HashAndFormat::raw(value.hash);
    let mut copied = copy_tagged(&from, &to, itself, &mut tagging, value, &mut watch)?;
    if value.format == BlobFormat::HashSeq && is_whole(&to, value.hash) {
        // It came first, since it keeps what it lists, of which a part may come before an interruption.
        let list = std::mem::replace(&mut copied, copy(&from, &to, value, &mut watch)?);
        copied.known -= 1 - list.known;
        copied.bytes += list.bytes;
    }
    out.meter.stop();
    let tag = tagging.settle(&to, value, &copied)?;
    tell(args, &to, value, copied, tag.as_ref(), out)
}

/// Two stores that are one, or one in the other, are a mistake.
fn check_place(global: &Global, to: &Path) -> Result<()> {
    let here = store::directory(global)?;
    let (_, there) = platform::settle(to)?;
    if there == here {
        return Err(CliError::usage(
            "the two stores are one",
            "name another store with --to",
        ));
    }
    match store::is_inside(&there, &here) {
        true => Err(Box::new(CliError::InsideStore {
            path: printable(to),
        })),
        false => Ok(()),
    }
}

/// Copies one blob, which is tagged as soon as something of it is there.
fn copy_tagged(
    from: &Store,
    to: &Store,
    itself: HashAndFormat,
    tagging: &mut Tagging,
    value: HashAndFormat,
    watch: &mut Watch<'_>,
) -> Result<Copied> {
    let mut failed = None;
    let copied = copy(from, to, itself, &mut |step| {
        let flow = watch(step);
        if to.status(value.hash) == Status::Missing {
            return flow;
        }
        match tagging.begin(to, itself) {
            Ok(()) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let copied = copied?;
    if value.format == BlobFormat::HashSeq && is_whole(to, value.hash) {
        tagging.promote(to, value)?;
    }
    Ok(copied)
}

fn is_whole(store: &Store, hash: Hash) -> bool {
    store::is_in_state(store, hash, State::Complete)
}

/// What the blob means: of one that is there in part only its name says so.
fn meant(from: &Store, found: &Resolved) -> Result<HashAndFormat> {
    let hash = found.hash;
    let format = match store::is_in_state(from, hash, State::Partial) {
        true => BlobFormat::Raw,
        false => collection::format(from, found)?,
    };
    Ok(HashAndFormat { hash, format })
}

/// How it is kept there: from the beginning on, so that nothing that came is collected when it is interrupted.
struct Tagging {
    /// What it gets in the end.
    wanted: Wanted,
    /// What it has until then.
    early: Option<Tag>,
}

enum Wanted {
    Named(Tag),
    /// A tag that names another blob, and is not moved before all of this one is there.
    Moved(Tag),
    Automatic,
    Nothing,
}

impl Tagging {
    /// Decided before anything moves. A tag that nobody named takes no other one's place.
    fn decide(
        to: &Store,
        args: &Copy,
        named: Option<Tag>,
        found: &Resolved,
        value: HashAndFormat,
    ) -> Result<Self> {
        let early = None;
        if args.no_tag {
            let wanted = Wanted::Nothing;
            return Ok(Self { wanted, early });
        }
        let tags = to.tags()?;
        let other = |tag: &Tag| tags.get(tag).filter(|other| other.hash != value.hash);
        let wanted = match (named, &found.tag) {
            (Some(tag), _) if other(&tag).is_some() => Wanted::Moved(tag),
            (Some(tag), _) => Wanted::Named(tag),
            (None, Some(tag)) => match other(tag) {
                Some(other) => {
                    return Err(CliError::usage(
                        format!("the tag {tag} names another blob there, {}", other.hash),
                        format!("choose with --tag: --tag {tag} replaces it"),
                    ));
                }
                None => Wanted::Named(tag.clone()),
            },
            (None, None) if tags.values().any(|other| other.hash == value.hash) => Wanted::Nothing,
            (None, None) => Wanted::Automatic,
        };
        Ok(Self { wanted, early })
    }

    /// Tags what has come so far.
    fn begin(&mut self, to: &Store, value: HashAndFormat) -> Result<()> {
        if self.early.is_some() {
            return Ok(());
        }
        self.early = match &self.wanted {
            Wanted::Nothing => None,
            Wanted::Named(tag) => Some(set(to, tag, value)?),
            Wanted::Moved(_) | Wanted::Automatic => Some(to.auto_tag(value)?),
        };
        Ok(())
    }

    /// Says what it is, once it can be read.
    fn promote(&mut self, to: &Store, value: HashAndFormat) -> Result<()> {
        match &self.early {
            Some(tag) => to.set_tag(tag.clone(), value)?,
            None => self.begin(to, value)?,
        }
        Ok(())
    }

    /// The tag that it has in the end. What is not there as a whole is kept as raw bytes: a hash sequence that cannot
    /// be read would stop every collection.
    fn settle(
        mut self,
        to: &Store,
        mut value: HashAndFormat,
        copied: &Copied,
    ) -> Result<Option<Tag>> {
        if to.status(value.hash) == Status::Missing {
            return Ok(None);
        }
        if !is_whole(to, value.hash) {
            value.format = BlobFormat::Raw;
        }
        self.begin(to, value)?;
        match self.wanted {
            Wanted::Moved(tag) if copied.incomplete.is_empty() => {
                let tag = set(to, &tag, value)?;
                if let Some(early) = self.early {
                    to.remove_tag(&early)?;
                }
                Ok(Some(tag))
            }
            _ => Ok(self.early),
        }
    }
}

/// A tag that says of this blob that it is a hash sequence goes on to say so: it keeps what the blob lists.
fn set(to: &Store, tag: &Tag, value: HashAndFormat) -> Result<Tag> {
    let known = to.tags()?.get(tag).copied();
    let says_more =
        known.is_some_and(|known| known.hash == value.hash && known.format == BlobFormat::HashSeq);
    if !says_more {
        to.set_tag(tag.clone(), value)?;
    }
    Ok(tag.clone())
}

fn tell(
    args: &Copy,
    to: &Store,
    value: HashAndFormat,
    copied: Copied,
    tag: Option<&Tag>,
    out: &Out,
) -> Result<Exit> {
    let mut tally = Tally::default();
    let incomplete: Vec<String> = copied
        .incomplete
        .iter()
        .map(|(hash, _)| hash.to_string())
        .collect();
    if (incomplete.len() as u64) < copied.blobs || copied.bytes > 0 {
        // A part of something is something.
        tally.done();
    }
    for (_, error) in copied.incomplete {
        tally.skipped(out, &error.into());
    }
    let (hash, left) = (value.hash, incomplete.len());
    if to.status(hash) == Status::Missing {
        // There is nothing to tell but why.
        return Ok(tally.exit());
    }
    out.result_or(
        hash,
        || {
            let mut object = json!({
                "hash": hash.to_string(),
                "format": value.format.to_string(),
                "to": exact(&args.to),
                "blobs": copied.blobs,
                "known": copied.known,
                "bytes": copied.bytes,
                "incomplete": incomplete.into_iter().collect::<Value>(),
            });
            if let Some(tag) = tag {
                object.set("tag", tag::exact(tag).into());
            }
            object
        },
        || {
            let rest = match left {
                0 => String::new(),
                some => format!(", {some} not whole"),
            };
            let tag = tag.map(|tag| format!(", tag {tag}")).unwrap_or_default();
            format!(
                "{hash}  {}  {}, {} already there{rest}, {} moved{tag}",
                printable(&args.to),
                count(copied.blobs, "blob"),
                copied.known,
                size(copied.bytes),
            )
        },
    )?;
    Ok(tally.exit())
}
