//! `flatbao slice`

use std::{io, io::Write, path::Path};

use flatbao_core::{
    BlobFormat, Error, Hash,
    store::{SendOptions, Sent},
};

use crate::{
    args::{Global, Slice},
    error::{CliError, Exit, Result},
    json::json,
    output::{Out, exact, printable, size},
    range::chunks_or_all,
    reference,
    restore::Target,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Slice, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    let found = reference::resolve(&store, &args.reference)?;
    let hash = found.hash;
    let slicing = Slicing {
        store: &store,
        hash,
        args,
    };
    if found.format == Some(BlobFormat::HashSeq) {
        out.warn(format_args!(
            "{hash} lists other blobs, and the stream has the list alone: `flatbao copy` moves all of it"
        ));
    }
    let Some(path) = args
        .output
        .as_deref()
        .filter(|path| *path != Path::new("-"))
    else {
        slicing.print(out)?;
        return Ok(Exit::Done);
    };
    out.finish_unread();
    out.meter.start("slicing", Some(0));
    let target = Target {
        dest: path,
        store: &store::directory(global)?,
        force: args.force,
    };
    let sent = target.write(|file| slicing.send(file, path, out))?;
    out.meter.stop();
    out.result_or(
        printable(path),
        || {
            json!({
                "hash": hash.to_string(),
                "size": sent.size,
                "data": sent.data,
                "stream": sent.stream,
                "path": exact(path),
            })
        },
        || {
            let (data, all) = (size(sent.data), size(sent.size));
            format!("{hash}  {}  {data} of {all}", printable(path))
        },
    )?;
    Ok(Exit::Done)
}

struct Slicing<'a> {
    store: &'a Store,
    hash: Hash,
    args: &'a Slice,
}

impl Slicing<'_> {
    /// To stdout, as far as it can be had.
    fn print(&self, out: &mut Out) -> Result<Sent> {
        let mut closed = None;
        let sent = self.send_to(Printer(out, &mut closed), out);
        match closed {
            Some(error) => Err(error),
            None => Ok(sent?),
        }
    }

    fn send(&self, file: impl Write, path: &Path, out: &Out) -> Result<Sent> {
        self.send_to(file, out).map_err(|error| match error {
            Error::Sink(source) => CliError::io("write", path)(source),
            other => other.into(),
        })
    }

    fn send_to(&self, to: impl Write, out: &Out) -> flatbao_core::Result<Sent> {
        let ranges = chunks_or_all(self.args.range.as_ref());
        let options = SendOptions::default();
        let watch = &mut out.meter.watch();
        self.store.send_with(self.hash, &ranges, to, options, watch)
    }
}

/// The output, as something to write to.
struct Printer<'a>(&'a Out, &'a mut Option<Box<CliError>>);

impl Write for Printer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes).map_err(|error| {
            *self.1 = Some(error);
            io::ErrorKind::BrokenPipe
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
