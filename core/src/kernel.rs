//! The state that all parts of an opening share, and the one lock over it. Nothing here does I/O.
//!
//! Whoever wants a blob to live *protects* it: import, tag, receive and temporary tags all pass through
//! [`Kernel::protect`]. Whoever wants it gone marks it as being deleted under the same lock, and only if
//! nothing protects it; the files go outside the lock, and who protects that hash meanwhile waits for the
//! outcome.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{
    BlobFormat, Error, FileName, Hash, HashAndFormat, NotWritable, Result, TagDamage, TagMap, Uuid,
    index::{Entry, Index},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    text::chain,
};

/// The shared state of one opening.
#[derive(Debug)]
pub(crate) struct Kernel {
    state: Mutex<State>,
    /// Signals that a deletion has ended.
    deleted: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) tags: Tags,
    /// Why nothing is written any more.
    refusal: Option<NotWritable>,
    /// How often each root is held by temporary tags and by work under way.
    leases: BTreeMap<HashAndFormat, usize>,
    /// Blobs whose files are being removed right now.
    deleting: BTreeSet<Hash>,
    /// Partial entries that are being filled right now: as many as there are receivers.
    filling: Vec<Uuid>,
    /// Collections between mark and sweep.
    epochs: usize,
    /// What was protected since the oldest of them began.
    touched: BTreeSet<HashAndFormat>,
    /// Grows with every hash sequence that joins `touched`.
    sequences: u64,
}

/// What is known of the tag database.
#[derive(Debug, Clone)]
pub(crate) enum Tags {
    Known(KnownTags),
    /// There is no file although there are data.
    Missing,
    Damaged(TagDamage),
}

#[derive(Debug, Clone)]
pub(crate) struct KnownTags {
    pub(crate) map: Arc<TagMap>,
    /// Whether the file has a trailer.
    pub(crate) protected: bool,
    /// The hash of the file's bytes, when there is a file.
    pub(crate) file: Option<Hash>,
    /// Whether the file is known to survive a power loss.
    pub(crate) durable: bool,
}

impl Kernel {
    pub(crate) fn new(index: Index, tags: Tags, refusal: Option<NotWritable>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                index,
                tags,
                refusal,
                leases: BTreeMap::new(),
                deleting: BTreeSet::new(),
                filling: Vec::new(),
                epochs: 0,
                touched: BTreeSet::new(),
                sequences: 0,
            }),
            deleted: Condvar::new(),
        })
    }

    /// The state, for a moment: no I/O and no callback while it is held.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No operation on the state panics half-way, so that a panic elsewhere in a thread that holds
        // the lock leaves a whole state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writing is allowed.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.state().check_writable()
    }

    /// Ends all writing when `error` says that memory and disk may differ, or that a promise may be broken.
    pub(crate) fn poison_on(&self, error: &Error) {
        if error.poisons() {
            self.poison(error);
        }
    }

    /// Ends all writing.
    pub(crate) fn poison(&self, error: &Error) {
        let mut state = self.state();
        if state.refusal.is_none() {
            state.refusal = Some(NotWritable::Poisoned(chain(error)));
        }
    }

    /// Keeps `value` alive until the returned tag is dropped. Waits while its files are being removed.
    pub(crate) fn protect(self: &Arc<Self>, value: HashAndFormat) -> TempTag {
        let mut state = self.state();
        while state.deleting.contains(&value.hash) {
            state = self
                .deleted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.touch(value);
        *state.leases.entry(value).or_default() += 1;
        TempTag {
            kernel: Arc::clone(self),
            value,
        }
    }

    /// Takes a partial entry to fill it; `None` when another one is filling it.
    pub(crate) fn claim(self: &Arc<Self>, uuid: Uuid) -> Option<Claim> {
        let mut state = self.state();
        if state.is_filled(uuid) {
            return None;
        }
        state.filling.push(uuid);
        Some(Claim {
            kernel: Arc::clone(self),
            uuid,
        })
    }

    /// Waits until none of these blobs is being removed.
    pub(crate) fn await_deletions(&self, hashes: &[Hash]) {
        let mut state = self.state();
        while hashes.iter().any(|hash| state.deleting.contains(hash)) {
            state = self
                .deleted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn release(&self, value: HashAndFormat) {
        let mut state = self.state();
        if let Some(count) = state.leases.get_mut(&value) {
            *count -= 1;
            if *count == 0 {
                state.leases.remove(&value);
            }
        }
    }

    /// Begins to remember what is protected from now on.
    pub(crate) fn begin_epoch(self: &Arc<Self>) -> Epoch {
        self.state().epochs += 1;
        Epoch {
            kernel: Arc::clone(self),
        }
    }

    /// Marks those of `hashes` as being deleted that nothing protects and `spared` does not spare, and
    /// returns their files. `None` when a hash sequence was protected after `sequences` was read: its
    /// children have to be spared first.
    pub(crate) fn begin_deleting(
        &self,
        hashes: &[Hash],
        sequences: u64,
        spared: impl Fn(Hash, Entry) -> bool,
    ) -> Result<Option<Vec<Doomed>>> {
        let mut state = self.state();
        state.check_writable()?;
        if state.sequences != sequences {
            return Ok(None);
        }
        let doomed: Vec<Doomed> = hashes
            .iter()
            .filter(|hash| {
                !state.is_protected(**hash)
                    && !state.deleting.contains(hash)
                    && !spared(**hash, state.index.get(**hash))
            })
            .map(|hash| Doomed {
                hash: *hash,
                names: state.index.names(*hash),
            })
            .filter(|doomed| !doomed.names.is_empty())
            .collect();
        state
            .deleting
            .extend(doomed.iter().map(|doomed| doomed.hash));
        Ok(Some(doomed))
    }

    /// Forgets the names that are gone, and lets those go on who wait for the outcome.
    pub(crate) fn end_deleting(&self, hashes: &[Hash], gone: &[Vec<FileName>]) {
        let mut state = self.state();
        for name in gone.iter().flatten() {
            state.index.remove(name);
        }
        for hash in hashes {
            state.deleting.remove(hash);
        }
        self.deleted.notify_all();
    }
}

/// A partial entry that nobody else fills.
#[derive(Debug)]
pub(crate) struct Claim {
    kernel: Arc<Kernel>,
    uuid: Uuid,
}

impl Claim {
    pub(crate) fn uuid(&self) -> Uuid {
        self.uuid
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.kernel
            .state()
            .filling
            .retain(|uuid| *uuid != self.uuid);
    }
}

/// A blob whose files are about to go.
#[derive(Debug)]
pub(crate) struct Doomed {
    pub(crate) hash: Hash,
    pub(crate) names: Vec<FileName>,
}

impl State {
    /// The tags are known again: they keep nobody from writing.
    pub(crate) fn forgive_tags(&mut self) {
        if let Some(NotWritable::TagsDamaged(_)) = self.refusal {
            self.refusal = None;
        }
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        match &self.refusal {
            Some(refusal) => Err(Error::NotWritable(refusal.clone())),
            None => Ok(()),
        }
    }

    /// Remembers for collections under way that `value` must live.
    pub(crate) fn touch(&mut self, value: HashAndFormat) {
        if self.epochs > 0 && self.touched.insert(value) && value.format == BlobFormat::HashSeq {
            self.sequences += 1;
        }
    }

    /// Roots that temporary tags and work under way hold now.
    pub(crate) fn leases(&self) -> Vec<HashAndFormat> {
        self.leases.keys().copied().collect()
    }

    /// Whether somebody is filling a partial entry.
    pub(crate) fn is_filled(&self, uuid: Uuid) -> bool {
        self.filling.contains(&uuid)
    }

    /// Whether a temporary tag or work under way holds the blob itself.
    pub(crate) fn is_leased(&self, hash: Hash) -> bool {
        let held = |value| self.leases.contains_key(&value);
        held(HashAndFormat::raw(hash)) || held(HashAndFormat::hash_seq(hash))
    }

    /// Whether the blob is leased, or was protected since the oldest epoch began.
    pub(crate) fn is_protected(&self, hash: Hash) -> bool {
        let touched = |value| self.touched.contains(&value);
        self.is_leased(hash)
            || touched(HashAndFormat::raw(hash))
            || touched(HashAndFormat::hash_seq(hash))
    }

    /// The hash sequences among what was protected since the oldest epoch began, and their count.
    pub(crate) fn touched_sequences(&self) -> (u64, Vec<Hash>) {
        let hashes = self
            .touched
            .iter()
            .filter(|value| value.format == BlobFormat::HashSeq)
            .map(|value| value.hash)
            .collect();
        (self.sequences, hashes)
    }
}

/// The time between mark and sweep of one collection.
#[derive(Debug)]
pub(crate) struct Epoch {
    kernel: Arc<Kernel>,
}

impl Epoch {
    /// Whether the epoch is one of this opening.
    pub(crate) fn is_of(&self, kernel: &Arc<Kernel>) -> bool {
        Arc::ptr_eq(&self.kernel, kernel)
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        let mut state = self.kernel.state();
        state.epochs -= 1;
        if state.epochs == 0 {
            state.touched.clear();
        }
    }
}

/// Keeps a blob alive until it is dropped; of a hash sequence the blobs it lists as well.
///
/// It lives in memory only: what should outlive the process needs a tag. Dropping it needs no I/O.
#[must_use = "the blob may be collected as soon as this is dropped"]
pub struct TempTag {
    kernel: Arc<Kernel>,
    value: HashAndFormat,
}

impl TempTag {
    /// The blob.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.value.hash
    }

    /// The blob and what its bytes mean.
    #[must_use]
    pub fn value(&self) -> HashAndFormat {
        self.value
    }
}

impl fmt::Debug for TempTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TempTag({})", self.value)
    }
}

impl Drop for TempTag {
    fn drop(&mut self) {
        self.kernel.release(self.value);
    }
}
