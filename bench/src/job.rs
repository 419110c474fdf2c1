//! What a child process is given to do its work with.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{prep::Prep, scale::Scale};

/// Where a work finds what it needs, and where it may write.
#[derive(Debug)]
pub(crate) struct Job {
    /// The directory of the whole run.
    root: PathBuf,
    /// The directory of this repetition: it is there, and empty unless something was prepared in it.
    pub(crate) dir: PathBuf,
    pub(crate) scale: Scale,
}

impl Job {
    pub(crate) fn new(root: PathBuf, dir: PathBuf, scale: Scale) -> Self {
        Self { root, dir, scale }
    }

    /// What was prepared for all repetitions.
    pub(crate) fn prepared(&self, prep: Prep) -> PathBuf {
        prepared(&self.root, prep)
    }

    /// The large file.
    pub(crate) fn blob(&self) -> PathBuf {
        self.prepared(Prep::Blob).join("blob")
    }

    /// Its hash.
    pub(crate) fn blob_hash(&self) -> Result<blake3::Hash> {
        let path = self.prepared(Prep::Blob).join("hash");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(blake3::Hash::from_hex(text)?)
    }

    /// Reads what is prepared once, so that it comes from memory from then on.
    pub(crate) fn warm(&self, prep: Prep) -> Result<()> {
        warm(&self.prepared(prep))
    }
}

/// Where something is prepared in the directory of a run.
pub(crate) fn prepared(root: &Path, prep: Prep) -> PathBuf {
    root.join("prepared").join(prep.name())
}

fn warm(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            warm(&entry?.path())?;
        }
        return Ok(());
    }
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; 64 << 10];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The hash of a file, for comparing.
pub(crate) fn hash_file(path: &Path) -> Result<blake3::Hash> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}
