//! The outer seam: stage, then publish.

use std::{ffi::OsStr, io};

use crate::{EntryKind, ExternalPath, FileName, ReadAt, Stamp, Uuid, WriteAt};

/// One entry of a store's listing.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// What the entry is called.
    pub name: &'a ListedName<'a>,
    /// What kind of entry bears the name.
    pub kind: EntryKind,
}

/// The name of a listed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedName<'a> {
    /// A name of the store's own.
    Typed(FileName),
    /// Any other name, or one in an area where it does not belong.
    Foreign(&'a OsStr),
}

/// Where a store keeps its files.
///
/// A published object is whole and durable, and immutable from then on; what is staged is never served as
/// complete. Durability is part of the operations, so that no caller can forget it: when [`publish`],
/// [`ensure_durable`], [`demote`], [`remove`] or [`release`] returns `Ok`, a power loss keeps the outcome.
///
/// [`publish`]: Backend::publish
/// [`ensure_durable`]: Backend::ensure_durable
/// [`demote`]: Backend::demote
/// [`remove`]: Backend::remove
/// [`release`]: Backend::release
pub trait Backend {
    /// A file opened for reading. It stays readable after the file is removed or replaced.
    type Object: ReadAt;
    /// A file being written. Dropping it keeps the file; see [`discard`](Backend::discard).
    type Staged: ReadAt + WriteAt;
    /// A file being written outside the store. Dropping it keeps it under its temporary name; see
    /// [`discard_out`](Backend::discard_out).
    type Outgoing: ReadAt + WriteAt;
    /// Exclusive use of the store, until dropped.
    type Lock;

    /// Takes the exclusive lock.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when another opening holds it; [`BackendError::NoLocks`] where there are none.
    fn lock(&self) -> Result<Self::Lock, BackendError>;

    /// Whether what is promised here can be kept on this platform: asked before anything is written, so that
    /// what cannot be durable is refused rather than found out halfway.
    ///
    /// # Errors
    /// [`BackendError::NoSync`], or what the medium says.
    fn check_promises(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Hands every entry to `each`, in no particular order. `each` must not call the back end.
    ///
    /// # Errors
    /// When the listing is not whole.
    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError>;

    /// Opens a file of the store for reading; `None` when there is none.
    ///
    /// # Errors
    /// [`BackendError::NotAFile`] when something else bears the name; it is never followed.
    fn open(&self, name: &FileName) -> Result<Option<Self::Object>, BackendError>;

    /// Starts a new file under a temporary or partial name.
    ///
    /// # Errors
    /// [`BackendError::Exists`] when the name is taken.
    fn stage_new(&self, name: &FileName) -> Result<Self::Staged, BackendError>;

    /// Goes on with a file that was staged before.
    ///
    /// # Errors
    /// [`BackendError::Missing`] when there is none.
    fn resume(&self, name: &FileName) -> Result<Self::Staged, BackendError>;

    /// Removes a staged file. Durability is not promised: what is staged means nothing.
    ///
    /// # Errors
    /// When the file may still be there; recovery removes it if its name is ephemeral.
    fn discard(&self, staged: Self::Staged) -> Result<(), BackendError>;

    /// Makes a staged file, which is empty, share the bytes of a file outside the store, as a copy that moves none.
    /// `false`, and nothing done, where the medium cannot. What it has then is to be read from it, and not from where
    /// it came from.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn share(&self, from: &Self::Object, to: &mut Self::Staged) -> io::Result<bool> {
        let _ = (from, to);
        Ok(false)
    }

    /// As [`share`](Self::share), from a file of the store to one that goes out.
    ///
    /// # Errors
    /// Likewise.
    fn share_out(&self, from: &Self::Object, to: &mut Self::Outgoing) -> io::Result<bool> {
        let _ = (from, to);
        Ok(false)
    }

    /// Says that nothing more is written to a staged file, nor read from it, before it is published: a back end that
    /// can do without its handle gives it back.
    ///
    /// # Errors
    /// [`BackendError::Length`] when it is not what was written.
    fn set_aside(&self, staged: &mut Self::Staged) -> Result<(), BackendError> {
        let _ = staged;
        Ok(())
    }

    /// How many staged files are well published in one batch: not more than there can be handles, unless those that
    /// are [set aside](Self::set_aside) have none, and as many as make durability cheap.
    fn batch_size(&self) -> usize {
        256
    }

    /// Gives staged files their final names, in this order, replacing what bears them. Contents are
    /// durable before any final name points to them; names are durable on `Ok`.
    ///
    /// # Errors
    /// [`BatchError`] says how many are done and how many are unknown. Of the others, those with ephemeral
    /// names are discarded and partial files stay.
    fn publish(&self, batch: Vec<(Self::Staged, FileName)>) -> Result<(), BatchError>;

    /// Makes files durable that this opening did not publish itself: a process that died may have
    /// left them in memory only.
    ///
    /// # Errors
    /// [`BackendError::Missing`], or [`BackendError::Sync`].
    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError>;

    /// Takes a published file back to a partial name. An object that was opened before may show what is
    /// written to it afterwards.
    ///
    /// # Errors
    /// [`BackendError::Missing`]; [`BackendError::Exists`] when `to` is taken.
    fn demote(&self, name: &FileName, to: &FileName) -> Result<(), BackendError>;

    /// Removes files, in this order. A name that is gone already counts as removed.
    ///
    /// # Errors
    /// [`BatchError`] says how many are gone and how many are unknown; the others were not touched.
    fn remove(&self, names: &[FileName]) -> Result<(), BatchError>;

    /// As [`remove`](Backend::remove), of many groups of files, such as blobs. Those of a group go in their order, up to
    /// the first that cannot be removed, which keeps no other group from going. The groups go in the order given, or, where
    /// a back end can do more than one thing at once, about so. Tells of each group what came of it, in the order given.
    fn remove_groups(&self, groups: &[Vec<FileName>]) -> Vec<Result<(), BatchError>> {
        groups.iter().map(|names| self.remove(names)).collect()
    }

    /// How long files of the store are, as the medium claims; `None` of one that is not there or cannot be measured.
    fn lens_of(&self, names: &[FileName]) -> Vec<Option<u64>> {
        let len = |name| self.open(name).ok()??.size().ok();
        names.iter().map(len).collect()
    }

    /// Opens a file outside the store, under a root that was granted.
    ///
    /// # Errors
    /// [`BackendError::NotGranted`] without a grant; [`BackendError::InsideStore`] for a path that leads
    /// into the store; otherwise what the medium says.
    fn external(&self, path: &ExternalPath) -> Result<Self::Object, BackendError>;

    /// What tells whether an open file changes.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn stamp(&self, object: &Self::Object) -> io::Result<Stamp>;

    /// Starts a file outside the store, under a root that was granted, with a temporary name beside the one
    /// that it will have. Directories that are missing are made, durably. No symbolic link is followed.
    ///
    /// # Errors
    /// [`BackendError::NotGranted`], [`BackendError::InsideStore`]; [`BackendError::NotAFile`] for a
    /// directory that is a link; [`BackendError::Exists`] when the uuid was used before; otherwise what the
    /// medium says.
    fn stage_out(&self, path: &ExternalPath, uuid: Uuid) -> Result<Self::Outgoing, BackendError>;

    /// As [`stage_out`](Self::stage_out), with the bytes of a published file, shared with it: they cost no
    /// space, they cannot be written here, and they stay when either name is removed. `None` where the medium
    /// cannot share: it is another file system, it has no links or no more for this file, or there is no such
    /// file.
    ///
    /// # Errors
    /// As [`stage_out`](Self::stage_out).
    fn link_out(
        &self,
        name: &FileName,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<Option<Self::Outgoing>, BackendError>;

    /// Gives an outgoing file its name. On `Ok` it is whole and durable there. Whatever bears the name stays,
    /// unless `replace`, which replaces a regular file and nothing else.
    ///
    /// # Errors
    /// [`BackendError::Taken`]; [`BackendError::NotAFile`] when something that is never replaced bears the
    /// name; [`BackendError::Length`]; [`BackendError::Sync`]. Nothing is left under the temporary name then,
    /// as far as it can be removed; after a failed sync of the directory the file has its name.
    fn release(&self, outgoing: Self::Outgoing, replace: bool) -> Result<(), BackendError>;

    /// Removes an outgoing file.
    ///
    /// # Errors
    /// When it may still be there, under its temporary name.
    fn discard_out(&self, outgoing: Self::Outgoing) -> Result<(), BackendError>;
}

/// Why a back end could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Another opening holds the lock.
    #[error("the store is in use by another process")]
    Busy,
    /// The platform has no locks. Nothing was done.
    #[error("this platform has no locks, so that nothing keeps a second writer out")]
    NoLocks {
        /// What the system said.
        source: io::Error,
    },
    /// The platform cannot make a directory durable. Nothing was done.
    #[error(
        "this platform cannot sync a directory, so that a power loss may take back what is acknowledged"
    )]
    NoSync,
    /// The name is taken.
    #[error("{name} already exists")]
    Exists {
        /// The name that is taken.
        name: FileName,
    },
    /// The file is not there.
    #[error("{name} is not there")]
    Missing {
        /// The file that was expected.
        name: FileName,
    },
    /// Something that is not a regular file bears the name.
    #[error("{name} is {kind}: it is left alone and never served")]
    NotAFile {
        /// The name, of a file of the store or of an external one.
        name: String,
        /// What bears it.
        kind: EntryKind,
    },
    /// No granted root covers an external path.
    #[error("{path} lies outside every granted directory")]
    NotGranted {
        /// The path.
        path: ExternalPath,
    },
    /// An external path leads into the store's own directory.
    #[error("{path} lies inside the store itself")]
    InsideStore {
        /// The path.
        path: ExternalPath,
    },
    /// A file outside the store is in the way.
    #[error("{path} exists already")]
    Taken {
        /// The path.
        path: ExternalPath,
    },
    /// A file or directory could not be made durable. What was written may be lost, whatever a second
    /// attempt would say: it is not tried again.
    #[error("{what} could not be made durable")]
    Sync {
        /// The file or directory.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not have the length that was written to it.
    #[error("{name} has {found} bytes where {expected} were written")]
    Length {
        /// The file.
        name: String,
        /// Bytes written.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Any other failure of an operation.
    #[error("cannot {op} {name}")]
    Io {
        /// What was attempted, as a verb.
        op: &'static str,
        /// The file, directory or external path.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BackendError {
    /// An [`BackendError::Io`] of this operation on this name, ready for `map_err`.
    pub fn io(op: &'static str, name: impl ToString) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            op,
            name: name.to_string(),
            source,
        }
    }

    /// The kind of the system's error that this is, or has beneath, where there is one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Sync { source, .. } | Self::Io { source, .. } | Self::NoLocks { source } => {
                Some(source.kind())
            }
            Self::NoSync => Some(io::ErrorKind::Unsupported),
            Self::Taken { .. } => Some(io::ErrorKind::AlreadyExists),
            _ => None,
        }
    }
}

/// A batch that was not done to its end.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {done} files")]
pub struct BatchError {
    /// The first so many items are done and durable.
    pub done: usize,
    /// The so many items after those may have been done, and may be undone by a power loss.
    pub unknown: usize,
    /// What went wrong.
    #[source]
    pub source: BackendError,
}
