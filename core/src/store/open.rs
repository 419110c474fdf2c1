//! Opening: lock, list, fold, mend.

use std::ops::ControlFlow;

use crate::{
    Backend, BackendError, EntryKind, Env, Error, FileName, Hash, ListedName, NotWritable, Result,
    TagDamage, TagFile, TagMap, WriteAt,
    index::{Entry, Gathering, Index},
    io::{read_capped, write_all_at},
    kernel::{Kernel, KnownTags, Tags},
    limits::MAX_TAGS_FILE,
    progress::{Progress, Watch, unwatched},
    store::{Inner, Store, stage_new},
    text::{chain, lossless},
};

/// How many odd entries are told one by one; the others are counted.
const ODD_TOLD: usize = 1000;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Reading and writing.
    #[default]
    ReadWrite,
    /// Reading only: nothing is locked, mended or written. Works on a read-only medium, and beside a writer.
    ReadOnly,
}

/// Who keeps other writers out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Locking {
    /// This opening takes the exclusive lock.
    #[default]
    Exclusive,
    /// Whoever started this process holds the lock for it.
    HostHolds,
    /// Nobody. Then nothing is ever deleted: no leftovers of others at open, and nothing by collection.
    None,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// For what.
    pub mode: Mode,
    /// Who keeps other writers out. Of no meaning in a read-only opening.
    pub locking: Locking,
}

impl OpenOptions {
    /// These options with another mode.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// These options with another way of locking.
    #[must_use]
    pub fn locking(mut self, locking: Locking) -> Self {
        self.locking = locking;
        self
    }
}

/// What an opening found and mended.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// Leftover temporary files that were removed, and what interrupted completions had left over.
    pub removed: Vec<FileName>,
    /// Leftover temporary files that could not be removed, and why.
    pub not_removed: Vec<(FileName, String)>,
    /// Blobs whose interrupted completion was finished.
    pub completed: Vec<Hash>,
    /// Half partial entries, data without outboard or the other way round. They are kept.
    pub unpaired: Vec<FileName>,
    /// Outboards of blobs that have no data and no external path. Collection removes them.
    pub orphan_outboards: Vec<Hash>,
    /// Entries that are none of the store's, or no regular files: left alone and never served. At most a
    /// thousand are told.
    pub odd: Vec<Odd>,
    /// How many such entries there are.
    pub odd_count: u64,
    /// What the tag database is like.
    pub tags: TagsFound,
}

/// An entry in a store's directory that the store does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Its name, escaped where it would confuse a terminal.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Whether it bears a name that only the store's own files should bear.
    pub is_typed: bool,
}

/// The state of the tag database at open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TagsFound {
    /// Readable, with a checksum.
    #[default]
    Protected,
    /// Readable, without a checksum: the peer wrote it, or nobody yet. The next write protects it.
    Unprotected,
    /// Missing in a store with data. Nothing is collected or tagged until it is confirmed that no tag is lost.
    Missing,
    /// Damaged. The store is read-only.
    Damaged(TagDamage),
}

impl<B: Backend> Store<B> {
    /// Opens a store for reading and writing.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when another opening holds the lock; [`BackendError::NoLocks`] and
    /// [`BackendError::NoSync`] where the platform lacks what is needed; or what the back end says. What is
    /// wrong with single files is no error: it is told in the [`Recovery`], and when they are used.
    pub fn open(backend: B, env: Env) -> Result<(Self, Recovery)> {
        Self::open_with(backend, env, OpenOptions::default(), &mut unwatched)
    }

    /// Opens a store for reading only, without a lock.
    ///
    /// # Errors
    /// What the back end says.
    pub fn open_read_only(backend: B, env: Env) -> Result<(Self, Recovery)> {
        let options = OpenOptions::default().mode(Mode::ReadOnly);
        Self::open_with(backend, env, options, &mut unwatched)
    }

    /// Opens a store in some other way.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Cancelled`] when `watch` says so.
    pub fn open_with(
        backend: B,
        env: Env,
        options: OpenOptions,
        watch: &mut Watch<'_>,
    ) -> Result<(Self, Recovery)> {
        let read_only = options.mode == Mode::ReadOnly;
        if !read_only {
            backend.check_promises()?;
        }
        let lock = match options.locking {
            Locking::Exclusive if !read_only => Some(backend.lock()?),
            _ => None,
        };
        let may_delete = !read_only && options.locking != Locking::None;
        let listing = Listing::read(&backend, watch)?;
        let mut recovery = listing.report();
        let mut tags = load_tags(&backend, listing.index.has_data());
        // Where the tags are missing or damaged, a temporary file may hold the only good ones.
        if may_delete && matches!(tags, Tags::Known(_)) {
            remove_leftovers(&backend, listing.leftovers, &mut recovery)?;
        }
        let mut refusal = read_only.then_some(NotWritable::ReadOnly);
        match &tags {
            Tags::Damaged(damage) => {
                refusal.get_or_insert(NotWritable::TagsDamaged(damage.clone()));
            }
            Tags::Known(KnownTags { file: None, .. }) if !read_only => {
                // From now on a missing file is damage, since every writer begins with one.
                tags = Tags::Known(publish_tags(&backend, &env, TagMap::new())?);
            }
            Tags::Known(_) | Tags::Missing => {}
        }
        recovery.tags = match &tags {
            Tags::Known(known) if known.protected => TagsFound::Protected,
            Tags::Known(_) => TagsFound::Unprotected,
            Tags::Missing => TagsFound::Missing,
            Tags::Damaged(damage) => TagsFound::Damaged(damage.clone()),
        };
        let writable = refusal.is_none();
        let kernel = Kernel::new(listing.index, tags, refusal);
        let store = Self {
            inner: Inner::new(backend, env, kernel, lock, may_delete, read_only).into(),
        };
        if writable && may_delete {
            store.finish_completions(&mut recovery, watch)?;
        }
        Ok((store, recovery))
    }

    /// Reads listing and tags anew, in a read-only opening: a writer beside it may have changed both.
    ///
    /// # Errors
    /// What the back end says. In a writable opening nothing is done: its own picture is the true one.
    pub fn refresh(&self) -> Result<()> {
        let inner = &*self.inner;
        if !inner.read_only {
            return Ok(());
        }
        let listing = Listing::read(&inner.backend, &mut unwatched)?;
        let tags = load_tags(&inner.backend, listing.index.has_data());
        let mut state = inner.kernel.state();
        state.index = listing.index;
        state.tags = tags;
        Ok(())
    }
}

/// One reading of a store's directory.
#[derive(Default)]
pub(super) struct Listing {
    index: Index,
    pub(super) leftovers: Vec<FileName>,
    pub(super) odd: Vec<Odd>,
    pub(super) odd_count: u64,
}

impl Listing {
    pub(super) fn read<B: Backend>(backend: &B, watch: &mut Watch<'_>) -> Result<Self> {
        let mut this = Self::default();
        let mut gathering = Gathering::default();
        let mut entries = 0;
        let mut flow = watch(Progress::Listed { entries });
        backend.list(&mut |listed| {
            this.take(listed.name, listed.kind, &mut gathering);
            entries += 1;
            if entries % 10_000 == 0 && flow.is_continue() {
                flow = watch(Progress::Listed { entries });
            }
        })?;
        this.index = gathering.into_index();
        match flow {
            ControlFlow::Continue(()) => Ok(this),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    fn take(&mut self, name: &ListedName<'_>, kind: EntryKind, gathering: &mut Gathering) {
        match name {
            // Whatever bears that name: opening it tells what it is.
            ListedName::Typed(FileName::Tags) => return,
            ListedName::Typed(FileName::Lock | FileName::NamedMeta(_))
                if kind == EntryKind::File =>
            {
                return;
            }
            ListedName::Typed(name) if name.is_ephemeral() && kind == EntryKind::File => {
                self.leftovers.push(name.clone());
                return;
            }
            ListedName::Typed(name) if kind == EntryKind::File => {
                gathering.insert(name, kind);
                return;
            }
            _ => {}
        }
        self.odd_count += 1;
        if self.odd.len() < ODD_TOLD {
            let (name, is_typed) = match name {
                ListedName::Typed(name) => (name.to_string(), true),
                ListedName::Foreign(name) => (lossless(name.as_encoded_bytes()), false),
            };
            self.odd.push(Odd {
                name,
                kind,
                is_typed,
            });
        }
    }

    fn report(&self) -> Recovery {
        let mut recovery = Recovery {
            odd: self.odd.clone(),
            odd_count: self.odd_count,
            ..Recovery::default()
        };
        for (hash, entry) in self.index.entries() {
            if entry.has(Entry::OUTBOARD) && !entry.is_complete() {
                recovery.orphan_outboards.push(hash);
            }
        }
        for (hash, entry, partials) in self.index.all_partials() {
            for files in partials {
                if !files.data {
                    let half = FileName::PartialOutboard(hash, files.uuid);
                    recovery.unpaired.push(half);
                }
                // Partial data pair with a final outboard as well: a completion was interrupted.
                if !files.outboard && !entry.has(Entry::OUTBOARD) {
                    let half = FileName::PartialData(hash, files.uuid);
                    recovery.unpaired.push(half);
                }
            }
        }
        recovery
    }
}

/// Removes temporary files. One that cannot be removed stays; only a failed sync is an error.
fn remove_leftovers<B: Backend>(
    backend: &B,
    mut names: Vec<FileName>,
    recovery: &mut Recovery,
) -> Result<()> {
    names.sort_unstable();
    names.dedup();
    while !names.is_empty() {
        match backend.remove(&names) {
            Ok(()) => recovery.removed.append(&mut names),
            Err(error) if error.unknown > 0 => return Err(error.into()),
            Err(error) => {
                let rest = names.split_off(error.done);
                recovery.removed.append(&mut names);
                let mut rest = rest.into_iter();
                if let Some(stuck) = rest.next() {
                    recovery.not_removed.push((stuck, chain(&error.source)));
                }
                names = rest.collect();
            }
        }
    }
    Ok(())
}

/// Reads the tag database. Whether there is one tells the file, not the listing: a listing may miss a name
/// that is being replaced.
pub(super) fn load_tags<B: Backend>(backend: &B, has_data: bool) -> Tags {
    let bytes = match read_tags_file(backend) {
        Ok(bytes) => bytes,
        Err(BackendError::Missing { .. }) if has_data => return Tags::Missing,
        Err(BackendError::Missing { .. }) => {
            return Tags::Known(KnownTags {
                map: TagMap::new().into(),
                protected: false,
                file: None,
                durable: false,
            });
        }
        Err(error) => return Tags::Damaged(TagDamage::Unreadable(chain(&error))),
    };
    match TagFile::decode(&bytes) {
        Ok(TagFile { tags, protected }) => Tags::Known(KnownTags {
            map: tags.into(),
            protected,
            file: Some(Hash::of(&bytes)),
            durable: false,
        }),
        Err(damage) => Tags::Damaged(damage.into()),
    }
}

/// The bytes of `tags.meta`.
pub(crate) fn read_tags_file<B: Backend>(backend: &B) -> Result<Vec<u8>, BackendError> {
    let name = FileName::Tags;
    let file = backend
        .open(&name)?
        .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
    read_capped(&file, MAX_TAGS_FILE).map_err(BackendError::io("read", name))
}

/// Replaces `tags.meta`, durably.
pub(crate) fn publish_tags<B: Backend>(backend: &B, env: &Env, tags: TagMap) -> Result<KnownTags> {
    let bytes = TagFile::encode(&tags).map_err(Error::TagFile)?;
    let mut staged = stage_new(backend, &*env.entropy, FileName::TagsTemp)?;
    if let Err(error) = write_all(&mut staged, &bytes) {
        // The first error is the one to report; recovery knows the temporary name.
        let _ = backend.discard(staged);
        return Err(BackendError::io("write", FileName::Tags)(error).into());
    }
    backend.publish(vec![(staged, FileName::Tags)])?;
    Ok(KnownTags {
        map: tags.into(),
        protected: true,
        file: Some(Hash::of(&bytes)),
        durable: true,
    })
}

fn write_all(staged: &mut impl WriteAt, bytes: &[u8]) -> std::io::Result<()> {
    write_all_at(staged, bytes, 0)
}
