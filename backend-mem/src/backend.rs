//! A store in memory that is no directory: the second implementation of the outer seam.

use std::{
    ffi::{OsStr, OsString},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flatbao_core::{
    Backend, BackendError, BatchError, EntryKind, ExternalPath, FileName, Listed, ListedName,
    PathError, ReadAt, Stamp, Uuid,
};

use crate::{
    object::{MemObject, MemOutgoing, MemStaged, Scratch},
    shelf::{Entry, Shelf, not_a_file, staging},
};

/// A [`Backend`] that maps names to bytes.
///
/// Copies share their content: each is another opening of one store. There is no power to lose, so that
/// everything is durable while a copy lives. What can be staged and what can be published are kept
/// strictly apart: staging under a final name is an error of the caller and refused with `InvalidInput`.
#[derive(Debug, Clone, Default)]
pub struct MemBackend {
    shelf: Arc<Mutex<Shelf>>,
}

impl MemBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets external paths below the directory `prefix` be opened.
    ///
    /// # Errors
    /// When `prefix` is no path that may be opened; `/` is.
    pub fn grant_external(&self, prefix: &str) -> Result<(), PathError> {
        let prefix = match prefix {
            "/" => String::new(),
            other => ExternalPath::parse(other)?.as_str().to_owned(),
        };
        self.shelf().granted.insert(prefix);
        Ok(())
    }

    /// Puts a file outside the store, granted or not; one that is there changes, as its open handles see.
    pub fn put_external(&self, path: &ExternalPath, bytes: &[u8]) {
        let shelf = &mut *self.shelf();
        match shelf.external.get(path.as_str()) {
            Some(file) => file.replace(bytes),
            None => {
                let file = Scratch::new(shelf.id(), bytes.to_vec());
                shelf.external.insert(path.as_str().to_owned(), file);
            }
        }
    }

    /// Removes a file outside the store; open handles keep reading it. Whether there was one.
    pub fn remove_external(&self, path: &ExternalPath) -> bool {
        let mut shelf = self.shelf();
        shelf.external.remove(path.as_str()).is_some()
    }

    /// Puts a file into the store behind its back, whatever its name, in place of what bears that.
    pub fn plant_file(&self, name: impl AsRef<OsStr>, bytes: Vec<u8>) {
        let shelf = &mut *self.shelf();
        match FileName::parse(name.as_ref()) {
            Some(name) => {
                let entry = shelf.entry(&name, bytes);
                shelf.entries.insert(name, entry);
            }
            None => {
                let bytes = Ok(Arc::new(bytes));
                shelf.foreign.insert(name.as_ref().to_owned(), bytes);
            }
        }
    }

    /// Puts an entry of this kind into the store behind its back, in place of what bears the name. A
    /// regular file is an empty one.
    pub fn plant_other(&self, name: impl AsRef<OsStr>, kind: EntryKind) {
        if kind == EntryKind::File {
            return self.plant_file(name, Vec::new());
        }
        let mut shelf = self.shelf();
        match FileName::parse(name.as_ref()) {
            Some(name) => drop(shelf.entries.insert(name, Entry::NotAFile(kind))),
            None => drop(shelf.foreign.insert(name.as_ref().to_owned(), Err(kind))),
        }
    }

    /// Every file, foreign and staged ones included, with its bytes.
    #[must_use]
    pub fn files(&self) -> Vec<(OsString, Vec<u8>)> {
        let shelf = self.shelf();
        let own = shelf.entries.iter().filter_map(|(name, entry)| {
            let bytes = match entry {
                Entry::Staged(scratch) => scratch.bytes(),
                Entry::Published { bytes, .. } => bytes.to_vec(),
                Entry::NotAFile(_) => return None,
            };
            Some((name.to_string().into(), bytes))
        });
        let foreign = shelf
            .foreign
            .iter()
            .filter_map(|(name, content)| Some((name.clone(), content.as_ref().ok()?.to_vec())));
        own.chain(foreign).collect()
    }

    /// Nothing that can panic runs while the lock is held and its content half-changed.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemBackend {
    type Object = MemObject;
    type Staged = MemStaged;
    type Outgoing = MemOutgoing;
    type Lock = MemLock;

    fn lock(&self) -> Result<MemLock, BackendError> {
        match std::mem::replace(&mut self.shelf().locked, true) {
            true => Err(BackendError::Busy),
            false => Ok(MemLock(self.clone())),
        }
    }

    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError> {
        let shelf = self.shelf();
        for (name, entry) in &shelf.entries {
            let kind = match entry {
                Entry::NotAFile(kind) => *kind,
                Entry::Staged(_) | Entry::Published { .. } => EntryKind::File,
            };
            let name = &ListedName::Typed(name.clone());
            each(Listed { name, kind });
        }
        for (name, content) in &shelf.foreign {
            let kind = content.as_ref().err().copied().unwrap_or(EntryKind::File);
            let name = &ListedName::Foreign(name);
            each(Listed { name, kind });
        }
        Ok(())
    }

    fn open(&self, name: &FileName) -> Result<Option<MemObject>, BackendError> {
        match self.shelf().entries.get(name) {
            None => Ok(None),
            Some(Entry::NotAFile(kind)) => Err(not_a_file(name, *kind)),
            Some(Entry::Staged(scratch)) => Ok(Some(MemObject::scratch(scratch))),
            Some(Entry::Published { bytes, id }) => Ok(Some(MemObject::fixed(bytes, *id))),
        }
    }

    fn stage_new(&self, name: &FileName) -> Result<MemStaged, BackendError> {
        staging(name)?;
        let shelf = &mut *self.shelf();
        if shelf.entries.contains_key(name) {
            return Err(BackendError::Exists { name: name.clone() });
        }
        let scratch = Scratch::new(shelf.id(), Vec::new());
        let entry = Entry::Staged(Arc::clone(&scratch));
        shelf.entries.insert(name.clone(), entry);
        Ok(MemStaged {
            name: name.clone(),
            scratch,
        })
    }

    fn resume(&self, name: &FileName) -> Result<MemStaged, BackendError> {
        staging(name)?;
        match self.shelf().entries.get(name) {
            Some(Entry::Staged(scratch)) => Ok(MemStaged {
                name: name.clone(),
                scratch: Arc::clone(scratch),
            }),
            Some(Entry::NotAFile(kind)) => Err(not_a_file(name, *kind)),
            // Only staged files bear such a name.
            Some(Entry::Published { .. }) | None => {
                Err(BackendError::Missing { name: name.clone() })
            }
        }
    }

    fn discard(&self, staged: MemStaged) -> Result<(), BackendError> {
        self.shelf().discard(&staged);
        Ok(())
    }

    fn publish(&self, batch: Vec<(MemStaged, FileName)>) -> Result<(), BatchError> {
        let shelf = &mut *self.shelf();
        let mut batch = batch.into_iter();
        let mut done = 0;
        while let Some((staged, to)) = batch.next() {
            if let Err(source) = shelf.publish_one(staged, to) {
                batch.for_each(|(staged, _)| shelf.abandon(&staged));
                return Err(BatchError {
                    done,
                    unknown: 0,
                    source,
                });
            }
            done += 1;
        }
        Ok(())
    }

    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError> {
        for name in names {
            self.open(name)?
                .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
        }
        Ok(())
    }

    fn demote(&self, name: &FileName, to: &FileName) -> Result<(), BackendError> {
        staging(to)?;
        let shelf = &mut *self.shelf();
        if shelf.entries.contains_key(to) {
            return Err(BackendError::Exists { name: to.clone() });
        }
        let bytes = match shelf.entries.get(name) {
            None => return Err(BackendError::Missing { name: name.clone() }),
            Some(Entry::NotAFile(kind)) => return Err(not_a_file(name, *kind)),
            Some(Entry::Staged(scratch)) => scratch.bytes(),
            Some(Entry::Published { bytes, .. }) => bytes.to_vec(),
        };
        shelf.entries.remove(name);
        let entry = shelf.entry(to, bytes);
        shelf.entries.insert(to.clone(), entry);
        Ok(())
    }

    fn remove(&self, names: &[FileName]) -> Result<(), BatchError> {
        let mut shelf = self.shelf();
        for (done, name) in names.iter().enumerate() {
            if let Some(Entry::NotAFile(EntryKind::Directory)) = shelf.entries.get(name) {
                return Err(BatchError {
                    done,
                    unknown: 0,
                    source: BackendError::io("remove", name)(io::ErrorKind::IsADirectory.into()),
                });
            }
            shelf.entries.remove(name);
        }
        Ok(())
    }

    fn external(&self, path: &ExternalPath) -> Result<MemObject, BackendError> {
        let shelf = self.shelf();
        shelf.check_granted(path)?;
        match shelf.external.get(path.as_str()) {
            Some(file) => Ok(MemObject::scratch(file)),
            None => Err(BackendError::io("open", path)(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }

    fn stamp(&self, object: &MemObject) -> io::Result<Stamp> {
        Ok(object.stamp(object.size()?))
    }

    fn stage_out(&self, path: &ExternalPath, uuid: Uuid) -> Result<MemOutgoing, BackendError> {
        let shelf = &mut *self.shelf();
        shelf.check_granted(path)?;
        shelf.check_parents(path)?;
        let (dir, _) = path.as_str().rsplit_once('/').unwrap_or_default();
        let temp = format!("{dir}/.flatbao-{uuid}.tmp");
        if shelf.external.contains_key(&temp) {
            let name = FileName::Temp(uuid);
            return Err(BackendError::Exists { name });
        }
        let scratch = Scratch::new(shelf.id(), Vec::new());
        shelf.external.insert(temp.clone(), Arc::clone(&scratch));
        Ok(MemOutgoing {
            path: path.clone(),
            temp,
            scratch,
        })
    }

    /// Published bytes never change, which those of a file outside may: they are not shared.
    fn link_out(
        &self,
        _: &FileName,
        path: &ExternalPath,
        _: Uuid,
    ) -> Result<Option<MemOutgoing>, BackendError> {
        let shelf = self.shelf();
        shelf.check_granted(path)?;
        shelf.check_parents(path)?;
        Ok(None)
    }

    fn release(&self, outgoing: MemOutgoing, replace: bool) -> Result<(), BackendError> {
        let shelf = &mut *self.shelf();
        let file = shelf.take_out(&outgoing)?;
        let path = outgoing.path;
        if shelf.is_directory(path.as_str()) {
            return Err(BackendError::NotAFile {
                name: path.to_string(),
                kind: EntryKind::Directory,
            });
        }
        if !replace && shelf.external.contains_key(path.as_str()) {
            return Err(BackendError::Taken { path });
        }
        shelf.external.insert(path.as_str().to_owned(), file);
        Ok(())
    }

    fn discard_out(&self, outgoing: MemOutgoing) -> Result<(), BackendError> {
        // One that is gone is discarded.
        let _ = self.shelf().take_out(&outgoing);
        Ok(())
    }
}

/// Exclusive use of a [`MemBackend`].
#[derive(Debug)]
pub struct MemLock(MemBackend);

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.shelf().locked = false;
    }
}
