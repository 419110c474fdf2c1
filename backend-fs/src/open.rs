//! From a directory, or a path, to a back end.

use std::{ffi::OsStr, fs, io, ops::ControlFlow, path::Path};

use flatbao_core::{Dir as _, Durability, FileName, FlatDir};

use crate::{FsError, Layout, SystemDir, layout::open_real};

/// A store in one directory of the operating system, or in three.
pub type FsBackend = FlatDir<SystemDir>;

/// A store with all its files in one directory. This makes no system call.
#[must_use]
pub fn open(dir: impl Into<SystemDir>) -> FsBackend {
    promise(FlatDir::new(dir.into()))
}

/// A store with a directory for each area. Two of them may be the same, and they may be on different file
/// systems.
///
/// # Errors
/// When the system does not tell which of them are the same.
pub fn open_areas<D: Into<SystemDir>>(complete: D, partial: D, meta: D) -> io::Result<FsBackend> {
    FlatDir::with_areas(complete.into(), partial.into(), meta.into()).map(promise)
}

/// The store in the directory at `path`, in whichever [`Layout`] it has. A link at `path` itself is
/// followed.
///
/// # Ambient authority
/// The path is looked up with all the rights of the process. What happens afterwards stays in the
/// directory.
///
/// # Errors
/// When there is no directory, when a layout is [half there](FsError::HalfThere), or when there are
/// [two](FsError::Ambiguous).
pub fn open_ambient(path: impl AsRef<Path>) -> Result<FsBackend, FsError> {
    let path = path.as_ref();
    let dir = SystemDir::open_ambient(path).map_err(FsError::io("open", path))?;
    match Layout::detect(&dir, path)?.directories() {
        None => Ok(open(dir)),
        Some([complete, partial, meta]) => open_real(&dir, complete)
            .and_then(|c| open_areas(c, open_real(&dir, partial)?, open_real(&dir, meta)?))
            .map_err(FsError::io("open", path)),
    }
}

/// As [`open_ambient`], after making the directory and its parents where they are missing. A power loss
/// takes away none of those that were made.
///
/// What is in the directory is not looked at; [`probe`] is for those who want to know first.
///
/// # Ambient authority
/// As for [`open_ambient`].
///
/// # Errors
/// As for [`open_ambient`], and when a directory cannot be made or made durable.
pub fn create_ambient(path: impl AsRef<Path>) -> Result<FsBackend, FsError> {
    create_ambient_with(path, Durability::Durable)
}

/// As [`create_ambient`], for a store that promises this much.
///
/// # Ambient authority
/// As for [`open_ambient`].
///
/// # Errors
/// As for [`create_ambient`].
pub fn create_ambient_with(
    path: impl AsRef<Path>,
    durability: Durability,
) -> Result<FsBackend, FsError> {
    let path = path.as_ref();
    match durability {
        Durability::Durable => create_durably(path),
        Durability::Atomic => fs::create_dir_all(path),
    }
    .map_err(FsError::io("create", path))?;
    Ok(open_ambient(path)?.with_durability(durability))
}

/// What is found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A directory without entries.
    Empty,
    /// A store.
    Store(Layout),
    /// A directory with entries that are none of a store's.
    NotAStore,
}

/// What is at `path`, without opening any file: so that no one's home directory becomes a store by
/// mistake.
///
/// A store is a directory with one of the [layouts](Layout) of three directories, or with `tags.meta` or
/// any blob's file in it, or with `lock` and nothing foreign: a store that died before its first tag
/// database has no more than that, while a `lock` beside foreign files may be anyone's.
///
/// # Ambient authority
/// As for [`open_ambient`].
///
/// # Errors
/// When `path` is no directory or cannot be listed, when a layout is [half there](FsError::HalfThere), or
/// when there are [two](FsError::Ambiguous).
pub fn probe(path: impl AsRef<Path>) -> Result<Found, FsError> {
    let path = path.as_ref();
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(e) => return Err(FsError::io("look at", path)(e)),
        Ok(_) => {}
    }
    let dir = SystemDir::open_ambient(path).map_err(FsError::io("open", path))?;
    match Layout::detect(&dir, path)? {
        Layout::Single => look_through(&dir).map_err(FsError::io("list", path)),
        trio => Ok(Found::Store(trio)),
    }
}

/// Lets external paths that begin with `prefix` be looked up in the directory at `dir`, which most often
/// is `prefix` itself.
///
/// # Ambient authority
/// As for [`open_ambient`]. From then on a store may name any file below `dir`, and only those.
///
/// # Errors
/// When there is no directory at `dir`, or `prefix` is not absolute and canonical.
pub fn grant_ambient(
    backend: &mut FsBackend,
    prefix: &str,
    dir: impl AsRef<Path>,
) -> Result<(), FsError> {
    let path = dir.as_ref();
    let dir = SystemDir::open_ambient(path).map_err(FsError::io("open", path))?;
    backend
        .grant_external(prefix, dir)
        .map_err(|source| FsError::Prefix {
            prefix: prefix.to_owned(),
            source,
        })
}

/// Windows cannot make a directory durable, and a promise without that would be none.
fn promise(backend: FsBackend) -> FsBackend {
    if cfg!(windows) {
        backend.with_durability(Durability::Atomic)
    } else {
        backend
    }
}

/// Ends at the first file that only a store has: a store may have a million of them.
fn look_through(dir: &SystemDir) -> io::Result<Found> {
    // Nearly every store has this one, and where a listing is all or nothing this saves it.
    if dir.kind(OsStr::new(&FileName::Tags.to_string()))?.is_some() {
        return Ok(Found::Store(Layout::Single));
    }
    let (mut lock, mut foreign, mut empty) = (false, false, true);
    let found = dir.list_until(&mut |name, _| {
        empty = false;
        match FileName::parse(name) {
            Some(
                FileName::Tags
                | FileName::Data(_)
                | FileName::Outboard(_)
                | FileName::Paths(_)
                | FileName::PartialData(..)
                | FileName::PartialOutboard(..),
            ) => return ControlFlow::Break(Found::Store(Layout::Single)),
            Some(FileName::Lock) => lock = true,
            Some(FileName::PathsTemp(..) | FileName::Temp(_) | FileName::TagsTemp(_)) => {}
            Some(FileName::NamedMeta(_)) | None => foreign = true,
        }
        ControlFlow::Continue(())
    })?;
    Ok(found.unwrap_or(match (empty, lock && !foreign) {
        (true, _) => Found::Empty,
        (false, true) => Found::Store(Layout::Single),
        (false, false) => Found::NotAStore,
    }))
}

/// Makes each missing directory and syncs its parent before the next one.
fn create_durably(path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut there = path;
    while let Err(e) = fs::metadata(there) {
        if e.kind() != io::ErrorKind::NotFound || there.parent().is_none() {
            return Err(e);
        }
        missing.push(there);
        there = parent_of(there);
    }
    sync_known_parent(there)?;
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            // Another process was faster, or it ends in `..`; what is no directory fails at the next step.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        sync_dir(parent_of(dir))?;
    }
    Ok(())
}

/// The deepest directory that is there already may be the last act of a process that died before it could
/// sync. Where the parent may not be read, or is of a kind that is not synced, it was made by someone else.
fn sync_known_parent(there: &Path) -> io::Result<()> {
    // By its real path, because the parent of `.` and of a link is not what the path says. Under WASI there
    // is none: what is above may not be granted, and then whoever granted this has made it.
    let real = match cfg!(target_os = "wasi") {
        true => there.to_owned(),
        false => fs::canonicalize(there)?,
    };
    match sync_dir(parent_of(&real)) {
        Err(e) => match e.kind() {
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported => Ok(()),
            io::ErrorKind::NotFound if cfg!(target_os = "wasi") => Ok(()),
            _ => Err(e),
        },
        ok => ok,
    }
}

/// Where the entry of a directory is; a relative path of one component is in the current directory.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    SystemDir::open_ambient(path)?.sync()
}
