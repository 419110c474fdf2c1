//! `flatbao copy`

use flatbao_core::{
    BlobFormat, HashAndFormat, Tag,
    store::{Copied, State, Status, copy},
};
use serde_json::json;

use crate::{
    args::{Copy, Global},
    collection,
    commands::tag,
    error::{CliError, Exit, Result},
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
    let here = store::directory(global)?;
    if platform::canonical(&args.to).is_ok_and(|there| there == here) {
        return Err(CliError::usage(
            "the two stores are one",
            "name another store with --to",
        ));
    }
    let to = store::other_to_fill(global, &args.to, out)?;
    let tagging = tagging(&to, args, named, &found, value)?;
    out.meter.start("copying, bytes", None);
    let copied = copy(&from, &to, value, &mut out.meter.watch());
    out.meter.stop();
    let copied = copied?;
    let tag = tag_it(&to, tagging, value, &copied)?;
    tell(args, value, copied, tag.as_ref(), out)
}

/// What the blob means: of one that is there in part only its name says so.
fn meant(from: &Store, found: &Resolved) -> Result<HashAndFormat> {
    let hash = found.hash;
    let is_partial =
        matches!(from.status(hash), Status::Present(blob) if blob.state == State::Partial);
    let format = match is_partial {
        true => BlobFormat::Raw,
        false => collection::format(from, found)?,
    };
    Ok(HashAndFormat { hash, format })
}

enum Tagging {
    Named(Tag),
    Automatic,
    None,
}

/// Decided before anything moves. A tag that nobody named takes no other one's place.
fn tagging(
    to: &Store,
    args: &Copy,
    named: Option<Tag>,
    found: &Resolved,
    value: HashAndFormat,
) -> Result<Tagging> {
    if args.no_tag {
        return Ok(Tagging::None);
    }
    let tags = to.tags()?;
    match (named, &found.tag) {
        (Some(tag), _) => Ok(Tagging::Named(tag)),
        (None, Some(tag)) => match tags.get(tag) {
            Some(other) if other.hash != value.hash => Err(CliError::usage(
                format!("the tag {tag} names another blob there, {}", other.hash),
                format!("choose with --tag: --tag {tag} replaces it"),
            )),
            _ => Ok(Tagging::Named(tag.clone())),
        },
        (None, None) if tags.values().any(|other| *other == value) => Ok(Tagging::None),
        (None, None) => Ok(Tagging::Automatic),
    }
}

/// What is not there as a whole is kept as raw bytes: a hash sequence that cannot be read would stop every
/// collection.
fn tag_it(
    to: &Store,
    tagging: Tagging,
    mut value: HashAndFormat,
    copied: &Copied,
) -> Result<Option<Tag>> {
    if to.status(value.hash) == Status::Missing {
        return Ok(None);
    }
    if copied
        .incomplete
        .iter()
        .any(|(hash, _)| *hash == value.hash)
    {
        value.format = BlobFormat::Raw;
    }
    match tagging {
        Tagging::None => Ok(None),
        Tagging::Automatic => Ok(Some(to.auto_tag(value)?)),
        Tagging::Named(tag) => {
            to.set_tag(tag.clone(), value)?;
            Ok(Some(tag))
        }
    }
}

fn tell(
    args: &Copy,
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
    for _ in incomplete.len() as u64..copied.blobs {
        tally.done();
    }
    for (_, error) in copied.incomplete {
        tally.skipped(out, &error.into());
    }
    let (hash, left) = (value.hash, incomplete.len());
    if left as u64 == copied.blobs && copied.bytes == 0 {
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
                "incomplete": incomplete,
            });
            if let Some(tag) = tag {
                object["tag"] = tag::exact(tag).into();
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
