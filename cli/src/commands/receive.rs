//! `flatbao receive`

use std::{ffi::OsStr, fs::File, io, io::Read, path::Path};

use flatbao_core::{
    BlobFormat, Error, Hash, HashAndFormat, StreamError, Tag,
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
    let mut stream = Stream::open(&args.file)?;
    let store = store::to_fill(global, "receive", out)?;
    let hash = blob(&store, &args.reference)?;
    let outcome = receive(&store, hash, args, &mut stream, out);
    out.meter.stop();
    let (new, is_complete, failed) = match outcome {
        Ok(received) => (
            received.new,
            received.is_complete,
            stream.excess(hash).err(),
        ),
        Err((new, error)) => (new, false, Some(error)),
    };
    let report = Report {
        hash,
        new,
        found: match is_complete {
            true => None,
            false => Some(store.available(hash)?),
        },
        size: store.claimed_size(hash).ok(),
        tag: tagged(&store, hash, args, tag, is_complete)?,
    };
    if failed.is_none() || report.is_anything() {
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
    let ranges = found.map(missing_bytes);
    let shown = ranges
        .as_ref()
        .map(ByteRanges::to_string)
        .unwrap_or_default();
    if out.is_json() || !shown.is_empty() {
        out.result(
            || json!({"hash": hash.to_string(), "missing": exact(ranges.as_ref())}),
            || shown,
        )?;
    }
    Ok(Exit::Done)
}

fn missing_bytes(found: &Available) -> ByteRanges {
    let size = found.is_size_proved.then_some(found.size);
    ByteRanges::of(&found.missing(), size)
}

fn exact(ranges: Option<&ByteRanges>) -> Value {
    let pairs = ranges.into_iter().flat_map(ByteRanges::iter);
    pairs.map(|range| json!([range.start, range.end])).collect()
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

/// With an error comes what was received until then.
fn receive(
    store: &Store,
    hash: Hash,
    args: &Receive,
    stream: &mut Stream,
    out: &mut Out,
) -> Result<Received, (u64, CliError)> {
    let before = store.available(hash).map_or(0, |found| found.verified());
    out.meter.start("receiving", Some(0));
    let ranges = chunks_or_all(args.range.as_ref());
    let options =
        ReceiveOptions::default().format(args.format.map(BlobFormat::from).unwrap_or_default());
    let watch = &mut out.meter.watch();
    let received = store.receive_with(hash, &ranges, &mut *stream, options, watch);
    received.map_err(|error| {
        let after = store.available(hash).map_or(0, |found| found.verified());
        let error = match error {
            Error::Source(source) => stream.failed(source),
            other => other.into(),
        };
        (after.saturating_sub(before), error)
    })
}

/// Tags what there is of the blob, so that no collection takes it away before the rest has come.
fn tagged(
    store: &Store,
    hash: Hash,
    args: &Receive,
    name: Option<Tag>,
    is_complete: bool,
) -> Result<Option<Tag>> {
    if args.no_tag || store.status(hash) == Status::Missing {
        return Ok(None);
    }
    let mut value = HashAndFormat::raw(hash);
    if is_complete {
        value.format = args.format.map(BlobFormat::from).unwrap_or_default();
    }
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

/// What came of it.
struct Report {
    hash: Hash,
    new: u64,
    /// What there is; `None` when that is everything.
    found: Option<Available>,
    size: Option<u64>,
    tag: Option<Tag>,
}

impl Report {
    fn is_anything(&self) -> bool {
        self.found
            .as_ref()
            .is_none_or(|found| !found.groups.is_empty())
    }

    fn state(&self) -> &'static str {
        match &self.found {
            None => "complete",
            Some(_) if self.is_anything() => "partial",
            Some(_) => "missing",
        }
    }

    fn object(&self) -> Value {
        let found = self.found.as_ref();
        let mut object = json!({
            "hash": self.hash.to_string(),
            "size": found.map_or(self.size, |found| Some(found.size)),
            "state": self.state(),
            "new_bytes": self.new,
            "verified": found.map_or(self.size, |found| Some(found.verified())),
            "missing": exact(found.map(missing_bytes).as_ref()),
        });
        if let Some(tag) = &self.tag {
            object["tag"] = tag::exact(tag).into();
        }
        object
    }

    fn line(&self) -> String {
        let (hash, state, new) = (self.hash, self.state(), size(self.new));
        let mut line = match &self.found {
            None => {
                let all = self.size.map_or_else(|| "?".to_owned(), size);
                format!("{hash}  {state}  {all} ({new} new)")
            }
            Some(found) if self.is_anything() => {
                let (there, all) = (found.verified(), found.size);
                let percent = percent(there, all.max(1));
                let (there, all) = (size(there), size(all));
                let missing = missing_bytes(found);
                format!(
                    "{hash}  {state}  {there} of {all}, {percent}% ({new} new), missing {missing}"
                )
            }
            Some(_) => format!("{hash}  {state}"),
        };
        if let Some(tag) = &self.tag {
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

    /// Fails when something comes after the end.
    fn excess(&mut self, hash: Hash) -> Result<()> {
        let source = StreamError::TooLong;
        match self.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::Stream { hash, source }.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.excess(hash),
            Err(e) => Err(self.failed(e)),
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
