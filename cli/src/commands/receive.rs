//! `flatbao receive`

use std::{ffi::OsStr, fs::File, io, io::Read, path::Path};

use flatbao_core::{
    BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Tag,
    store::{Available, BlobInfo, ReceiveOptions, Received, State, Status},
};
use serde_json::{Value, json};

use crate::{
    args::{Global, Receive},
    commands::{ls::percent, tag},
    error::{CliError, Exit, Result},
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
    // So that a mistyped path makes no store.
    let stream = Stream::open(&args.file)?;
    let store = store::to_fill(global, "receive", out)?;
    let hash = blob(&store, &args.reference)?;
    let (received, failed) = receive(&store, hash, args, stream, out)?;
    out.meter.stop();
    let tag = tagged(&store, args, tag, &received)?;
    let report = Report {
        received: &received,
        tag: tag.as_ref(),
    };
    if failed.is_none() || report.state() != MISSING {
        out.result_or(hash, || report.object(), || report.line())?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

/// Prints what is missing.
fn missing(global: &Global, args: &Receive, out: &mut Out) -> Result<Exit> {
    let store = match store::to_read(global, out) {
        Ok(store) => Some(store),
        // Of a full hash everything is missing where there is no store.
        Err(error @ CliError::NoStore { .. }) => match full_hash(&args.reference) {
            Some(_) => None,
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let hash = match &store {
        Some(store) => blob(store, &args.reference)?,
        None => full_hash(&args.reference).unwrap_or(Hash::EMPTY),
    };
    out.meter.start("looking at what is there, bytes", None);
    let found = match &store {
        Some(store) if !is_complete(store, hash) => {
            store.available_with(hash, &mut out.meter.watch())?
        }
        Some(_) => return told(hash, None, out),
        None => Available::default(),
    };
    out.meter.stop();
    told(hash, Some(&found), out)
}

fn told(hash: Hash, found: Option<&Available>, out: &Out) -> Result<Exit> {
    let nothing = ChunkRanges::empty();
    let ranges = match found {
        Some(found) => bytes_of(&found.missing(), found.size),
        None => bytes_of(&nothing, 0),
    };
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
    let pairs = ranges.iter().map(|range| json!([range.start, range.end]));
    pairs.collect()
}

fn full_hash(text: &OsStr) -> Option<Hash> {
    text.to_str()?.parse().ok()
}

/// A hash that is not there yet names a blob as well.
fn blob(store: &Store, text: &OsStr) -> Result<Hash> {
    match full_hash(text) {
        Some(hash) => Ok(hash),
        None => Ok(reference::resolve(store, text)?.hash),
    }
}

fn is_complete(store: &Store, hash: Hash) -> bool {
    let status = store.status(hash);
    matches!(
        status,
        Status::Present(BlobInfo {
            state: State::Complete,
            ..
        })
    )
}

/// What came, and why no more of it.
fn receive(
    store: &Store,
    hash: Hash,
    args: &Receive,
    mut stream: Stream,
    out: &mut Out,
) -> Result<(Received, Option<CliError>)> {
    let ranges = chunks_or_all(args.range.as_ref());
    let options = ReceiveOptions::default().format(format(args)).to_end(true);
    out.meter.start("receiving", Some(0));
    let watch = &mut out.meter.watch();
    let mut partial = store.partial_blob_with(hash, options, watch)?;
    let outcome = partial.receive(&ranges, &mut stream, watch);
    let failed = outcome.err().map(|error| match error {
        Error::Source(source) => stream.failed(source),
        other => other.into(),
    });
    Ok((partial.finish()?, failed))
}

fn format(args: &Receive) -> BlobFormat {
    args.format.map(BlobFormat::from).unwrap_or_default()
}

/// Tags what there is of the blob, so that no collection takes it away before the rest has come.
fn tagged(
    store: &Store,
    args: &Receive,
    name: Option<Tag>,
    received: &Received,
) -> Result<Option<Tag>> {
    let hash = received.hash;
    if args.no_tag || received.verified == 0 && !received.is_complete {
        return Ok(None);
    }
    let value = match received.is_complete {
        true => HashAndFormat {
            hash,
            format: format(args),
        },
        false => HashAndFormat::raw(hash),
    };
    if value.format == BlobFormat::HashSeq {
        // One that cannot be read would keep every collection from doing anything.
        store.sequence(hash)?;
    }
    match name {
        Some(tag) => {
            store.set_tag(tag.clone(), value)?;
            Ok(Some(tag))
        }
        None if store.tags()?.values().any(|tagged| *tagged == value) => Ok(None),
        None => Ok(Some(store.auto_tag(value)?)),
    }
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
            object["tag"] = tag::exact(tag).into();
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
        let (file, _) = platform::open_regular(path, true)?;
        Ok(Self::File(file, crate::output::printable(path)))
    }

    fn failed(&self, source: io::Error) -> CliError {
        let path = match self {
            Self::Stdin => "-".to_owned(),
            Self::File(_, path) => path.clone(),
        };
        CliError::Io {
            op: "read",
            path,
            source,
        }
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
