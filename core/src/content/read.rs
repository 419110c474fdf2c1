//! Many groups at once: read where they are wanted, and verified there.

use std::ops::Range;

use super::{Run, Tree, outboard_damage};
use crate::{
    Backend, Hash, ReadAt, Result,
    beside::{cores, each},
    io::read_full_at,
    store::Inner,
    tree::{GROUP, GROUP_LEN, PAGE_GROUPS, group_range, groups},
};

/// A run that is read, and where to.
struct Piece<'a> {
    run: Run,
    bytes: &'a mut [u8],
    is_right: bool,
}

impl Piece<'_> {
    fn read(&mut self, from: &(impl ReadAt + ?Sized)) {
        let read = read_full_at(from, self.bytes, self.run.start * GROUP);
        let is_whole = read.is_ok_and(|read| read == self.bytes.len());
        self.is_right = is_whole && self.run.is_of(self.bytes);
    }
}

impl<B: Backend> Inner<B> {
    /// Reads whole groups of a page straight into the buffer and verifies them there, many at once, on all cores. `None` when the size was found to be another one.
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
    ) -> Result<Option<usize>> {
        let runs = self.runs(hash, tree, asked.clone())?;
        if tree.size() != size {
            return Ok(None);
        }
        // What is missing, or cannot be read, is looked for in the other homes below.
        let home = tree.homes.get(self, 0, &mut None);
        let mut pieces = pieces(runs, size, buf);
        if let Some(home) = &home {
            match home.object.as_shared() {
                Some(object) if pieces.len() > 1 => {
                    let mut hands = vec![(); cores()];
                    each(&mut hands, &mut pieces, |(), piece| piece.read(object));
                }
                _ => pieces.iter_mut().for_each(|piece| piece.read(&home.object)),
            }
        }
        let mut good = 0;
        let mut failed = None;
        'pieces: for piece in pieces {
            if piece.is_right {
                good += piece.bytes.len();
                continue;
            }
            for (group, bytes) in (piece.run.start..).zip(piece.bytes.chunks_mut(GROUP_LEN)) {
                match self.group(hash, tree, group) {
                    Ok(right) if right.len() == bytes.len() => bytes.copy_from_slice(&right),
                    outcome => {
                        failed = Some(outcome);
                        break 'pieces;
                    }
                }
                good += bytes.len();
            }
        }
        let Some(failed) = failed else {
            return Ok(Some(good));
        };
        buf[good..].fill(0);
        match failed {
            _ if good > 0 => Ok(Some(good)),
            Err(error) => Err(error),
            // Nothing would mean the end.
            Ok(_) => Err(outboard_damage(hash, asked.start * GROUP)),
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
        let read = self.read_groups(hash, tree, size, asked, buf);
        buf.truncate(*read.as_ref().unwrap_or(&None).as_ref().unwrap_or(&0));
        read.map(drop)
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
        pieces.push(Piece {
            run,
            bytes,
            is_right: false,
        });
    }
    pieces
}
