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

/// Bytes read from a source at once.
const READ_PIECE: usize = 256 * 1024;
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

    pub(crate) fn run(
        &mut self,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
        mut write: impl FnMut(&[u8], u64) -> io::Result<()>,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let (inner, writer) = (self.inner, &self.writer);
        let (keep, outboard) = (self.keep, &mut self.outboard);
        let mut buf = vec![0; READ_PIECE];
        loop {
            let at = self.tree.size();
            let read = read(&mut buf, at).map_err(Error::Source)?;
            if read == 0 {
                return self.options.check_end(at);
            }
            let bytes = &buf[..read];
            self.options.check_progress(at + read as u64)?;
            write(bytes, at).map_err(BackendError::io("write", "the imported data"))?;
            self.tree.update(bytes, |page, values| {
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
            let step = Progress::Imported {
                bytes: self.tree.size(),
                total: self.options.size,
            };
            if watch(step).is_break() {
                return Err(Error::Cancelled);
            }
        }
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
