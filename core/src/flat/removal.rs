//! How names are taken away.

use std::{ffi::OsStr, io};

use crate::{
    Access, Area, BackendError, BatchError, Dir, FileName, FlatDir, Opened,
    flat::{moves::MoveError, text_of},
};

/// How many names of a group are gone, and why no more.
pub(super) struct Removal {
    gone: usize,
    failed: Option<MoveError>,
}

/// The sync after removals: what is gone is durable, or it is not known whether.
pub(super) struct Synced(Result<(), BackendError>);

impl Synced {
    pub(super) fn outcome(&self, removal: Removal) -> Result<(), BatchError> {
        let Removal { gone, failed } = removal;
        let maybe = usize::from(failed.as_ref().is_some_and(|error| error.unknown));
        match (&self.0, failed) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(error)) => Err(BatchError {
                done: gone,
                unknown: maybe,
                source: error.source,
            }),
            (Err(error), _) => Err(BatchError {
                done: 0,
                unknown: gone + maybe,
                source: told_again(error),
            }),
        }
    }
}

/// An error of a sync, for one more of those that it is about.
fn told_again(error: &BackendError) -> BackendError {
    let source = match error {
        BackendError::Sync { source, .. } => match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => source.kind().into(),
        },
        // There is no other error of a sync.
        _ => io::ErrorKind::Other.into(),
    };
    BackendError::Sync {
        what: "the store directory".into(),
        source,
    }
}

impl<D: Dir> FlatDir<D> {
    pub(super) fn sync_removals(&self, mut touched: Vec<usize>, of_blobs: bool) -> Synced {
        if of_blobs {
            // A process that died may have taken other files of these blobs away, whose names only the disk still has.
            touched.extend([Area::Complete, Area::Partial].map(|area| self.index(area)));
        }
        Synced(self.sync_dirs(touched))
    }

    /// Name by name: no directory there can do more than one thing at once, and the module is to be small.
    #[cfg(target_family = "wasm")]
    pub(super) fn unlink_groups(
        &self,
        groups: &[Vec<FileName>],
        touched: &mut Vec<usize>,
    ) -> Vec<Removal> {
        let groups = groups.iter();
        groups
            .map(|names| self.unlink_in_turn(names, touched))
            .collect()
    }

    /// What is in one directory goes as the directory can; what is in several, name by name.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn unlink_groups(
        &self,
        groups: &[Vec<FileName>],
        touched: &mut Vec<usize>,
    ) -> Vec<Removal> {
        let place = |names: &[FileName]| {
            let index = self.index(names.first()?.area());
            let is_here =
                |name: &FileName| !name.is_ephemeral() && self.index(name.area()) == index;
            names.iter().all(is_here).then_some(index)
        };
        let places: Vec<Option<usize>> = groups.iter().map(|names| place(names)).collect();
        let mut unlinked = Vec::new();
        for (index, dir) in self.dirs.iter().enumerate() {
            let here = groups.iter().zip(&places);
            let here = here.filter(|(_, place)| **place == Some(index));
            let texts: Vec<Vec<_>> = here
                .map(|(names, _)| names.iter().map(text_of).collect())
                .collect();
            if !texts.is_empty() {
                // Also when all are gone: a process that died may not have made that durable.
                touched.push(index);
            }
            unlinked.push(dir.unlink_groups(&texts).into_iter());
        }
        let removal = |(names, place): (&Vec<FileName>, Option<usize>)| {
            let unlinked = place.and_then(|index| Some((index, unlinked[index].next()?)));
            match unlinked {
                Some((index, unlinked)) => self.removal(index, names, unlinked),
                None => self.unlink_in_turn(names, touched),
            }
        };
        groups.iter().zip(places).map(removal).collect()
    }

    #[cfg(not(target_family = "wasm"))]
    fn removal(&self, index: usize, names: &[FileName], unlinked: crate::Unlinked) -> Removal {
        let crate::Unlinked { gone, stopped } = unlinked;
        let failed = names.get(gone).zip(stopped.err());
        let failed = failed.map(|(name, error)| self.not_removed(index, name, false, error));
        Removal { gone, failed }
    }

    /// Removes names one after the other.
    pub(super) fn unlink_in_turn(&self, names: &[FileName], touched: &mut Vec<usize>) -> Removal {
        let mut gone = 0;
        for name in names {
            if let Err(error) = self.unlink_everywhere(name, touched) {
                let failed = Some(error);
                return Removal { gone, failed };
            }
            gone += 1;
        }
        Removal { gone, failed: None }
    }

    fn unlink_everywhere(
        &self,
        name: &FileName,
        touched: &mut Vec<usize>,
    ) -> Result<(), MoveError> {
        let text = text_of(name);
        let mut unlinked = false;
        for (index, dir) in self.dirs.iter().enumerate() {
            if !name.is_ephemeral() && index != self.index(name.area()) {
                continue;
            }
            // Also when it is gone: a process that died may not have made that durable.
            touched.push(index);
            match dir.unlink(&text) {
                Ok(()) => unlinked = true,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(self.not_removed(index, name, unlinked, e)),
            }
        }
        Ok(())
    }

    /// Why a name is still there; or it may not be, as one that was `unlinked` elsewhere.
    fn not_removed(
        &self,
        index: usize,
        name: &FileName,
        unlinked: bool,
        error: io::Error,
    ) -> MoveError {
        let text = name.to_string();
        let found = self.dirs[index].open(OsStr::new(&text), Access::Read);
        MoveError {
            unknown: unlinked || matches!(found, Ok(Opened::Missing) | Err(_)),
            source: BackendError::io("remove", text)(error),
        }
    }
}
