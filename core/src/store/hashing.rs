//! One pass: bytes are written and hashed as they come, and the outboard grows beside them.

use std::io;

use crate::{
    Backend, BackendError, Error, FileName, Result,
    hasher::{Hashed, TreeHasher},
    outboard::OutboardWriter,
    progress::{Progress, Watch},
    store::{ImportOptions, Inner, Stage},
    tree::GROUP,
};

/// Bytes read from a source at once. They stay in the cache of a core from being read to being hashed and written;
/// where another core hashes them, there have to be more, since it has to be told of each piece.
const READ_PIECE: usize = match cfg!(feature = "parallel") {
    true => 1024 * 1024,
    false => 256 * 1024,
};

/// Fills what it is given from an offset on; less means the end.
pub(crate) type Read<'a> = dyn FnMut(&mut [u8], u64) -> io::Result<usize> + 'a;
/// Takes what was read.
pub(crate) type Write<'a> = dyn FnMut(&[u8], u64) -> io::Result<()> + 'a;

/// For a pass that only hashes.
pub(crate) fn nowhere(_: &[u8], _: u64) -> io::Result<()> {
    Ok(())
}

/// Room for the piece that is hashed and the one that is read meanwhile, for one pass after the other.
#[derive(Default)]
pub(crate) struct Buffers {
    now: Vec<u8>,
    next: Vec<u8>,
}

/// One pass over a source: what is read goes to a sink and into the tree, full pages to the outboard.
pub(crate) struct Hashing<'a, B: Backend> {
    inner: &'a Inner<B>,
    options: ImportOptions,
    tree: TreeHasher,
    writer: OutboardWriter,
    /// Whether an outboard is written at all.
    keep: bool,
    outboard: Option<Stage<'a, B>>,
}

impl<'a, B: Backend> Hashing<'a, B> {
    pub(crate) fn new(inner: &'a Inner<B>, options: ImportOptions) -> Self {
        Self {
            inner,
            options,
            tree: TreeHasher::new(),
            writer: OutboardWriter::new(),
            keep: true,
            outboard: None,
        }
    }

    /// For a store that is not written: the hashes only.
    pub(crate) fn without_outboard(mut self) -> Self {
        self.keep = false;
        self
    }

    /// What `read` has read is hashed, on another core where there
    /// is one, while `write` takes it and the next piece is read.
    pub(crate) fn run(
        &mut self,
        buffers: &mut Buffers,
        read: &mut Read<'_>,
        write: &mut Write<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let (inner, writer) = (self.inner, &self.writer);
        let (keep, outboard) = (self.keep, &mut self.outboard);
        let Buffers { now, next } = buffers;
        now.resize(READ_PIECE, 0);
        let mut len = read(now, self.tree.size()).map_err(Error::Source)?;
        while len > 0 {
            let (at, bytes) = (self.tree.size(), &now[..len]);
            let end = at + len as u64;
            self.options.check_progress(end)?;
            let go_on = || {
                write(bytes, at).map_err(BackendError::io("write", "the imported data"))?;
                if len < READ_PIECE {
                    return Ok(0);
                }
                next.resize(READ_PIECE, 0);
                read(next, end).map_err(Error::Source)
            };
            let more = self.tree.update_beside(bytes, go_on, |page, values| {
                if !keep {
                    return Ok(());
                }
                let stage = match outboard {
                    Some(stage) => stage,
                    None => outboard.insert(inner.stage(FileName::Temp)?),
                };
                writer
                    .page(stage.file(), page, values)
                    .map_err(|e| Error::from(outboard_io(e)))
            })?;
            len = more?;
            std::mem::swap(now, next);
            let step = Progress::Imported {
                bytes: self.tree.size(),
                total: self.options.size,
            };
            if watch(step).is_break() {
                return Err(Error::Cancelled);
            }
        }
        self.options.check_end(self.tree.size())
    }

    pub(crate) fn finish(self) -> Result<(Hashed, Option<Stage<'a, B>>)> {
        let hashed = self.tree.finish();
        if hashed.size <= GROUP || !self.keep {
            return Ok((hashed, None));
        }
        let mut stage = match self.outboard {
            Some(stage) => stage,
            None => self.inner.stage(FileName::Temp)?,
        };
        self.writer
            .finish(stage.file(), &hashed)
            .map_err(outboard_io)?;
        Ok((hashed, Some(stage)))
    }
}

fn outboard_io(error: io::Error) -> BackendError {
    BackendError::io("write", "the outboard of the import")(error)
}
