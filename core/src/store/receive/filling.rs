//! A partial entry that is being filled: what is there of it, and how more gets there.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use rangemap::RangeSet;

use crate::{
    Backend, BackendError, EntryKind, Error, FileName, Hash, Result, Uuid,
    io::write_all_at,
    kernel::Claim,
    parts::{Part, Parts},
    progress::{Progress, Watch},
    proof::Step,
    store::{Available, Inner, partial::len_of, receive::files::Files, with_uuid},
    tree::{GROUP, GROUP_LEN, PAIR_LEN, group_range, groups},
};

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
        for uuid in this.by_worth(&parts, watch)? {
            if let Some(index) = parts.entries.iter().position(|part| part.uuid == uuid)
                && let Some(files) = this.resume(&parts.entries[index])
            {
                this.files = Some(files);
                parts.entries.swap(0, index);
                break;
            }
        }
        if !parts.prove(size) {
            parts.entries.retain(|part| part.claim == size);
        }
        this.gather(&parts, watch)?;
        Ok(this)
    }

    /// The entries that nobody is filling. What does not open has nothing to give.
    fn idle_parts(&self) -> Parts<B::Object> {
        let (mut parts, _) = self.inner.open_parts(self.hash, Some(self.size));
        let state = self.inner.kernel.state();
        parts.entries.retain(|part| !state.is_filled(part.uuid));
        parts
    }

    /// Takes over what entries have that claim another size, once this one is proved. Before that they are kept
    /// apart: whoever lies about a size would make the store copy all that it has.
    pub(super) fn adopt(&mut self, watch: &mut Watch<'_>) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        self.flush()?;
        let uuid = self.files.as_ref().map(|files| files.claim.uuid());
        let (mut parts, _) = self.inner.open_parts(self.hash, Some(self.size));
        {
            let state = self.inner.kernel.state();
            let is_own = |part: &Part<B::Object>| Some(part.uuid) == uuid;
            parts
                .entries
                .retain(|part| is_own(part) || !state.is_filled(part.uuid));
            if let Some(own) = parts.entries.iter().position(is_own) {
                parts.entries.swap(0, own);
            }
        }
        match parts.entries.iter().all(|part| part.claim == self.size) {
            true => Ok(()),
            false => self.gather(&parts, watch),
        }
    }

    /// Those that claim this size, the one with most first.
    fn by_worth(&self, parts: &Parts<B::Object>, watch: &mut Watch<'_>) -> Result<Vec<Uuid>> {
        let claims_it = |part: &&Part<B::Object>| part.claim == self.size;
        let candidates: Vec<_> = parts.entries.iter().filter(claims_it).collect();
        let mut ranked = Vec::new();
        for part in &candidates {
            let worth = match candidates.len() {
                1 => 0,
                _ => len_of(&parts.groups_of(part, watch)?, self.size),
            };
            let at = ranked.partition_point(|(other, _)| *other >= worth);
            ranked.insert(at, (worth, part.uuid));
        }
        Ok(ranked.into_iter().map(|(_, uuid)| uuid).collect())
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
        let outboard = match part.outboard {
            Some(_) => backend.resume(&name),
            // What it needs of the one with the final name is copied.
            None => self.new_outboard(&name),
        };
        Some(Files::new(claim, data, outboard.ok()?))
    }

    /// Looks at what is there, group by group, and takes over what only other entries have. The entry that is
    /// filled, if there is one already, comes first.
    fn gather(&mut self, parts: &Parts<B::Object>, watch: &mut Watch<'_>) -> Result<()> {
        let own = self.files.as_ref().map(|files| files.claim.uuid());
        let own = parts.entries.first().filter(|part| Some(part.uuid) == own);
        let (has_own, is_paired) = (own.is_some(), own.is_some_and(|own| own.outboard.is_some()));
        let mut way = Way::default();
        let mut buf = vec![0; GROUP_LEN];
        let total = self.size;
        let mut outcome = Ok(());
        let flow = parts.walk(total).run(self.hash, &mut |step| {
            let leaf = match step {
                Step::Unknown(_) => return ControlFlow::Continue(()),
                Step::Pair(pair) => {
                    let is_stored = is_paired && pair.source == 0;
                    way.add(pair.groups, pair.offset, pair.bytes, is_stored);
                    return ControlFlow::Continue(());
                }
                Step::Known(leaf) => leaf,
            };
            outcome = match parts.read(&leaf, total, &mut buf) {
                Ok(Some((0, _))) if has_own => self.keep(leaf.group, &mut way),
                Ok(Some((_, bytes))) => self.store(leaf.group, bytes, &mut way).map(|_| ()),
                // What cannot be read can be received once more.
                Ok(None) | Err(_) => Ok(()),
            };
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
        if let Some(files) = &self.files
            && !files.data_run.takes(group * GROUP)
        {
            // What proves it goes first: a process may be killed at any time.
            self.flush()?;
        }
        if let Some(files) = &mut self.files {
            files.data_run.put(group * GROUP, bytes);
        }
        self.keep(group, way)?;
        Ok(true)
    }

    /// Notes a group that the entry has, and gives it the pairs above.
    fn keep(&mut self, group: u64, way: &mut Way) -> Result<()> {
        way.leave(group);
        if let Some(files) = &mut self.files {
            for pair in way.0.iter_mut().filter(|pair| !pair.is_stored) {
                if !files.pair_run.takes(pair.offset) {
                    let name = FileName::PartialOutboard(self.hash, files.claim.uuid());
                    let written = files.pair_run.flush(&mut files.outboard);
                    written.map_err(BackendError::io("write", name))?;
                }
                files.pair_run.put(pair.offset, &pair.bytes);
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
            files.is_new = true;
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
        self.inner.kernel.check_writable()?;
        let uuid = files.claim.uuid();
        let names = (
            FileName::PartialOutboard(self.hash, uuid),
            FileName::PartialData(self.hash, uuid),
        );
        // Both, whatever becomes of one.
        let pairs = files.pair_run.flush(&mut files.outboard);
        let data = files.data_run.flush(&mut files.data);
        pairs.map_err(BackendError::io("write", names.0))?;
        Ok(data.map_err(BackendError::io("write", names.1))?)
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
        let is_bare = |files: &mut Files<B>| files.is_new && !files.data_run.has_written;
        if let Some(files) = self.files.take_if(is_bare)
            && self.inner.kernel.check_writable().is_ok()
        {
            files.discard(&self.inner, self.hash);
        }
    }
}
