//! Which directories hold the lock of a store.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata},
};

use super::OpenDir;
use crate::sandbox::Grant;

/// The stores that are locked while the program runs, by everything that leads to them.
pub(super) struct Locked {
    /// Grants of the stores themselves.
    stores: BTreeSet<usize>,
    /// Grants of directories that have one of them somewhere below.
    above: BTreeSet<usize>,
    /// The directories of the stores, whichever of them has the lock.
    directories: BTreeSet<Id>,
}

/// What a directory is, whatever it is called.
type Id = (u64, u64);

impl Locked {
    pub(super) fn new(grants: &[Grant]) -> Self {
        let mut this = Self {
            stores: BTreeSet::new(),
            above: BTreeSet::new(),
            directories: BTreeSet::new(),
        };
        let real: Vec<_> = grants
            .iter()
            .map(|grant| grant.host.canonicalize().unwrap_or(grant.host.clone()))
            .collect();
        for (number, _) in (0..).zip(grants).filter(|(_, grant)| grant.lock.is_some()) {
            let store = &real[number];
            this.stores.insert(number);
            let above = (0..)
                .zip(&real)
                .filter(|(_, other)| store.starts_with(other));
            this.above.extend(above.map(|(other, _)| other));
            let entries = fs::read_dir(store).into_iter().flatten().flatten();
            let below = entries.filter_map(|entry| entry.metadata().ok());
            let all = below.chain(fs::metadata(store).ok());
            let directories = all.filter(Metadata::is_dir);
            this.directories
                .extend(directories.filter_map(|found| id(&found)));
        }
        this
    }

    /// Whether a name in the directory, or below it if the path has several, may be that of a lock.
    pub(super) fn hold(&self, dir: &OpenDir, is_below: bool) -> bool {
        if self.stores.contains(&dir.grant) {
            return true;
        }
        // What cannot be told apart is taken for one.
        self.above.contains(&dir.grant)
            && (is_below || of(&dir.handle).is_none_or(|id| self.directories.contains(&id)))
    }
}

fn of(handle: &File) -> Option<Id> {
    id(&handle.metadata().ok()?)
}

#[cfg(unix)]
fn id(found: &Metadata) -> Option<Id> {
    use std::os::unix::fs::MetadataExt as _;

    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn id(_: &Metadata) -> Option<Id> {
    None
}
