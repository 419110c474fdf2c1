//! Partial entries: what of them is really there.

use std::ops::{ControlFlow, Range};

use crate::{
    Backend, BackendError, Error, FileName, Hash, Result, Uuid, WriteAt,
    index::Entry,
    io::read_full_at,
    progress::{Progress, Watch, unwatched},
    proof::{Step, Walk, append},
    store::{Inner, Recovery, Store},
    tree::{GROUP_LEN, group_range, groups},
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
    /// is left out; where a step between complete and partial was interrupted, the outboard with the final
    /// name does.
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
        let (files, entry) = {
            let state = inner.kernel.state();
            (state.index.partials(hash).to_vec(), state.index.get(hash))
        };
        let mut found = Vec::new();
        for files in files.into_iter().filter(|files| files.data) {
            let outboard = if files.outboard {
                FileName::PartialOutboard(hash, files.uuid)
            } else if entry.has(Entry::OUTBOARD) {
                FileName::Outboard(hash)
            } else {
                continue;
            };
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
                if !files.outboard {
                    recovery.unpaired.push(data);
                }
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
        let mut buf = vec![0; GROUP_LEN];
        let mut found = Vec::new();
        let flow = Walk::new(Some(&outboard), size).run(hash, &mut |step| {
            let Step::Known(leaf) = step else {
                return ControlFlow::Continue(());
            };
            let range = group_range(leaf.group, size);
            // At most a group.
            let len = usize::try_from(range.end - range.start).unwrap_or_default();
            let bytes = &mut buf[..len];
            let read = read_full_at(&data, bytes, range.start);
            if read.is_ok_and(|read| read == len) && leaf.proves(bytes) {
                append(&mut found, leaf.group..leaf.group + 1);
            }
            let (bytes, total) = (range.end, size);
            watch(Progress::Verified { bytes, total })
        });
        match flow {
            ControlFlow::Continue(()) => Ok(Some((size, found))),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
