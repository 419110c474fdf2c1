//! A partial entry that is being filled: what is there of it, and how more gets there.

use std::{
    io,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use rangemap::RangeSet;

use crate::{
    Backend, BackendError, EntryKind, Error, FileName, Hash, ReadAt, Result, WriteAt,
    index::Entry,
    io::write_all_at,
    kernel::Claim,
    parts::{Part, each_proved, walk_of},
    progress::{Progress, Watch},
    proof::Step,
    store::{Available, Inner, Stage, publication::Publication, with_uuid},
    tree::{GROUP, GROUP_LEN, PAIR_LEN, group_range, groups, outboard_len},
};

/// Bytes in one place that are written at once.
const WRITE_PIECE: usize = 64 * 1024;

/// The pairs above the group that comes next, those of the root first.
#[derive(Debug, Default)]
pub(super) struct Way(Vec<OnTheWay>);

#[derive(Debug)]
struct OnTheWay {
    groups: Range<u64>,
    offset: u64,
    bytes: [u8; PAIR_LEN],
    /// Whether the entry has it.
    is_stored: bool,
}

impl Way {
    /// Adds a pair that was proved, in pre-order.
    pub(super) fn add(
        &mut self,
        groups: Range<u64>,
        offset: u64,
        bytes: [u8; PAIR_LEN],
        is_stored: bool,
    ) {
        self.leave(groups.start);
        self.0.push(OnTheWay {
            groups,
            offset,
            bytes,
            is_stored,
        });
    }

    /// Forgets what is not above a group.
    fn leave(&mut self, group: u64) {
        while self.0.pop_if(|pair| pair.groups.end <= group).is_some() {}
    }
}

/// A partial entry, under one size. Nothing gets into it that is not proved.
pub(super) struct Filling<B: Backend> {
    inner: Arc<Inner<B>>,
    hash: Hash,
    /// The claimed size.
    size: u64,
    /// None as long as it has nothing.
    files: Option<Files<B>>,
    /// The groups that it has, with all pairs above them.
    present: RangeSet<u64>,
}

struct Files<B: Backend> {
    claim: Claim,
    data: B::Staged,
    outboard: B::Staged,
    /// What is not written yet.
    data_run: Run,
    pair_run: Run,
    /// Whether they were made here, and nothing has been written that is worth keeping.
    is_bare: bool,
}

impl<B: Backend> Filling<B> {
    /// Takes the partial entry that has most of a blob under this size, and puts into it what others have
    /// besides. Where there is none, the first group makes one.
    pub(super) fn open(
        inner: &Arc<Inner<B>>,
        hash: Hash,
        size: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let mut this = Self {
            inner: Arc::clone(inner),
            hash,
            size,
            files: None,
            present: RangeSet::new(),
        };
        let mut parts = this.idle_parts();
        parts.retain(|part| part.claim == size);
        for index in this.by_worth(&parts, watch)? {
            this.files = this.resume(&parts[index]);
            if this.files.is_some() {
                parts.swap(0, index);
                break;
            }
        }
        let own = this.files.is_some().then(|| parts.remove(0));
        this.gather(own, parts, watch)?;
        if this.is_size_proved() {
            this.adopt(watch)?;
        }
        Ok(this)
    }

    /// The entries that nobody is filling. What does not open has nothing to give.
    fn idle_parts(&self) -> Vec<Part<B::Object>> {
        let (mut parts, _) = self.inner.open_parts(self.hash);
        let state = self.inner.kernel.state();
        parts.retain(|part| !state.is_filled(part.uuid));
        parts
    }

    /// Takes over what entries have that claim another size, once this one is proved. Before that they are kept
    /// apart: whoever lies about a size would make the store copy all that it has.
    pub(super) fn adopt(&mut self, watch: &mut Watch<'_>) -> Result<()> {
        let mut others = self.idle_parts();
        others.retain(|part| part.claim != self.size);
        if others.is_empty() || self.is_whole() {
            return Ok(());
        }
        self.flush()?;
        let files = self.files.as_ref();
        let uuid = files.map(|files| files.claim.uuid());
        let (mut parts, _) = self.inner.open_parts(self.hash);
        let own = parts.iter().position(|part| Some(part.uuid) == uuid);
        let own = own.map(|index| parts.swap_remove(index));
        self.gather(own, others, watch)
    }

    /// Which of these has most, in that order.
    fn by_worth(&self, parts: &[Part<B::Object>], watch: &mut Watch<'_>) -> Result<Vec<usize>> {
        let mut candidates: Vec<usize> = (0..parts.len()).collect();
        if candidates.len() < 2 {
            return Ok(candidates);
        }
        let mut worth = vec![0; parts.len()];
        for index in &candidates {
            let part = std::slice::from_ref(&parts[*index]);
            let total = self.size;
            let walk = walk_of(part, total);
            let flow = each_proved(walk, self.hash, part, total, &mut |leaf, _, bytes| {
                worth[*index] += bytes.len() as u64;
                let bytes = group_range(leaf.group, total).end;
                watch(Progress::Verified { bytes, total })
            });
            if flow.is_break() {
                return Err(Error::Cancelled);
            }
        }
        candidates.sort_by_key(|index| std::cmp::Reverse(worth[*index]));
        Ok(candidates)
    }

    /// Goes on with an entry; `None` when another one fills it, or it cannot be written.
    fn resume(&self, part: &Part<B::Object>) -> Option<Files<B>> {
        let claim = self.inner.kernel.claim(part.uuid)?;
        {
            // Nothing takes away what is claimed, but it may have gone before.
            let state = self.inner.kernel.state();
            let mut partials = state.index.partials(self.hash).iter();
            partials.find(|files| files.uuid == part.uuid && files.data)?;
        }
        let backend = &self.inner.backend;
        let data = FileName::PartialData(self.hash, part.uuid);
        let data = backend.resume(&data).ok()?;
        let name = FileName::PartialOutboard(self.hash, part.uuid);
        let outboard = match part.is_paired {
            true => backend.resume(&name),
            // What it needs of the one with the final name is copied.
            false => self.new_outboard(&name),
        };
        Some(Files::new(claim, data, outboard.ok()?))
    }

    /// Looks at what is there, group by group, and takes over what only other entries have.
    fn gather(
        &mut self,
        own: Option<Part<B::Object>>,
        others: Vec<Part<B::Object>>,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let has_own = own.is_some();
        let is_paired = own.as_ref().is_some_and(|own| own.is_paired);
        let parts: Vec<_> = own.into_iter().chain(others).collect();
        let mut way = Way::default();
        let mut buf = vec![0; GROUP_LEN];
        let (hash, total) = (self.hash, self.size);
        let mut outcome = Ok(());
        let flow = walk_of(&parts, total).run(hash, &mut |step| {
            let leaf = match step {
                Step::Unknown(_) => return ControlFlow::Continue(()),
                Step::Pair(pair) => {
                    let is_stored = is_paired && pair.source == 0;
                    way.add(pair.groups, pair.offset, pair.bytes, is_stored);
                    return ControlFlow::Continue(());
                }
                Step::Known(leaf) => leaf,
            };
            for (index, part) in parts.iter().enumerate() {
                if let Some(bytes) = part.read(&leaf, total, &mut buf) {
                    outcome = match has_own && index == 0 {
                        true => self.keep(leaf.group, &mut way),
                        false => self.store(leaf.group, bytes, &mut way).map(|_| ()),
                    };
                    break;
                }
            }
            if outcome.is_err() {
                return ControlFlow::Break(());
            }
            let bytes = group_range(leaf.group, total).end;
            watch(Progress::Verified { bytes, total })
        });
        outcome?;
        match flow {
            ControlFlow::Continue(()) => self.flush(),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn available(&self) -> Available {
        Available {
            size: self.size,
            is_size_proved: self.is_size_proved(),
            groups: self.present.iter().cloned().collect(),
        }
    }

    /// Whether the last group is there.
    pub(super) fn is_size_proved(&self) -> bool {
        self.has(groups(self.size) - 1)
    }

    pub(super) fn has(&self, group: u64) -> bool {
        self.present.contains(&group)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.present.iter().eq([&(0..groups(self.size))])
    }

    /// Puts a group that was proved into the entry, with the pairs above it. Returns whether it was not there.
    pub(super) fn store(&mut self, group: u64, bytes: &[u8], way: &mut Way) -> Result<bool> {
        if self.has(group) {
            return Ok(false);
        }
        if self.files.is_none() {
            self.files = Some(self.create()?);
        }
        if let Some(files) = &mut self.files {
            let name = FileName::PartialData(self.hash, files.claim.uuid());
            files
                .data_run
                .put(&mut files.data, group * GROUP, bytes)
                .map_err(BackendError::io("write", name))?;
        }
        self.keep(group, way)?;
        Ok(true)
    }

    /// Notes a group that the entry has, and gives it the pairs above.
    fn keep(&mut self, group: u64, way: &mut Way) -> Result<()> {
        way.leave(group);
        if let Some(files) = &mut self.files {
            for pair in way.0.iter_mut().filter(|pair| !pair.is_stored) {
                let name = FileName::PartialOutboard(self.hash, files.claim.uuid());
                files
                    .pair_run
                    .put(&mut files.outboard, pair.offset, &pair.bytes)
                    .map_err(BackendError::io("write", name))?;
                pair.is_stored = true;
            }
        }
        self.present.insert(group..group + 1);
        Ok(())
    }

    /// Makes a new entry: the size first, so that data are never without an outboard.
    fn create(&self) -> Result<Files<B>> {
        let (inner, hash) = (&self.inner, self.hash);
        inner.kernel.check_writable()?;
        with_uuid(&*inner.env.entropy, |uuid| {
            let data = FileName::PartialData(hash, uuid);
            let outboard = FileName::PartialOutboard(hash, uuid);
            let is_ours = |claim: &Claim| {
                let state = inner.kernel.state();
                let mut partials = state.index.partials(hash).iter();
                partials.all(|files| files.uuid != claim.uuid())
            };
            let claim = inner.kernel.claim(uuid).filter(is_ours);
            let claim = claim.ok_or_else(|| BackendError::Exists {
                name: outboard.clone(),
            })?;
            let staged = self.stage(&data, &outboard);
            if let Err(error) = &staged
                && !matches!(error, BackendError::Exists { .. })
            {
                // What failed may have been done all the same.
                let names = [data, outboard];
                if inner.checked(inner.backend.remove(&names)).is_ok() {
                    let mut state = inner.kernel.state();
                    names.iter().for_each(|name| state.index.remove(name));
                }
            }
            let (data, outboard) = staged?;
            let mut files = Files::new(claim, data, outboard);
            files.is_bare = true;
            Ok(files)
        })
    }

    /// Stages both files of an entry, or none when another entry has one of the names.
    fn stage(
        &self,
        data: &FileName,
        outboard: &FileName,
    ) -> Result<(B::Staged, B::Staged), BackendError> {
        let backend = &self.inner.backend;
        let staged = self.new_outboard(outboard)?;
        match backend.stage_new(data) {
            Ok(file) => {
                let mut state = self.inner.kernel.state();
                state.index.insert(data, EntryKind::File);
                Ok((file, staged))
            }
            Err(error) => {
                if backend.discard(staged).is_ok() {
                    self.inner.kernel.state().index.remove(outboard);
                }
                Err(error)
            }
        }
    }

    fn new_outboard(&self, name: &FileName) -> Result<B::Staged, BackendError> {
        let backend = &self.inner.backend;
        let mut outboard = backend.stage_new(name)?;
        if let Err(error) = write_all_at(&mut outboard, &self.size.to_le_bytes(), 0) {
            let _ = backend.discard(outboard);
            return Err(BackendError::io("write", name)(error));
        }
        let mut state = self.inner.kernel.state();
        state.index.insert(name, EntryKind::File);
        Ok(outboard)
    }

    /// Writes what is proved and not written yet. It is not synced: what a power loss takes is received again,
    /// since nothing here is believed before it was proved once more.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Some(files) = &mut self.files else {
            return Ok(());
        };
        let uuid = files.claim.uuid();
        files
            .pair_run
            .flush(&mut files.outboard)
            .map_err(BackendError::io(
                "write",
                FileName::PartialOutboard(self.hash, uuid),
            ))?;
        files
            .data_run
            .flush(&mut files.data)
            .map_err(BackendError::io(
                "write",
                FileName::PartialData(self.hash, uuid),
            ))?;
        files.is_bare &= self.present.is_empty();
        Ok(())
    }

    /// Publishes an entry that is whole: outboard, then data, which commit it.
    pub(super) fn complete(mut self) -> Result<()> {
        self.flush()?;
        let (hash, size) = (self.hash, self.size);
        let inner = Arc::clone(&self.inner);
        let Some(files) = self.files.take() else {
            return Ok(());
        };
        if inner.is_proved(hash, size) {
            drop(files);
        } else {
            files.publish(&inner, hash, size)?;
        }
        inner.drop_needless_parts(hash)
    }
}

impl<B: Backend> Drop for Filling<B> {
    fn drop(&mut self) {
        // What cannot be written now is received again.
        let _ = self.flush();
        if let Some(files) = self.files.take_if(|files| files.is_bare) {
            files.discard(&self.inner, self.hash);
        }
    }
}

impl<B: Backend> Files<B> {
    fn new(claim: Claim, data: B::Staged, outboard: B::Staged) -> Self {
        Self {
            claim,
            data,
            outboard,
            data_run: Run::default(),
            pair_run: Run::default(),
            is_bare: false,
        }
    }

    /// Removes an entry that has nothing.
    fn discard(self, inner: &Inner<B>, hash: Hash) {
        let uuid = self.claim.uuid();
        let gone = [
            (self.data, FileName::PartialData(hash, uuid)),
            (self.outboard, FileName::PartialOutboard(hash, uuid)),
        ];
        for (staged, name) in gone {
            if inner.backend.discard(staged).is_ok() {
                inner.kernel.state().index.remove(&name);
            }
        }
    }

    fn publish(self, inner: &Inner<B>, hash: Hash, size: u64) -> Result<()> {
        let uuid = self.claim.uuid();
        let (data_name, outboard_name) = (
            FileName::PartialData(hash, uuid),
            FileName::PartialOutboard(hash, uuid),
        );
        let mut data = self.data;
        cut(&mut data, size).map_err(BackendError::io("cut", &data_name))?;
        let mut outboard = Some(self.outboard);
        let mut publication = Publication::default();
        if size > GROUP
            && let Some(mut outboard) = outboard.take()
        {
            cut(&mut outboard, outboard_len(size))
                .map_err(BackendError::io("cut", &outboard_name))?;
            publication.push_partial(
                Stage::partial(&inner.backend, outboard),
                outboard_name.clone(),
                FileName::Outboard(hash),
                Entry::OUTBOARD,
            );
        }
        publication.push_partial(
            Stage::partial(&inner.backend, data),
            data_name,
            FileName::Data(hash),
            Entry::DATA,
        );
        publication.run(inner)?;
        // A blob of one group has no outboard. One that stays is removed when the store is opened.
        if let Some(outboard) = outboard
            && inner.backend.discard(outboard).is_ok()
        {
            inner.kernel.state().index.remove(&outboard_name);
        }
        Ok(())
    }
}

/// Bytes behind the end belong to no blob. Where some are missing, publishing says so.
fn cut(file: &mut (impl ReadAt + WriteAt), len: u64) -> io::Result<()> {
    match file.size()? > len {
        true => file.set_len(len),
        false => Ok(()),
    }
}

/// Bytes that stand one after the other, gathered before they are written.
#[derive(Default)]
struct Run {
    at: u64,
    bytes: Vec<u8>,
}

impl Run {
    fn put(&mut self, file: &mut impl WriteAt, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.at + self.bytes.len() as u64 != at || self.bytes.len() >= WRITE_PIECE {
            self.flush(file)?;
            self.at = at;
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    fn flush(&mut self, file: &mut impl WriteAt) -> io::Result<()> {
        write_all_at(file, &self.bytes, self.at)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}
