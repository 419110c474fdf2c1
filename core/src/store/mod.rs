//! The store: what its users call.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use crate::{
    Backend, BackendError, Entropy, Env, Error, FileName, Hash, Result, Uuid,
    content::Page,
    kernel::{Kernel, TempTag},
    limits::UUID_ATTEMPTS,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

mod batch;
mod care;
mod collection;
mod copy;
mod export;
mod footprint;
mod gc;
mod hashing;
mod heal;
mod import;
mod list;
mod mark;
mod open;
mod partial;
mod publication;
mod receive;
mod send;
mod stat;
mod sweep;
mod tags;
mod turns;
mod usage;

pub use batch::Batch;
pub use care::{
    Checked, Depth, Finding, Mending, Outcome, ParsePositionError, Position, Remedy, RepairOptions,
    Repaired, Repairing, Salvaged, SalvagedFrom, Severity, Verified, VerifyOptions,
};
pub use copy::{Copied, copy};
pub use export::{ExportMethod, ExportMode, ExportOptions, Exported};
pub use footprint::{Footprint, Share, Subject, TagUsage, Tagged};
pub use gc::{GcItem, GcOptions, GcPlan, Reason, Spared, Swept};
pub use import::{ImportOptions, Imported, Novelty};
pub use list::{BlobInfo, Blobs, Location, State, Status};
pub use open::{Locking, Mode, Odd, OpenOptions, Recovery, TagsFound};
pub use partial::{Available, PartialInfo};
pub use receive::{PartialBlob, ReceiveOptions, Received};
pub use send::{SendOptions, Sent};
pub use stat::{FileInfo, HomeInfo, Place, Reached, ReachedBy, UnreadSequence};
pub use usage::{Stored, Usage};

/// Pages of outboards that are kept in memory: 16 KiB each, 4 MiB in all, those of a blob of 1 GiB.
const CACHED_PAGES: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Pairs above the pages that are kept in memory: about 300 bytes each, 600 KiB in all, those of a blob of 8 GiB.
const CACHED_ABOVE: NonZeroUsize = NonZeroUsize::new(2048).unwrap();
/// Blobs of at most one group that are kept in memory: 4 MiB in all.
const CACHED_BLOBS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A content-addressed store over a [`Backend`].
///
/// A handle: clones are cheap and mean the same opening. With a back end that is `Send + Sync` so is the
/// store, and any number of threads may read and import at once. What a call acknowledges is durable;
/// dropping the last handle only releases the lock.
pub struct Store<B: Backend> {
    pub(crate) inner: Arc<Inner<B>>,
}

impl<B: Backend> Clone for Store<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<B: Backend> std::fmt::Debug for Store<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

pub(crate) struct Inner<B: Backend> {
    pub(crate) backend: B,
    pub(crate) env: Env,
    pub(crate) kernel: Arc<Kernel>,
    /// Held over a change of `tags.meta`, I/O included. Never taken under the state lock.
    pub(crate) tag_writer: Mutex<()>,
    /// Those who want to change tags. Its lock is held for a moment, also by who holds `tag_writer`.
    pub(crate) tag_turns: turns::Turns,
    /// Held over a change of any `.paths`, likewise.
    pub(crate) path_writer: Mutex<()>,
    /// Held shared while files get published names or are synced by these, exclusively while a published name
    /// is taken away other than by deletion: so that the index has the names in the order in which the disk got
    /// them, and what it has is there. Taken after `path_writer`, and never while a deletion is awaited.
    pub(crate) publishing: RwLock<()>,
    /// By blob and page.
    pub(crate) pages: Cache<(Hash, u64), Arc<Page>>,
    /// What is above the pages, a pair each, by blob and the offset of the pair.
    pub(crate) above: Cache<(Hash, u64), Arc<Page>>,
    pub(crate) small: Cache<Hash, Arc<[u8]>>,
    /// Whether recovery and collection may delete: the lock is held here, or by a host for this process.
    pub(crate) may_delete: bool,
    pub(crate) read_only: bool,
    pub(crate) _lock: Option<B::Lock>,
}

/// Proved content, the least recently used of which goes first.
type Cache<K, T> = Mutex<LruCache<K, T>>;

/// Takes a lock whose data are whole whenever it is free.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`locked`], for one of many holders.
pub(crate) fn shared(lock: &RwLock<()>) -> RwLockReadGuard<'_, ()> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`locked`], for the only holder.
pub(crate) fn exclusive(lock: &RwLock<()>) -> RwLockWriteGuard<'_, ()> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Backend> Inner<B> {
    pub(crate) fn new(
        backend: B,
        env: Env,
        kernel: Arc<Kernel>,
        lock: Option<B::Lock>,
        may_delete: bool,
        read_only: bool,
    ) -> Self {
        Self {
            backend,
            env,
            kernel,
            tag_writer: Mutex::default(),
            tag_turns: turns::Turns::default(),
            path_writer: Mutex::default(),
            publishing: RwLock::default(),
            pages: Mutex::new(LruCache::new(CACHED_PAGES)),
            above: Mutex::new(LruCache::new(CACHED_ABOVE)),
            small: Mutex::new(LruCache::new(CACHED_BLOBS)),
            may_delete,
            read_only,
            _lock: lock,
        }
    }

    /// Passes a result on; an error that leaves the disk in doubt ends all writing.
    pub(crate) fn checked<T, E: Into<Error>>(&self, result: Result<T, E>) -> Result<T> {
        result.map_err(|error| {
            let error = error.into();
            self.kernel.poison_on(&error);
            error
        })
    }

    /// Stages a new file under a name made from a fresh uuid.
    pub(crate) fn stage(&self, name: impl Fn(Uuid) -> FileName) -> Result<Stage<'_, B>> {
        let staged = stage_new(&self.backend, &*self.env.entropy, name)?;
        Ok(Stage {
            backend: &self.backend,
            staged: Some(staged),
            is_kept: false,
        })
    }

    /// Keeps a blob alive while it is worked on.
    pub(crate) fn hold(&self, hash: Hash) -> TempTag {
        self.kernel.protect(crate::HashAndFormat::raw(hash))
    }
}

/// Stages a new file.
pub(crate) fn stage_new<B: Backend>(
    backend: &B,
    entropy: &dyn Entropy,
    name: impl Fn(Uuid) -> FileName,
) -> Result<B::Staged> {
    with_uuid(entropy, |uuid| backend.stage_new(&name(uuid)))
}

/// Does what needs a fresh uuid; one that is taken is tried anew a bounded number of times.
pub(crate) fn with_uuid<T>(
    entropy: &dyn Entropy,
    act: impl Fn(Uuid) -> Result<T, BackendError>,
) -> Result<T> {
    for _ in 0..UUID_ATTEMPTS {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes).map_err(Error::Entropy)?;
        match act(Uuid::from_bytes(bytes)) {
            Err(BackendError::Exists { .. }) => {}
            other => return Ok(other?),
        }
    }
    Err(Error::NoFreeName)
}

/// A staged file that is discarded, unless it is taken out to be published or partial.
pub(crate) struct Stage<'a, B: Backend> {
    backend: &'a B,
    staged: Option<B::Staged>,
    /// Whether it stays when it is not published.
    is_kept: bool,
}

impl<'a, B: Backend> Stage<'a, B> {
    /// A partial file: it may be all there is of its blob.
    pub(crate) fn partial(backend: &'a B, staged: B::Staged) -> Self {
        Self {
            backend,
            staged: Some(staged),
            is_kept: true,
        }
    }

    pub(crate) fn file(&mut self) -> &mut B::Staged {
        // `staged` is taken out by `into_inner` and `drop` alone, and both end this value.
        #[expect(clippy::expect_used)]
        self.staged
            .as_mut()
            .expect("a stage has its file until it ends")
    }

    pub(crate) fn into_inner(mut self) -> Option<B::Staged> {
        self.staged.take()
    }
}

impl<B: Backend> Drop for Stage<'_, B> {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take().filter(|_| !self.is_kept) {
            // What cannot be removed now is removed by the next opening: its name says that it may be.
            let _ = self.backend.discard(staged);
        }
    }
}
