//! What a [`MemBackend`](crate::MemBackend) and its copies share.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    sync::Arc,
};

use flatbao_core::{BackendError, EntryKind, ExternalPath, FileName};

use crate::object::{MemOutgoing, MemStaged, Scratch};

/// The content of a store, under one lock.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) entries: BTreeMap<FileName, Entry>,
    pub(crate) foreign: BTreeMap<OsString, Result<Arc<Vec<u8>>, EntryKind>>,
    /// Files outside the store, by their path.
    pub(crate) external: BTreeMap<String, Arc<Scratch>>,
    /// Directories that external paths may lead into; the empty one is the root.
    pub(crate) granted: BTreeSet<String>,
    pub(crate) locked: bool,
    /// Tells files apart in stamps.
    next_id: u64,
}

/// What a name of the store means.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Under a temporary or partial name: it still changes.
    Staged(Arc<Scratch>),
    /// Never changes again.
    Published {
        bytes: Arc<Vec<u8>>,
        id: u64,
    },
    NotAFile(EntryKind),
}

impl Shelf {
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn entry(&mut self, name: &FileName, bytes: Vec<u8>) -> Entry {
        let id = self.id();
        match is_staging(name) {
            true => Entry::Staged(Scratch::new(id, bytes)),
            false => Entry::Published {
                bytes: Arc::new(bytes),
                id,
            },
        }
    }

    /// Whether the name still means the file that was staged.
    pub(crate) fn holds(&self, staged: &MemStaged) -> bool {
        matches!(self.entries.get(&staged.name), Some(Entry::Staged(s)) if Arc::ptr_eq(s, &staged.scratch))
    }

    pub(crate) fn discard(&mut self, staged: &MemStaged) {
        if self.holds(staged) {
            self.entries.remove(&staged.name);
        }
    }

    /// Discards what was not published. A partial file stays.
    pub(crate) fn abandon(&mut self, staged: &MemStaged) {
        if staged.name.is_ephemeral() {
            self.discard(staged);
        }
    }

    pub(crate) fn publish_one(
        &mut self,
        staged: MemStaged,
        to: FileName,
    ) -> Result<(), BackendError> {
        if !self.holds(&staged) {
            return Err(BackendError::Missing { name: staged.name });
        }
        if let Some(Entry::NotAFile(EntryKind::Directory)) = self.entries.get(&to) {
            self.abandon(&staged);
            return Err(BackendError::io("publish", to)(
                io::ErrorKind::IsADirectory.into(),
            ));
        }
        self.entries.remove(&staged.name);
        let bytes = staged.into_bytes();
        let entry = self.entry(&to, bytes);
        self.entries.insert(to, entry);
        Ok(())
    }
}

impl Shelf {
    pub(crate) fn check_granted(&self, path: &ExternalPath) -> Result<(), BackendError> {
        let covers = |prefix: &String| {
            let below = path.as_str().strip_prefix(prefix.as_str());
            below.is_some_and(|below| below.starts_with('/'))
        };
        match self.granted.iter().any(covers) {
            true => Ok(()),
            false => Err(BackendError::NotGranted { path: path.clone() }),
        }
    }

    /// Fails when a directory that the path leads through is a file.
    pub(crate) fn check_parents(&self, path: &ExternalPath) -> Result<(), BackendError> {
        let text = path.as_str();
        let mut parents = text.match_indices('/').map(|(at, _)| &text[..at]);
        match parents.find(|parent| self.external.contains_key(*parent)) {
            None => Ok(()),
            Some(file) => Err(BackendError::io("open the directory", file)(
                io::ErrorKind::NotADirectory.into(),
            )),
        }
    }

    /// A directory is there because something is in it.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let mut after = self.external.range(below.clone()..);
        after
            .next()
            .is_some_and(|(path, _)| path.starts_with(&below))
    }

    /// Takes the temporary name of a file away, while it still means that file.
    pub(crate) fn take_out(
        &mut self,
        outgoing: &MemOutgoing,
    ) -> Result<Arc<Scratch>, BackendError> {
        match self.external.get(&outgoing.temp) {
            Some(file) if Arc::ptr_eq(file, &outgoing.scratch) => {
                let file = Arc::clone(file);
                self.external.remove(&outgoing.temp);
                Ok(file)
            }
            _ => Err(BackendError::io("create", &outgoing.path)(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }
}

/// Whether files under this name still change.
pub(crate) fn is_staging(name: &FileName) -> bool {
    name.is_ephemeral()
        || matches!(
            name,
            FileName::PartialData(..) | FileName::PartialOutboard(..)
        )
}

pub(crate) fn staging(name: &FileName) -> Result<(), BackendError> {
    match is_staging(name) {
        true => Ok(()),
        false => Err(BackendError::io("stage", name)(
            io::ErrorKind::InvalidInput.into(),
        )),
    }
}

pub(crate) fn not_a_file(name: &FileName, kind: EntryKind) -> BackendError {
    BackendError::NotAFile {
        name: name.to_string(),
        kind,
    }
}
