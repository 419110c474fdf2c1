//! Partial entries: what of them is really there.

use std::ops::{ControlFlow, Range};

use crate::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, Result, Uuid, WriteAt,
    index::Entry,
    io::read_full_at,
    progress::{Progress, Watch, unwatched},
    store::{Inner, Recovery, Store},
    tree::{Cv, GROUP_LEN, Subtree, group_cv, group_range, groups, parent, split_pair},
};

/// What a partial entry has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartialInfo {
    /// The uuid of its files.
    pub uuid: Uuid,
    /// The size its outboard claims; proved only when the last group is among the verified ones.
    pub claimed_size: u64,
    /// The groups of 16 KiB that are there, proved from data and outboard, half-open and in order.
    pub groups: Vec<Range<u64>>,
}

impl PartialInfo {
    /// Bytes of the groups that are there.
    #[must_use]
    pub fn verified(&self) -> u64 {
        let bytes = |range: &Range<u64>| {
            let end = group_range(range.end - 1, self.claimed_size).end;
            end - group_range(range.start, self.claimed_size).start
        };
        self.groups.iter().map(bytes).sum()
    }
}

impl<B: Backend> Store<B> {
    /// The partial entries of a blob, each proved group by group: the work grows with what is really
    /// there, not with what is claimed. An entry without data or without outboard has nothing proved and
    /// is left out.
    ///
    /// # Errors
    /// What the back end says.
    pub fn partials(&self, hash: Hash) -> Result<Vec<PartialInfo>> {
        self.partials_with(hash, &mut unwatched)
    }

    /// As [`partials`](Self::partials), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn partials_with(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<Vec<PartialInfo>> {
        let inner = &*self.inner;
        let files = inner.kernel.state().index.partials(hash).to_vec();
        let mut found = Vec::new();
        for files in files
            .into_iter()
            .filter(|files| files.data && files.outboard)
        {
            let outboard = FileName::PartialOutboard(hash, files.uuid);
            let data = FileName::PartialData(hash, files.uuid);
            if let Some((claimed_size, groups)) = inner.proved(hash, &data, &outboard, watch)? {
                found.push(PartialInfo {
                    uuid: files.uuid,
                    claimed_size,
                    groups,
                });
            }
        }
        Ok(found)
    }

    /// Finishes completions that were interrupted between their two renames: the outboard is final, the
    /// data still have their partial name. They are proved whole before they get the other one.
    pub(crate) fn finish_completions(
        &self,
        recovery: &mut Recovery,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let inner = &*self.inner;
        for hash in std::mem::take(&mut recovery.orphan_outboards) {
            let partials = inner.kernel.state().index.partials(hash).to_vec();
            let mut completed = false;
            for files in partials {
                let data = FileName::PartialData(hash, files.uuid);
                if !files.data {
                    continue;
                }
                completed = match inner.finish_completion(hash, files.uuid, watch) {
                    // A file that cannot be read is not whole; it stays, and is reported.
                    Err(error) if !error.poisons() && !matches!(error, Error::Cancelled) => false,
                    other => other?,
                };
                if completed {
                    recovery.completed.push(hash);
                    break;
                }
                recovery.unpaired.push(data);
            }
            if !completed {
                recovery.orphan_outboards.push(hash);
            }
        }
        Ok(())
    }
}

impl<B: Backend> Inner<B> {
    fn finish_completion(&self, hash: Hash, uuid: Uuid, watch: &mut Watch<'_>) -> Result<bool> {
        let data = &FileName::PartialData(hash, uuid);
        let Some((size, present)) = self.proved(hash, data, &FileName::Outboard(hash), watch)?
        else {
            return Ok(false);
        };
        let whole = 0..groups(size);
        if present.as_slice() != std::slice::from_ref(&whole) {
            return Ok(false);
        }
        let mut staged = self.backend.resume(data)?;
        // Bytes behind the end belong to no blob.
        staged
            .set_len(size)
            .map_err(BackendError::io("cut", data))?;
        self.backend.ensure_durable(&[FileName::Outboard(hash)])?;
        self.checked(self.backend.publish(vec![(staged, FileName::Data(hash))]))?;
        {
            let mut state = self.kernel.state();
            state.index.remove(data);
            let entry = state.index.get(hash).with(Entry::DURABLE);
            state.index.set(hash, entry.published(Entry::DATA));
        }
        // The other half, where a move between file systems left it. If it stays, it is reported.
        let half = FileName::PartialOutboard(hash, uuid);
        let gone = self.checked(self.backend.remove(std::slice::from_ref(&half)));
        match gone {
            Ok(()) => self.kernel.state().index.remove(&half),
            Err(error) if error.poisons() => return Err(error),
            Err(_) => {}
        }
        Ok(true)
    }

    /// The claimed size of a pair of files, and the groups that are proved to be there.
    fn proved(
        &self,
        hash: Hash,
        data: &FileName,
        outboard: &FileName,
        watch: &mut Watch<'_>,
    ) -> Result<Option<(u64, Vec<Range<u64>>)>> {
        let Some(size) = self.outboard_prefix(outboard)? else {
            return Ok(None);
        };
        let (Some(data), Some(outboard)) = (self.backend.open(data)?, self.backend.open(outboard)?)
        else {
            return Ok(None);
        };
        let mut walk = Walk {
            data,
            outboard,
            size,
            buf: vec![0; GROUP_LEN],
            found: Vec::new(),
            watch,
        };
        match walk.visit(Subtree::root(size), hash.as_bytes()) {
            ControlFlow::Continue(()) => Ok(Some((size, walk.found))),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

/// Goes down from the root as far as pairs are right, and looks at the groups below them. A hole is a
/// pair of zeros, and never right; so the walk is as long as what is really there.
struct Walk<'a, 'b, O> {
    data: O,
    outboard: O,
    size: u64,
    buf: Vec<u8>,
    found: Vec<Range<u64>>,
    watch: &'a mut Watch<'b>,
}

impl<O: ReadAt> Walk<'_, '_, O> {
    fn visit(&mut self, tree: Subtree, value: &Cv) -> ControlFlow<()> {
        if tree.groups == 1 {
            if self.has_group(tree, value) {
                match self.found.last_mut() {
                    Some(last) if last.end == tree.start => last.end += 1,
                    _ => self.found.push(tree.start..tree.start + 1),
                }
            }
            let (bytes, total) = (group_range(tree.start, self.size).end, self.size);
            return (self.watch)(Progress::Verified { bytes, total });
        }
        let mut pair = [0; 64];
        if !matches!(read_full_at(&self.outboard, &mut pair, tree.offset), Ok(64)) {
            return ControlFlow::Continue(());
        }
        if let Some((left_value, right_value)) = split_pair(&pair)
            && parent(&left_value, &right_value, tree.is_root) == *value
        {
            let (left, right) = tree.split();
            self.visit(left, &left_value)?;
            self.visit(right, &right_value)?;
        }
        ControlFlow::Continue(())
    }

    fn has_group(&mut self, tree: Subtree, value: &Cv) -> bool {
        let range = group_range(tree.start, self.size);
        // At most a group.
        let len = usize::try_from(range.end - range.start).unwrap_or_default();
        let bytes = &mut self.buf[..len];
        if !matches!(read_full_at(&self.data, bytes, range.start), Ok(read) if read == len) {
            return false;
        }
        if tree.is_root {
            Hash::of(bytes).as_bytes() == value
        } else {
            group_cv(tree.start, bytes) == *value
        }
    }
}
