//! Files that are written outside the store.

use std::{collections::BTreeSet, ffi::OsStr, io, path::Path};

use crate::{
    Access, BackendError, Dir, DirFile, Durability, EntryKind, ExternalPath, FileName, FlatDir,
    Opened, ReadAt, Uuid, WriteAt,
    sync::{Mutex, MutexGuard, PoisonError},
    text::lossless,
};

/// A file on its way out of the store, under a temporary name beside the one that it will have.
#[derive(Debug)]
pub struct OutgoingFile<D: Dir> {
    file: D::File,
    parent: D,
    temp: String,
    path: ExternalPath,
    /// The length that it must have when it is released.
    len: u64,
}

/// Directories outside the store that could not be made durable, by their path. A second sync would say that
/// they are, although what the first one lost stays lost.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<BTreeSet<String>>);

impl<D: Dir> FlatDir<D> {
    pub(super) fn create_outgoing(
        &self,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<OutgoingFile<D>, BackendError> {
        let parent = self.make_parent(path)?;
        let temp = temp_name(uuid);
        let file = match parent.create_new(OsStr::new(&temp)) {
            Ok(file) => file,
            Err(e) => return Err(not_begun(e, &parent, path, uuid)),
        };
        Ok(OutgoingFile {
            file,
            parent,
            temp,
            path: path.clone(),
            len: 0,
        })
    }

    pub(super) fn link_outgoing(
        &self,
        name: &FileName,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<Option<OutgoingFile<D>>, BackendError> {
        let parent = self.make_parent(path)?;
        let temp = temp_name(uuid);
        let text = name.to_string();
        match self
            .dir(name.area())
            .link(OsStr::new(&text), &parent, OsStr::new(&temp))
        {
            Ok(()) => {}
            Err(e) => {
                let is_none = is_impossible(&e) || e.kind() == io::ErrorKind::NotFound;
                let error = not_begun(e, &parent, path, uuid);
                return if is_none { Ok(None) } else { Err(error) };
            }
        }
        let opened = parent
            .open(OsStr::new(&temp), Access::Read)
            .and_then(|opened| match opened {
                Opened::File(file) => file.size().map(|len| Some((file, len))),
                // A published name that is no file: it is not for this call to tell.
                Opened::Missing | Opened::NotAFile(_) => Ok(None),
            });
        if let Ok(Some((file, len))) = opened {
            return Ok(Some(OutgoingFile {
                file,
                parent,
                temp,
                path: path.clone(),
                len,
            }));
        }
        let _ = parent.unlink(OsStr::new(&temp));
        opened.map(|_| None).map_err(BackendError::io("open", path))
    }

    pub(super) fn release_outgoing(
        &self,
        outgoing: &OutgoingFile<D>,
        replace: bool,
    ) -> Result<(), BackendError> {
        let given = self
            .seal_outgoing(outgoing)
            .and_then(|()| outgoing.give_name(replace));
        if given.is_err() {
            // Nobody needs it, whether it can be removed or not.
            let _ = outgoing.drop_temp();
            return given;
        }
        let dir = outgoing.path.as_str().rsplit_once('/');
        self.sync_outside(&outgoing.parent, dir.map_or("", |(dir, _)| dir))
    }

    fn seal_outgoing(&self, outgoing: &OutgoingFile<D>) -> Result<(), BackendError> {
        let path = &outgoing.path;
        let found = outgoing.file.size();
        let found = found.map_err(BackendError::io("measure", path))?;
        if found != outgoing.len {
            return Err(BackendError::Length {
                name: path.to_string(),
                expected: outgoing.len,
                found,
            });
        }
        match self.durability {
            Durability::Atomic => Ok(()),
            Durability::Durable => outgoing.file.sync().map_err(|source| BackendError::Sync {
                what: path.to_string(),
                source,
            }),
        }
    }

    /// The directory that the path leads to, made where it is missing. Durably so: those that are made and
    /// the one they are made in, which may be the last act of a process that died.
    fn make_parent(&self, path: &ExternalPath) -> Result<D, BackendError> {
        let (root, below) = self
            .granted(path)
            .ok_or_else(|| BackendError::NotGranted { path: path.clone() })?;
        let text = path.as_str();
        let mut end = text.len() - below.len() - 1;
        // A handle of its own, as those below it have.
        let mut dir = root
            .descend(Path::new("."))
            .map_err(BackendError::io("open", path))?;
        self.check_outside(&dir, path)?;
        let mut found_in = None;
        let parents = below.rsplit_once('/').map(|(parents, _)| parents);
        for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
            let here = &text[..end];
            end += 1 + part.len();
            let there = lossless(&text.as_bytes()[..end]);
            let is_new = make_or_find(&dir, part, &there)?;
            let next = dir
                .descend(Path::new(part))
                .map_err(BackendError::io("open", &there))?;
            self.check_outside(&next, path)?;
            if is_new {
                self.sync_found(found_in.take())?;
                self.sync_outside(&dir, here)?;
            } else {
                found_in = Some((dir, here));
            }
            dir = next;
        }
        self.sync_found(found_in)?;
        Ok(dir)
    }

    fn check_outside(&self, dir: &D, path: &ExternalPath) -> Result<(), BackendError> {
        for own in &self.dirs {
            if dir
                .is_same(own)
                .map_err(BackendError::io("look at the directory of", path))?
            {
                return Err(BackendError::InsideStore { path: path.clone() });
            }
        }
        Ok(())
    }

    /// Syncs what holds the name of a directory that was there already. Where it may not be read, or is of a
    /// kind that is not synced, someone else made it.
    fn sync_found(&self, dir: Option<(D, &str)>) -> Result<(), BackendError> {
        let Some((dir, path)) = dir else {
            return Ok(());
        };
        match self.sync_outside(&dir, path) {
            Err(BackendError::Sync { source, .. }) if is_no_loss(&source) => Ok(()),
            other => other,
        }
    }

    fn sync_outside(&self, dir: &D, path: &str) -> Result<(), BackendError> {
        if self.durability == Durability::Atomic {
            return Ok(());
        }
        let outcome = if self.lost.has(path) {
            let again = "an earlier sync of it failed, and a second one would prove nothing";
            Err(io::Error::other(again))
        } else {
            dir.sync()
        };
        outcome.map_err(|source| {
            if !is_no_loss(&source) {
                self.lost.add(path);
            }
            BackendError::Sync {
                what: format!("the directory {}/", lossless(path.as_bytes())),
                source,
            }
        })
    }
}

impl<D: Dir> OutgoingFile<D> {
    /// Gives the final name, and takes the temporary one away.
    fn give_name(&self, replace: bool) -> Result<(), BackendError> {
        let (temp, name) = (OsStr::new(&self.temp), OsStr::new(self.name()));
        let cannot = || BackendError::io("create", &self.path);
        if replace {
            self.check_replaceable()?;
            self.parent
                .rename(temp, &self.parent, name)
                .map_err(cannot())?;
            // Between two names of one file a rename does nothing.
            return self.drop_temp();
        }
        match self.parent.link(temp, &self.parent, name) {
            Ok(()) => self.drop_temp(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.taken(),
            // Without links no single step looks and gives.
            Err(e) if is_impossible(&e) => match self.look().map_err(cannot())? {
                Opened::Missing => self
                    .parent
                    .rename(temp, &self.parent, name)
                    .map_err(cannot()),
                _ => self.taken(),
            },
            Err(e) => Err(cannot()(e)),
        }
    }

    fn taken(&self) -> Result<(), BackendError> {
        self.check_replaceable()?;
        Err(BackendError::Taken {
            path: self.path.clone(),
        })
    }

    /// Only a regular file may ever be replaced.
    fn check_replaceable(&self) -> Result<(), BackendError> {
        match self.look() {
            Ok(Opened::NotAFile(kind)) => Err(BackendError::NotAFile {
                name: self.path.to_string(),
                kind,
            }),
            // A file that may not be read is a file.
            Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
                Err(BackendError::io("look at", &self.path)(e))
            }
            _ => Ok(()),
        }
    }

    fn look(&self) -> io::Result<Opened<D::File>> {
        self.parent.open(OsStr::new(self.name()), Access::Read)
    }

    pub(super) fn drop_temp(&self) -> Result<(), BackendError> {
        match self.parent.unlink(OsStr::new(&self.temp)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let name = format!("{}, beside {}", self.temp, self.path);
                Err(BackendError::io("remove", name)(e))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn share(&mut self, from: &D::File) -> io::Result<bool> {
        let is_shared = self.file.share(from)?;
        if is_shared {
            self.len = self.file.size()?;
        }
        Ok(is_shared)
    }

    fn name(&self) -> &str {
        let path = self.path.as_str();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }
}

impl<D: Dir> ReadAt for OutgoingFile<D> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        self.file.as_shared()
    }
}

impl<D: Dir> WriteAt for OutgoingFile<D> {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file.write_at(buf, offset)?;
        self.len = self.len.max(offset + written as u64);
        Ok(written)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        Ok(())
    }
}

impl Lost {
    fn has(&self, path: &str) -> bool {
        self.paths().contains(path)
    }

    fn add(&self, path: &str) {
        self.paths().insert(path.to_owned());
    }

    fn paths(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the directory `part` had to be made. A symbolic link is never followed.
fn make_or_find<D: Dir>(dir: &D, part: &str, there: &str) -> Result<bool, BackendError> {
    let name = OsStr::new(part);
    let look = || {
        let found = dir.open(name, Access::Read);
        found.map_err(BackendError::io("open", there))
    };
    let mut found = look()?;
    if matches!(found, Opened::Missing) {
        match dir.make_dir(name) {
            Ok(()) => return Ok(true),
            // Somebody was faster, with a directory or with something else.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => found = look()?,
            Err(e) => return Err(BackendError::io("make the directory", there)(e)),
        }
    }
    match found {
        Opened::NotAFile(EntryKind::Directory) => Ok(false),
        Opened::NotAFile(EntryKind::Link) => Err(BackendError::NotAFile {
            name: there.to_owned(),
            kind: EntryKind::Link,
        }),
        _ => {
            let error = io::ErrorKind::NotADirectory.into();
            Err(BackendError::io("open the directory", there)(error))
        }
    }
}

/// What a sync says that was never tried.
fn is_no_loss(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// A name that no other program takes for its own.
fn temp_name(uuid: Uuid) -> String {
    format!(".flatbao-{uuid}.tmp")
}

/// What a directory says of a link that it cannot make, whatever the names.
fn is_impossible(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TooManyLinks
    )
}

/// The error of a temporary name that was not made. It may have been all the same, and is nobody else's then.
fn not_begun<D: Dir>(
    error: io::Error,
    parent: &D,
    path: &ExternalPath,
    uuid: Uuid,
) -> BackendError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return BackendError::Exists {
            name: FileName::Temp(uuid),
        };
    }
    let _ = parent.unlink(OsStr::new(&temp_name(uuid)));
    BackendError::io("create", path)(error)
}
