//! `flatbao receive`

use std::{ffi::OsStr, fs::File, io, io::Read, ops::ControlFlow, path::Path};

use flatbao_core::{
    BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, StreamError, Tag, TagMap,
    store::{Available, ReceiveOptions, Received, State, Status},
};

use crate::{
    args::{Global, Receive},
    commands::{ls::percent, tag},
    error::{CliError, Exit, Result},
    json::{self, Value, json},
    output::{Out, size},
    platform,
    range::{ByteRanges, chunks_or_all},
    reference,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Receive, out: &mut Out) -> Result<Exit> {
    if args.missing {
        return missing(global, args, out);
    }
    out.finish_unread();
    let tag = args.tag.as_deref().map(tag::new_name).transpose()?;
    // So that a mistyped path makes no store, nor a name of something that is not there.
    let mut stream = Stream::open(&args.file)?;
    let store = match reference::full_hash(&args.reference) {
        Some(_) => store::to_fill(global, "receive", out)?,
        None => store::to_write(global, "receive", out)?,
    };
    let hash = blob(&store, &args.reference)?;
    let mut tagging = Tagging {
        store: &store,
        hash,
        format: args.format.map(BlobFormat::from),
        named: tag,
        is_wanted: !args.no_tag,
        early: None,
        is_begun: false,
    };
    let (received, failed) = receive(&mut tagging, args, &mut stream, out)?;
    out.meter.stop();
    let tag = tagging.settle(&received)?;
    let report = Report {
        received: &received,
        tag: tag.as_ref(),
    };
    if failed.is_none() || report.state() != MISSING {
        out.result_or(hash, || report.object(), || report.line())?;
    }
    if matches!(store.status(hash), Status::Present(info) if info.damaged) {
        out.warn(format_args!(
            "{hash} has damage beside which the right bytes are kept: `flatbao repair {hash}` puts them in place"
        ));
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

/// Prints what is missing.
fn missing(global: &Global, args: &Receive, out: &mut Out) -> Result<Exit> {
    let store = match store::to_read(global, out) {
        Ok(store) => store,
        // Of a full hash everything is missing where there is no store.
        Err(error) if matches!(*error, CliError::NoStore { .. }) => {
            let hash = reference::full_hash(&args.reference).ok_or(error)?;
            return told(hash, &Available::default(), out);
        }
        Err(error) => return Err(error),
    };
    let hash = blob(&store, &args.reference)?;
    out.meter.start("looking at what is there, bytes", None);
    let found = store.available_with(hash, &mut out.meter.watch())?;
    out.meter.stop();
    let is_partial = || store::is_in_state(&store, hash, State::Partial);
    if found.is_whole() && is_partial() && !out.is_json() {
        out.hint(&format!(
            "all of it is there: `flatbao receive {hash}` completes it"
        ));
    }
    told(hash, &found, out)
}

fn told(hash: Hash, found: &Available, out: &Out) -> Result<Exit> {
    let ranges = bytes_of(&found.missing(), found.size);
    let shown = ranges.to_string();
    if out.is_json() || !shown.is_empty() {
        out.result(
            || json!({"hash": hash.to_string(), "missing": exact(&ranges)}),
            || shown,
        )?;
    }
    Ok(Exit::Done)
}

/// What is missing of a blob, in bytes: those of its last chunk end where it does. Where it goes on for ever the
/// size is only claimed.
fn bytes_of(missing: &ChunkRanges, size: u64) -> ByteRanges {
    let is_proved = missing.boundaries().len().is_multiple_of(2);
    ByteRanges::of(missing, is_proved.then_some(size))
}

fn exact(ranges: &ByteRanges) -> Value {
    let pairs = ranges
        .iter()
        .map(|range| json::pair(range.start, range.end));
    pairs.collect()
}

/// A hash that is not there yet names a blob as well.
fn blob(store: &Store, text: &OsStr) -> Result<Hash> {
    match reference::full_hash(text) {
        Some(hash) => Ok(hash),
        None => Ok(reference::resolve(store, text)?.hash),
    }
}

/// What came, and why no more of it.
fn receive(
    tagging: &mut Tagging<'_>,
    args: &Receive,
    stream: &mut Stream,
    out: &mut Out,
) -> Result<(Received, Option<Box<CliError>>)> {
    let ranges = chunks_or_all(args.range.as_ref());
    let options = ReceiveOptions::default()
        .format(tagging.format.unwrap_or_default())
        .to_end(true);
    out.meter.start("receiving", Some(0));
    let (store, hash) = (tagging.store, tagging.hash);
    let mut shown = out.meter.watch();
    let mut partial = store.partial_blob_with(hash, options, &mut shown)?;
    if !partial.available().groups.is_empty() && partial.is_whole() {
        // It was only not completed.
        return Ok((partial.finish()?, None));
    }
    let mut untagged = None;
    let mut watch = |step| {
        let flow = shown(step);
        match tagging.begin() {
            Ok(()) => flow,
            Err(error) => {
                untagged = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = partial.receive(&ranges, &mut *stream, &mut watch);
    let received = partial.finish()?;
    let failed = match (untagged, outcome) {
        (Some(error), _) => Some(error),
        (None, Err(Error::Source(source))) => Some(stream.failed(source)),
        (
            None,
            Err(Error::Stream {
                source: StreamError::Truncated { .. },
                ..
            }),
        ) if received.is_complete => None,
        (None, Err(error)) => Some(error.into()),
        (None, Ok(())) => None,
    };
    Ok((received, failed))
}

/// How the blob is kept: from its first group on, so that nothing that came is collected when it breaks off.
struct Tagging<'a> {
    store: &'a Store,
    hash: Hash,
    format: Option<BlobFormat>,
    named: Option<Tag>,
    is_wanted: bool,
    /// What was set before the blob was whole, and whether it is not the one that it should get.
    early: Option<(Tag, bool)>,
    is_begun: bool,
}

impl Tagging<'_> {
    /// Tags a part of the blob as raw bytes: a hash sequence that cannot be read would stop every collection. A tag
    /// of something else is not moved before all of it is there.
    fn begin(&mut self) -> Result<()> {
        let is_there = || self.store.status(self.hash) != Status::Missing;
        if !self.is_wanted || self.is_begun || !is_there() {
            return Ok(());
        }
        self.is_begun = true;
        let value = HashAndFormat::raw(self.hash);
        let tags = self.store.tags()?;
        let known = |tag: &Tag| tags.get(tag).map(|value| value.hash);
        match &self.named {
            Some(tag) if known(tag) == Some(self.hash) => {
                self.early = Some((tag.clone(), false));
            }
            Some(tag) if known(tag).is_none() => {
                self.store.set_tag(tag.clone(), value)?;
                self.early = Some((tag.clone(), false));
            }
            None if own_any(&tags, self.hash) => {}
            _ => {
                let is_other = self.named.is_some();
                self.early = Some((self.store.auto_tag(value)?, is_other));
            }
        }
        Ok(())
    }

    /// The tag that the blob has in the end, if one was set.
    fn settle(mut self, received: &Received) -> Result<Option<Tag>> {
        if !received.is_complete {
            if received.verified > 0 {
                self.begin()?;
            }
            return Ok(self.early.map(|(tag, _)| tag));
        }
        if !self.is_wanted {
            return Ok(None);
        }
        let (store, hash) = (self.store, self.hash);
        let tags = store.tags()?;
        let own = tags.iter().filter(|(_, value)| value.hash == hash);
        let mut own = own.map(|(tag, value)| (tag.clone(), value.format));
        let format = match self.format {
            Some(format) => format,
            // It keeps what it is said to be.
            None if own.clone().any(|(_, format)| format == BlobFormat::HashSeq) => {
                BlobFormat::HashSeq
            }
            None => BlobFormat::Raw,
        };
        if format == BlobFormat::HashSeq {
            // One that cannot be read would keep every collection from doing anything.
            store.sequence(hash)?;
        }
        let value = HashAndFormat { hash, format };
        let tag = match (self.named, self.early) {
            (Some(tag), early) => {
                store.set_tag(tag.clone(), value)?;
                if let Some((other, true)) = early {
                    store.remove_tag(&other)?;
                }
                tag
            }
            (None, Some((tag, _))) => {
                store.set_tag(tag.clone(), value)?;
                tag
            }
            (None, None) => match own.find(|(_, known)| *known != format) {
                Some((tag, _)) if self.format.is_some() => {
                    store.set_tag(tag.clone(), value)?;
                    tag
                }
                Some(_) => return Ok(None),
                None if own_any(&tags, hash) => return Ok(None),
                None => store.auto_tag(value)?,
            },
        };
        Ok(Some(tag))
    }
}

fn own_any(tags: &TagMap, hash: Hash) -> bool {
    tags.values().any(|value| value.hash == hash)
}

/// The state of a blob of which nothing is there.
const MISSING: &str = "missing";

/// What came of it.
struct Report<'a> {
    received: &'a Received,
    tag: Option<&'a Tag>,
}

impl Report<'_> {
    fn state(&self) -> &'static str {
        match self.received {
            received if received.is_complete => "complete",
            received if received.verified > 0 => "partial",
            _ => MISSING,
        }
    }

    fn missing(&self) -> ByteRanges {
        bytes_of(&self.received.missing, self.received.size)
    }

    fn object(&self) -> Value {
        let received = self.received;
        let mut object = json!({
            "hash": received.hash.to_string(),
            "size": received.size,
            "state": self.state(),
            "new_bytes": received.new,
            "verified": received.verified,
            "missing": exact(&self.missing()),
        });
        if let Some(tag) = self.tag {
            object.set("tag", tag::exact(tag).into());
        }
        object
    }

    fn line(&self) -> String {
        let received = self.received;
        let (hash, state) = (received.hash, self.state());
        let (there, all, new) = (
            size(received.verified),
            size(received.size),
            size(received.new),
        );
        let mut line = if received.is_complete {
            format!("{hash}  {state}  {all} ({new} new)")
        } else if received.verified > 0 {
            let percent = percent(received.verified, received.size);
            let missing = self.missing();
            format!("{hash}  {state}  {there} of {all}, {percent}% ({new} new), missing {missing}")
        } else {
            format!("{hash}  {state}")
        };
        if let Some(tag) = self.tag {
            line.push_str(&format!(", tag {tag}"));
        }
        line
    }
}

/// Where the bytes come from.
enum Stream {
    Stdin,
    File(File, String),
}

impl Stream {
    fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdin);
        }
        let file = platform::open_readable(path)?;
        Ok(Self::File(file, crate::output::printable(path)))
    }

    fn failed(&self, source: io::Error) -> Box<CliError> {
        let path = match self {
            Self::Stdin => "-".to_owned(),
            Self::File(_, path) => path.clone(),
        };
        Box::new(CliError::Io {
            op: "read",
            path,
            source,
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stdin => io::stdin().lock().read(buf),
            Self::File(file, _) => file.read(buf),
        }
    }
}
