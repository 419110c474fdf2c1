//! What of a blob is really there.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use crate::{
    Backend, BackendError, ChunkRanges, Error, FileName, Hash, ReadAt, Result, Uuid, WriteAt,
    content::{Content, Groups},
    index::{Entry, PartialFiles},
    io::{read_capped, read_full_at},
    progress::{Progress, Watch, unwatched},
    proof::{Step, append},
    store::{Inner, Recovery, Store},
    tree::{GROUP, GROUP_CHUNKS, GROUP_LEN, PREFIX, chunks, group_range, groups},
};

/// Bytes that are compared at once.
const COMPARED: usize = 16 * GROUP_LEN;

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
        len_of(&self.groups, self.claimed_size)
    }
}

/// What of a blob is there, proved from data and outboards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Available {
    /// Bytes of the blob, as is claimed; 0 when nothing of it is there.
    pub size: u64,
    /// Whether that is proved: the last group is there.
    pub is_size_proved: bool,
    /// The groups of 16 KiB that are there, half-open and in order.
    pub groups: Vec<Range<u64>>,
}

impl Available {
    /// Bytes of the groups that are there.
    #[must_use]
    pub fn verified(&self) -> u64 {
        len_of(&self.groups, self.size)
    }

    /// Whether all of the blob is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let whole = 0..groups(self.size);
        self.is_size_proved && self.groups == [whole]
    }

    /// The chunks that are there.
    #[must_use]
    pub fn ranges(&self) -> ChunkRanges {
        let blob = ChunkRanges::of_chunks(..chunks(self.size));
        self.ranges_of_groups().intersection(&blob)
    }

    /// The chunks that are not there, in whole groups. As long as the size is not proved they have no end,
    /// since nobody knows where it is.
    #[must_use]
    pub fn missing(&self) -> ChunkRanges {
        let all = match self.is_size_proved {
            true => ChunkRanges::of_chunks(..chunks(self.size)),
            false => ChunkRanges::all(),
        };
        all.difference(&self.ranges_of_groups())
    }

    fn ranges_of_groups(&self) -> ChunkRanges {
        let boundaries = self.groups.iter().flat_map(|groups| {
            [
                groups.start.saturating_mul(GROUP_CHUNKS),
                groups.end.saturating_mul(GROUP_CHUNKS),
            ]
        });
        let boundaries: Vec<u64> = boundaries.collect();
        // Groups are in order, and what lies next to each other is one range.
        ChunkRanges::from_boundaries(&boundaries).unwrap_or_else(|_| ChunkRanges::empty())
    }
}

pub(super) fn len_of(groups: &[Range<u64>], size: u64) -> u64 {
    let bytes = |range: &Range<u64>| {
        let end = group_range(range.end - 1, size).end;
        end - group_range(range.start, size).start
    };
    groups.iter().map(bytes).sum()
}

impl<B: Backend> Store<B> {
    /// What of a blob is there: all of it is read and proved, and no length of a file is believed. Of partial
    /// entries it is what they have together.
    ///
    /// # Errors
    /// What the back end says. Where nothing is there, or is damaged, that is no error.
    pub fn available(&self, hash: Hash) -> Result<Available> {
        self.available_with(hash, &mut unwatched)
    }

    /// As [`available`](Self::available), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn available_with(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<Available> {
        self.available_as(hash, Unread::IsAnError, watch)
    }

    pub(super) fn available_as(
        &self,
        hash: Hash,
        unread: Unread,
        watch: &mut Watch<'_>,
    ) -> Result<Available> {
        match self.opened(hash, |inner| inner.content_or_part(hash, watch)) {
            Ok(content) => self.inner.available(hash, &content, unread, watch),
            Err(Error::NotFound(_) | Error::Incomplete(_) | Error::Corrupt { .. }) => {
                Ok(Available::default())
            }
            Err(error) => Err(error),
        }
    }

    /// What of a blob is missing, in whole groups: what has to be received.
    ///
    /// # Errors
    /// As [`available`](Self::available).
    pub fn missing(&self, hash: Hash) -> Result<ChunkRanges> {
        Ok(self.available(hash)?.missing())
    }

    /// The partial entries of a blob, each proved group by group: the work grows with what is really
    /// there, not with what is claimed. An entry without data or without outboard has nothing proved and
    /// is left out; where a step between complete and partial was interrupted, the outboard with the final
    /// name does. A group that cannot be read now is not proved now.
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
        let files = self.inner.kernel.state().index.partials(hash).to_vec();
        let mut found = Vec::new();
        // One after the other: there may be more of them than handles.
        for files in files.into_iter().filter(|files| files.data) {
            let (parts, failed) = self.inner.open_these(hash, &[files]);
            if let Some(error) = failed {
                return Err(error);
            }
            for part in &parts.entries {
                found.push(PartialInfo {
                    uuid: part.uuid,
                    claimed_size: part.claim,
                    groups: parts.groups_of(part, watch)?,
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
        let mut unpaired = Vec::new();
        for name in std::mem::take(&mut recovery.unpaired) {
            match inner.remove_needless(&name) {
                Ok(true) => recovery.removed.push(name),
                Err(error) if error.poisons() => return Err(error),
                // It stays, and is reported.
                Ok(false) | Err(_) => unpaired.push(name),
            }
        }
        recovery.unpaired = unpaired;
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
    /// Removes the partial outboard of a blob of one group when its data are there and proved: it has no pair, and
    /// is what an interrupted completion left. Tells whether it was such a one.
    fn remove_needless(&self, name: &FileName) -> Result<bool> {
        let FileName::PartialOutboard(hash, _) = *name else {
            return Ok(false);
        };
        if self.file_len(name)?.is_none_or(|len| len > PREFIX) {
            return Ok(false);
        }
        let name_of_data = FileName::Data(hash);
        let Some(data) = self.backend.open(&name_of_data)? else {
            return Ok(false);
        };
        match read_capped(&data, GROUP) {
            Ok(bytes) if Hash::of(&bytes) == hash => {}
            Ok(_) => return Ok(false),
            Err(e) => return Err(BackendError::io("read", name_of_data)(e).into()),
        }
        self.checked(self.backend.remove(std::slice::from_ref(name)))?;
        self.kernel.state().index.remove(name);
        Ok(true)
    }

    fn finish_completion(&self, hash: Hash, uuid: Uuid, watch: &mut Watch<'_>) -> Result<bool> {
        let data = &FileName::PartialData(hash, uuid);
        // What the outboard with the final name proves, whatever the entry's own one says.
        let files = PartialFiles {
            uuid,
            data: true,
            outboard: false,
        };
        let (parts, failed) = self.open_these(hash, &[files]);
        if let Some(error) = failed {
            return Err(error);
        }
        let [part] = &parts.entries[..] else {
            return Ok(false);
        };
        let size = part.claim;
        let present = parts.groups_of(part, watch)?;
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

    /// Makes durable what partial entries have of a blob that counts as complete: where its own data are damaged,
    /// that is what makes it whole.
    pub(super) fn settle_parts(&self, hash: Hash) -> Result<()> {
        let parts = self.kernel.state().index.partials(hash).to_vec();
        for files in parts {
            let names: Vec<FileName> = files.names(hash).collect();
            match self.backend.ensure_durable(&names) {
                // Somebody else has dropped an entry with nothing in it, or completed it.
                Err(BackendError::Missing { .. }) => {}
                other => self.checked(other)?,
            }
        }
        Ok(())
    }

    /// Removes the partial entries of a blob that have nothing but what its owned data have, which were proved in
    /// this opening. What else there is in an entry is nobody's to throw away: it may be all there is of something
    /// else.
    pub(super) fn drop_needless_parts(&self, hash: Hash) -> Result<()> {
        let (entry, parts) = {
            let state = self.kernel.state();
            (state.index.get(hash), state.index.partials(hash).to_vec())
        };
        if !self.may_delete || !entry.has(Entry::VERIFIED) || parts.is_empty() {
            return Ok(());
        }
        for files in parts {
            // What somebody fills stays, and while it is looked at nobody begins to.
            let Some(_claim) = self.kernel.claim(files.uuid) else {
                continue;
            };
            let (part, whole) = match files.data {
                true => (
                    FileName::PartialData(hash, files.uuid),
                    FileName::Data(hash),
                ),
                false => (
                    FileName::PartialOutboard(hash, files.uuid),
                    FileName::Outboard(hash),
                ),
            };
            let opened = (self.backend.open(&part), self.backend.open(&whole));
            let (Ok(Some(part)), Ok(Some(whole))) = opened else {
                continue;
            };
            if !has_no_more(&part, &whole).unwrap_or(false) {
                continue;
            }
            let names: Vec<FileName> = files.names(hash).collect();
            match self.checked(self.backend.remove(&names)) {
                Ok(()) => {
                    let mut state = self.kernel.state();
                    names.iter().for_each(|name| state.index.remove(name));
                }
                Err(error) if error.poisons() => return Err(error),
                // It stays.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What is proved of opened content. What cannot be read now is an error, or counts as missing.
    pub(super) fn available(
        &self,
        hash: Hash,
        content: &Content<B::Object>,
        unread: Unread,
        watch: &mut Watch<'_>,
    ) -> Result<Available> {
        let size = content.size();
        let last = groups(size) - 1;
        let mut found = Vec::new();
        let mut failed = None;
        let mut not_come_by = None;
        let mut walk = self.walk(hash, content);
        let mut data = Groups::new(self, hash, content, size);
        let flow = walk.run(hash, &mut |step| {
            let leaf = match step {
                Step::Known(leaf) => leaf,
                Step::Unknown(groups) => {
                    not_come_by.get_or_insert(groups.start);
                    return ControlFlow::Continue(());
                }
                Step::Pair(_) => return ControlFlow::Continue(()),
            };
            match data.get(&leaf, &|_| true) {
                Ok(_) => append(&mut found, leaf.group..leaf.group + 1),
                Err(Error::Corrupt { .. } | Error::MissingGroup { .. }) => {}
                Err(_) if unread == Unread::IsMissing => {}
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            let bytes = group_range(leaf.group, size).end;
            watch(Progress::Verified { bytes, total: size })
        });
        // Damage is what is not there; that something cannot be read now says nothing.
        let says_nothing = |error: &Error| unread == Unread::IsAnError && is_of_the_system(error);
        let unproved = match (content, not_come_by) {
            (Content::Parts(parts), Some(group)) => Some(parts.not_come_by(&mut walk, group)),
            _ => walk.failure(),
        };
        let failed = failed.or(unproved.filter(says_nothing));
        drop(walk);
        if content.size() != size {
            // A rebuild has corrected it, which happens once.
            return self.available(hash, content, unread, watch);
        }
        match (flow, failed) {
            (_, Some(error)) => Err(error),
            (ControlFlow::Break(()), None) => Err(Error::Cancelled),
            (ControlFlow::Continue(()), None) => Ok(Available {
                size,
                is_size_proved: found.last().is_some_and(|groups| groups.contains(&last)),
                groups: found,
            }),
        }
    }
}

/// Whether it is not about what is there, but about what can be read of it now.
fn is_of_the_system(error: &Error) -> bool {
    !matches!(error, Error::Corrupt { .. } | Error::MissingGroup { .. })
}

/// What a group is that cannot be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    IsAnError,
    IsMissing,
}

/// Whether a file has holes, and otherwise what the other one has in the same place. One that is longer is not
/// even read: it may be huge and empty.
fn has_no_more<O: ReadAt>(part: &O, whole: &O) -> io::Result<bool> {
    if part.size()? > whole.size()? {
        return Ok(false);
    }
    let (mut some, mut right) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut at = 0;
    loop {
        let read = read_full_at(part, &mut some, at)?;
        if read == 0 {
            return Ok(true);
        }
        if read_full_at(whole, &mut right[..read], at)? < read {
            return Ok(false);
        }
        for (some, right) in some[..read].chunks(GROUP_LEN).zip(right.chunks(GROUP_LEN)) {
            let is_same = right.starts_with(some);
            if !is_same && some.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
        at += read as u64;
    }
}
