//! Stores that are made for the program.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use flatbao_core::{Backend as _, Durability};

use crate::error::{Error, Result};

/// A store that was made, and what of its path.
pub(crate) struct Made {
    store: PathBuf,
    /// The deepest one first.
    directories: Vec<PathBuf>,
}

impl Made {
    pub(crate) fn make(store: &Path, durability: Durability) -> Result<Self> {
        let missing = store.ancestors().take_while(|path| !path.exists());
        let directories = missing.map(Path::to_owned).collect();
        flatbao_fs::create_ambient_with(store, durability).map_err(Error::Directory)?;
        Ok(Self {
            store: store.to_owned(),
            directories,
        })
    }

    /// Takes away a store that nothing came into, since the command would not have made it. What stands in the way
    /// of that stays.
    pub(crate) fn tidy_up(&self) {
        let backend = flatbao_fs::open_ambient(&self.store).ok();
        // While somebody else opens it, it is theirs.
        let Some(_lock) = backend.and_then(|backend| backend.lock().ok()) else {
            return;
        };
        let Ok(entries) = fs::read_dir(&self.store) else {
            return;
        };
        let mut names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        if names.all(|name| name.is_ok_and(|name| name == OsStr::new("lock"))) {
            let _ = fs::remove_file(self.store.join("lock"));
            for directory in &self.directories {
                if fs::remove_dir(directory).is_err() {
                    return;
                }
            }
        }
    }
}
