//! What the program sees of everything that it was not granted: nothing. But there are the directories on the way to
//! its current one, or it could not have one.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// An empty file system, granted as `/`. What is looked up in it is not there, which is what commands expect of a path
/// that leads to nothing.
pub(crate) struct Skeleton(TempDir);

impl Skeleton {
    pub(crate) fn new(current: &Path) -> Result<Self> {
        let make = || {
            let root = tempfile::Builder::new()
                .prefix("flatbao-sandbox-")
                .tempdir()?;
            let below = current.strip_prefix("/").unwrap_or(current);
            fs::create_dir_all(root.path().join(below))?;
            Ok(Self(root))
        };
        make().map_err(Error::io("make", "a temporary directory"))
    }

    /// Puts a file there, with nothing in it, so that what is below a file is as impossible as it is outside.
    pub(crate) fn file(&self, path: &Path) -> Result<()> {
        let path = self.0.path().join(path.strip_prefix("/").unwrap_or(path));
        let make = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, "")
        };
        make().map_err(Error::io("make", "a temporary file"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
