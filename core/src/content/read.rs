//! Many groups at once: read where they are wanted, and verified there.

use std::ops::{ControlFlow, Range};

use super::{Run, Tree, outboard_damage};
use crate::{
    Backend, Error, Hash, ReadAt, Result,
    io::read_full_at,
    store::Inner,
    tree::{GROUP, GROUP_LEN, PAGE_GROUPS, group_range, groups},
};
#[cfg(feature = "parallel")]
use crate::{
    beside::{Ahead, has_more_cores, in_order},
    store::locked,
    sync::Mutex,
};

/// What takes verified bytes, as they come, until it has enough.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// A run, and where it is read to.
struct Piece<'a> {
    run: Run,
    bytes: &'a mut [u8],
}

/// Pieces that are there, as far as they could be had.
struct Passing<'a, B: Backend> {
    inner: &'a Inner<B>,
    hash: Hash,
    tree: &'a Tree<B::Object>,
    each: Each<'a>,
    good: usize,
    failed: Option<Error>,
}

impl<B: Backend> Inner<B> {
    /// Reads whole groups of a page straight into the buffer and verifies them there, many at once. `each` is told of
    /// them in their order, while other cores read those that follow. `None` when the size was found to be another one.
    ///
    /// # Errors
    /// For the first of them; otherwise those before a damaged one are read.
    pub(crate) fn read_groups(
        &self,
        hash: Hash,
        tree: &Tree<B::Object>,
        size: u64,
        asked: Range<u64>,
        buf: &mut [u8],
        each: Each<'_>,
    ) -> Result<Option<usize>> {
        let runs = self.runs(hash, tree, asked)?;
        if tree.size() != size {
            return Ok(None);
        }
        // What is missing, or cannot be read, is looked for in the other homes below.
        let home = tree.homes.get(self, 0, &mut None);
        let mut pieces = pieces(runs, size, buf);
        let asked: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        let mut passing = Passing {
            inner: self,
            hash,
            tree,
            each,
            good: 0,
            failed: None,
        };
        match home.as_ref().and_then(|home| home.object.as_shared()) {
            #[cfg(feature = "parallel")]
            Some(object) if pieces.len() > 1 && has_more_cores() => {
                let pieces: Vec<_> = pieces
                    .into_iter()
                    .map(|p| Ahead::new(Mutex::new(p)))
                    .collect();
                in_order(
                    &pieces,
                    |piece| locked(piece).read(object),
                    |next| {
                        while let Some((piece, is_right)) = next()
                            && passing.pass(&mut locked(piece), *is_right).is_continue()
                        {
                        }
                    },
                );
            }
            _ => {
                for piece in &mut pieces {
                    let is_right = home.as_ref().is_some_and(|home| piece.read(&home.object));
                    if passing.pass(piece, is_right).is_break() {
                        break;
                    }
                }
            }
        }
        let Passing { good, failed, .. } = passing;
        if good < asked {
            buf[good..].fill(0);
        }
        match failed {
            Some(error) if good == 0 => Err(error),
            _ => Ok(Some(good)),
        }
    }

    /// As [`read_groups`](Self::read_groups), up to `count` groups from one on, as far as its page goes, into a buffer
    /// that gets the length of what was read: nothing where the size was found to be another one.
    pub(crate) fn read_ahead(
        &self,
        hash: Hash,
        tree: &Tree<B::Object>,
        size: u64,
        group: u64,
        count: u64,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        let page_end = (group / PAGE_GROUPS + 1) * PAGE_GROUPS;
        let asked = group..page_end.min(groups(size)).min(group + count);
        let room = size.min(asked.end * GROUP).saturating_sub(group * GROUP);
        // At most a page, and so a length in memory.
        buf.resize(usize::try_from(room).unwrap_or(GROUP_LEN), 0);
        let read = self.read_groups(hash, tree, size, asked, buf, &mut nobody);
        buf.truncate(*read.as_ref().unwrap_or(&None).as_ref().unwrap_or(&0));
        read.map(drop)
    }
}

/// For whoever takes them all at the end.
pub(crate) fn nobody(_: &[u8]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Piece<'_> {
    /// Reads it, and tells whether it is right.
    fn read(&mut self, from: &(impl ReadAt + ?Sized)) -> bool {
        let read = read_full_at(from, self.bytes, self.run.start * GROUP);
        let is_whole = read.is_ok_and(|read| read == self.bytes.len());
        is_whole && self.run.is_of(self.bytes)
    }
}

impl<B: Backend> Passing<'_, B> {
    fn pass(&mut self, piece: &mut Piece<'_>, is_right: bool) -> ControlFlow<()> {
        if is_right {
            self.good += piece.bytes.len();
            return (self.each)(piece.bytes);
        }
        let (inner, hash, tree) = (self.inner, self.hash, self.tree);
        for (group, bytes) in (piece.run.start..).zip(piece.bytes.chunks_mut(GROUP_LEN)) {
            match inner.group(hash, tree, group) {
                Ok(right) if right.len() == bytes.len() => bytes.copy_from_slice(&right),
                outcome => {
                    let damage = || outboard_damage(hash, group * GROUP);
                    self.failed = Some(outcome.err().unwrap_or_else(damage));
                    return ControlFlow::Break(());
                }
            }
            self.good += bytes.len();
            (self.each)(bytes)?;
        }
        ControlFlow::Continue(())
    }
}

/// The places of runs that follow each other, as far as there is room.
fn pieces(runs: Vec<Run>, size: u64, mut rest: &mut [u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::with_capacity(runs.len());
    for run in runs {
        let start = group_range(run.start, size).start;
        let end = group_range(run.start + run.groups - 1, size).end;
        let len = usize::try_from(end - start).unwrap_or(usize::MAX);
        let Some((bytes, later)) = rest.split_at_mut_checked(len) else {
            break;
        };
        rest = later;
        pieces.push(Piece { run, bytes });
    }
    pieces
}
