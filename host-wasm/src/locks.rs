//! Locks on stores, held while a program runs.

use std::path::{Path, PathBuf};

use flatbao_core::{Backend, BackendError};
use flatbao_fs::FsBackend;

use crate::RunError;

/// The locks of all stores that a program may write to. Dropping it unlocks them.
pub(crate) struct Locks {
    _held: Vec<<FsBackend as Backend>::Lock>,
}

/// A store that is to be locked.
pub(crate) struct Wanted<'a> {
    pub(crate) path: &'a Path,
    /// Whether it may be made.
    pub(crate) create: bool,
}

impl Locks {
    /// Locks stores in the order of their real paths, so that two hosts that want the same ones never wait for
    /// each other, and each store once.
    pub(crate) fn take(wanted: &[Wanted<'_>]) -> Result<Self, RunError> {
        let mut stores = wanted
            .iter()
            .map(open)
            .collect::<Result<Vec<(PathBuf, FsBackend)>, _>>()?;
        stores.sort_by(|(a, _), (b, _)| a.cmp(b));
        stores.dedup_by(|(a, _), (b, _)| a == b);
        let held = stores.into_iter().map(|(path, store)| {
            store.lock().map_err(|error| match error {
                BackendError::Busy => RunError::Busy { path },
                source => RunError::Lock { path, source },
            })
        });
        Ok(Self {
            _held: held.collect::<Result<_, _>>()?,
        })
    }
}

fn open(wanted: &Wanted<'_>) -> Result<(PathBuf, FsBackend), RunError> {
    let path = wanted.path;
    let opened = if wanted.create {
        flatbao_fs::create_ambient(path)
    } else {
        flatbao_fs::open_ambient(path)
    };
    let store = opened.map_err(|source| RunError::OpenStore {
        path: path.to_owned(),
        source,
    })?;
    let real = path.canonicalize().map_err(|source| RunError::Grant {
        path: path.to_owned(),
        source,
    })?;
    Ok((real, store))
}
