//! A simulated machine with a store on it.

// A test reports by panicking.
#![allow(clippy::unwrap_used)]

use std::{cell::Cell, collections::BTreeMap, ffi::OsString};

use flatbao_core::{EntryKind, Env, ExternalPath, FileName, FlatDir, Recovery, Result, Store};
use flatbao_mem::{SimDir, SimDisk, seeded_env};

/// A store in the simulator.
pub type SimStore = Store<FlatDir<SimDir>>;

/// A computer with one store directory, a directory outside it that is granted as `/external`, and another file
/// system that is granted as `/far`.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its disk.
    pub disk: SimDisk,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine without a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            disk: SimDisk::new(),
        }
    }

    /// The store's directory.
    ///
    /// # Panics
    /// When something else bears its name.
    #[must_use]
    pub fn store(&self) -> SimDir {
        self.disk.file_system("disk").plant_dir("store").unwrap()
    }

    /// What is granted as `/external`.
    ///
    /// # Panics
    /// When something else bears its name.
    #[must_use]
    pub fn outside(&self) -> SimDir {
        self.disk.file_system("disk").plant_dir("outside").unwrap()
    }

    /// What is granted as `/far`.
    #[must_use]
    pub fn far(&self) -> SimDir {
        self.disk.file_system("far")
    }

    /// The store's back end, with both grants.
    ///
    /// # Panics
    /// When the grants are refused.
    #[must_use]
    pub fn backend(&self) -> FlatDir<SimDir> {
        let mut backend = FlatDir::new(self.store());
        backend.grant_external("/external", self.outside()).unwrap();
        backend.grant_external("/far", self.far()).unwrap();
        backend
    }

    /// Opens the store for writing, if that can be.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn try_open(&self) -> Result<(SimStore, Recovery)> {
        Store::open(self.backend(), fresh_env())
    }

    /// Opens the store for writing.
    ///
    /// # Panics
    /// When that fails.
    pub fn open(&self) -> SimStore {
        self.try_open().unwrap().0
    }

    /// Opens the store for reading.
    ///
    /// # Panics
    /// When that fails.
    pub fn open_read_only(&self) -> SimStore {
        Store::open_read_only(self.backend(), fresh_env())
            .unwrap()
            .0
    }

    /// The machine as it is, for trying several ends of one story.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            disk: self.disk.fork(),
        }
    }

    /// Everything that was not synced is gone.
    #[must_use]
    pub fn crash(&self) -> Self {
        Self {
            disk: self.disk.crash(),
        }
    }

    /// The process is gone, the cache is not.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self {
            disk: self.disk.kill(),
        }
    }

    /// Puts a file outside the store, or other bytes into one.
    ///
    /// # Panics
    /// For what is no name.
    pub fn put_external(&self, name: &str, bytes: &[u8]) -> ExternalPath {
        let dir = self.outside();
        match dir.content(name) {
            Some(_) => dir.change_file(name, bytes).unwrap(),
            None => dir.plant_file(name, bytes).unwrap(),
        }
        external(name)
    }

    /// The bytes of a file of the store.
    #[must_use]
    pub fn file(&self, name: &FileName) -> Option<Vec<u8>> {
        self.store().content(name.to_string())
    }

    /// Puts a file into the store, durably.
    ///
    /// # Panics
    /// Never: these are names.
    pub fn plant(&self, name: &FileName, bytes: &[u8]) {
        self.store().plant_file(name.to_string(), bytes).unwrap();
    }

    /// All regular files of the store, but the lock.
    ///
    /// # Panics
    /// Never: all of them are there.
    #[must_use]
    pub fn files(&self) -> BTreeMap<OsString, Vec<u8>> {
        let dir = self.store();
        dir.entries()
            .into_iter()
            .filter(|(name, kind)| *kind == EntryKind::File && name != "lock")
            .map(|(name, _)| {
                let bytes = dir.content(&name).unwrap();
                (name, bytes)
            })
            .collect()
    }

    /// Names that mean nothing once their writer is gone.
    #[must_use]
    pub fn leftovers(&self) -> Vec<FileName> {
        self.files()
            .keys()
            .filter_map(|name| FileName::parse(name))
            .filter(FileName::is_ephemeral)
            .collect()
    }
}

thread_local!(static OPENINGS: Cell<u64> = const { Cell::new(0) });

/// An environment of its own for every opening of a test, and the same ones in every run of it.
#[must_use]
pub fn fresh_env() -> Env {
    OPENINGS.set(OPENINGS.get() + 1);
    seeded_env(OPENINGS.get())
}

/// Begins anew with the environments of this thread: what comes next is the same whatever was before.
pub(crate) fn reset_envs() {
    OPENINGS.set(0);
}

/// The path of a file outside the store.
///
/// # Panics
/// For what is no name.
#[must_use]
pub fn external(name: &str) -> ExternalPath {
    ExternalPath::parse(&format!("/external/{name}")).unwrap()
}
