//! One pass: bytes are written and hashed as they come, and the outboard grows beside them.

use std::io;

use crate::{
    Backend, BackendError, Error, FileName, ReadAt, Result,
    beside::piece,
    hasher::{Hashed, TreeHasher},
    io::read_full_at,
    outboard::OutboardWriter,
    progress::{Progress, Watch},
    store::{ImportOptions, Inner, Stage},
    tree::{Cv, GROUP},
};
#[cfg(feature = "parallel")]
use crate::{
    beside::{SHARE, cores, each, has_more_cores},
    leaves::group_values,
    tree::{GROUP_LEN, PAGE_GROUPS},
};

/// Bytes read from a source at once; see [`piece`].
const READ_PIECE: usize = 256 * 1024;

/// Fills what it is given from an offset on; less means the end.
pub(crate) type Read<'a> = dyn FnMut(&mut [u8], u64) -> io::Result<usize> + 'a;
/// Takes what was read.
pub(crate) type Write<'a> = dyn FnMut(&[u8], u64) -> io::Result<()> + 'a;

/// Room for the piece that is hashed and the one that is read meanwhile, for one pass after the other.
#[derive(Default)]
pub(crate) struct Buffers {
    now: Vec<u8>,
    next: Vec<u8>,
    /// Where each core reads to, if each of them reads.
    #[cfg(feature = "parallel")]
    of_cores: Vec<Vec<u8>>,
}

/// Groups that a core reads and hashes.
#[cfg(feature = "parallel")]
struct Part<'a> {
    first: u64,
    values: &'a mut [Cv],
    /// How many of them there were whole.
    found: io::Result<usize>,
}

/// One pass over a source: what is read goes to a sink and into the tree, full pages to the outboard.
pub(crate) struct Hashing<'a, B: Backend> {
    options: ImportOptions,
    tree: TreeHasher,
    pages: Pages<'a, B>,
}

/// The outboard that is being written.
struct Pages<'a, B: Backend> {
    inner: &'a Inner<B>,
    writer: OutboardWriter,
    /// Whether it is written at all.
    is_kept: bool,
    outboard: Option<Stage<'a, B>>,
}

impl<'a, B: Backend> Hashing<'a, B> {
    pub(crate) fn new(inner: &'a Inner<B>, options: ImportOptions) -> Self {
        Self {
            options,
            tree: TreeHasher::new(),
            pages: Pages {
                inner,
                writer: OutboardWriter::new(),
                is_kept: true,
                outboard: None,
            },
        }
    }

    /// For a store that is not written: the hashes only.
    pub(crate) fn without_outboard(mut self) -> Self {
        self.pages.is_kept = false;
        self
    }

    /// Hashes a file that is there, from its first byte to its last; on all cores where it is for several threads.
    pub(crate) fn over(
        &mut self,
        source: &impl ReadAt,
        buffers: &mut Buffers,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        #[cfg(feature = "parallel")]
        if let Some(source) = source.as_shared()
            && has_more_cores()
            && source.size().map_err(Error::Source)? >= piece(READ_PIECE) as u64
        {
            while self.page_of(source, buffers, watch)? {}
        }
        // The rest, whatever the file has become meanwhile.
        let mut read = |buf: &mut [u8], at: u64| read_full_at(source, buf, at);
        self.run(buffers, &mut read, &mut |_, _| Ok(()), watch)
    }

    /// Adds the groups of the next page, as far as they are whole, and tells whether there may be more.
    #[cfg(feature = "parallel")]
    fn page_of(
        &mut self,
        source: &(dyn ReadAt + Sync),
        buffers: &mut Buffers,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        const LEN: usize = SHARE * GROUP_LEN;
        let buffers = &mut buffers.of_cores;
        buffers.resize_with(cores(), Vec::new);
        // A page is small.
        let mut values = vec![[0; 32]; usize::try_from(PAGE_GROUPS).unwrap_or(SHARE)];
        let first = self.tree.size() / GROUP;
        let firsts = (first..).step_by(SHARE);
        let parts = firsts.zip(values.chunks_mut(SHARE));
        let mut parts: Vec<Part<'_>> = parts
            .map(|(first, values)| Part {
                first,
                values,
                found: Ok(0),
            })
            .collect();
        each(buffers, &mut parts, |buffer, part| {
            buffer.resize(LEN, 0);
            part.found = read_full_at(source, buffer, part.first * GROUP).map(|read| {
                let whole = read / GROUP_LEN;
                group_values(
                    &buffer[..whole * GROUP_LEN],
                    part.first,
                    &mut part.values[..whole],
                );
                whole
            });
        });
        let mut count = 0;
        for part in parts {
            let found = part.found.map_err(Error::Source)?;
            count += found;
            if found < SHARE {
                break;
            }
        }
        // A single group may be all there is: it is hashed as such.
        if count == 0 || (first == 0 && count == 1) {
            return Ok(false);
        }
        let size = self.tree.size() + count as u64 * GROUP;
        self.options.check_progress(size)?;
        let (pages, tree) = (&mut self.pages, &mut self.tree);
        tree.add(&values[..count], |page, values| pages.page(page, values))?;
        self.tell(watch)?;
        Ok(count == values.len())
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
        let Buffers { now, next, .. } = buffers;
        let piece = piece(READ_PIECE);
        now.resize(piece, 0);
        let mut len = read(now, self.tree.size()).map_err(Error::Source)?;
        while len > 0 {
            let (at, bytes) = (self.tree.size(), &now[..len]);
            let end = at + len as u64;
            self.options.check_progress(end)?;
            let go_on = || {
                write(bytes, at).map_err(BackendError::io("write", "the imported data"))?;
                if len < piece {
                    return Ok(0);
                }
                next.resize(piece, 0);
                read(next, end).map_err(Error::Source)
            };
            let (pages, tree) = (&mut self.pages, &mut self.tree);
            let more = tree.update_beside(bytes, go_on, |page, values| pages.page(page, values))?;
            len = more?;
            std::mem::swap(now, next);
            self.tell(watch)?;
        }
        self.options.check_end(self.tree.size())
    }

    fn tell(&self, watch: &mut Watch<'_>) -> Result<()> {
        let step = Progress::Imported {
            bytes: self.tree.size(),
            total: self.options.size,
        };
        match watch(step).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    pub(crate) fn finish(self) -> Result<(Hashed, Option<Stage<'a, B>>)> {
        let (hashed, pages) = (self.tree.finish(), self.pages);
        if hashed.size <= GROUP || !pages.is_kept {
            return Ok((hashed, None));
        }
        let mut stage = match pages.outboard {
            Some(stage) => stage,
            None => pages.inner.stage(FileName::Temp)?,
        };
        pages
            .writer
            .finish(stage.file(), &hashed)
            .map_err(outboard_io)?;
        Ok((hashed, Some(stage)))
    }
}

impl<B: Backend> Pages<'_, B> {
    /// Writes a page that is full.
    fn page(&mut self, page: u64, values: &[Cv]) -> Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let stage = match &mut self.outboard {
            Some(stage) => stage,
            None => self.outboard.insert(self.inner.stage(FileName::Temp)?),
        };
        self.writer
            .page(stage.file(), page, values)
            .map_err(|e| outboard_io(e).into())
    }
}

fn outboard_io(error: io::Error) -> BackendError {
    BackendError::io("write", "the outboard of the import")(error)
}
