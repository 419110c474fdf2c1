//! Blobs and collections become files again.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use flatbao_core::{Collection, Hash};

use crate::{
    error::{CliError, Result},
    names::{self, Rules},
    outdir::OutDir,
    output::{Out, Tally, printable},
    platform,
    store::{self, Store},
};

/// Bytes that are verified and passed on at once.
const PIECE: usize = 1024 * 1024;

/// Where a restore goes, and how.
pub(crate) struct Target<'a> {
    pub(crate) dest: &'a Path,
    /// The store's own directory, without links: nothing is restored into it.
    pub(crate) store: &'a Path,
    pub(crate) force: bool,
}

/// A file that was restored.
pub(crate) struct Restored<'a> {
    pub(crate) path: PathBuf,
    pub(crate) name: &'a str,
    pub(crate) hash: Hash,
    pub(crate) size: u64,
}

impl Target<'_> {
    /// Restores one blob to a file.
    pub(crate) fn file(&self, store: &Store, hash: Hash, out: &Out) -> Result<u64> {
        // Before the target is touched, or a directory made: is there anything to restore?
        store.reader(hash)?;
        self.write(|file| copy(store, hash, file, self.dest, out))
    }

    /// Writes one file, which appears when all of it is there.
    pub(crate) fn write<T>(&self, fill: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
        let dest = self.dest;
        let name = dest.file_name().ok_or_else(|| {
            CliError::usage(
                format!("{} names no file", printable(dest)),
                "name a file that is to be written",
            )
        })?;
        let parent = match dest.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        self.check_outside(parent)?;
        OutDir::open(parent, self.force)?.write_here(name, fill)
    }

    /// Restores a collection to a directory. What cannot be restored is told, and does not keep the rest
    /// from being restored; but a name that is not safe keeps anything from being written.
    pub(crate) fn collection<'c>(
        &self,
        store: &Store,
        collection: &'c Collection,
        rules: Rules,
        out: &Out,
        tally: &mut Tally,
        mut each: impl FnMut(&Restored<'c>) -> Result<()>,
    ) -> Result<()> {
        let entries = collection.entries();
        names::check(entries.iter().map(|(name, _)| name.as_str()), rules)?;
        self.check_outside(self.dest)?;
        let mut dir = OutDir::create(self.dest, self.force)?;
        for (name, hash) in entries {
            let path = self.dest.join(name);
            let written = dir.write(name, |file| copy(store, *hash, file, &path, out));
            match written {
                Ok(size) => {
                    tally.done();
                    each(&Restored {
                        path,
                        name,
                        hash: *hash,
                        size,
                    })?;
                }
                // The next file would not fit either.
                Err(error) if is_full(&error) => return Err(error),
                Err(error) => tally.failed(out, &error),
            }
        }
        Ok(())
    }

    /// A restore into the store could look like a blob. What is missing yet is looked up by what is there.
    fn check_outside(&self, dir: &Path) -> Result<()> {
        let mut there = dir;
        let real = loop {
            let path = if there == Path::new("") {
                Path::new(".")
            } else {
                there
            };
            match (platform::real(path), there.parent()) {
                (Ok(real), _) => break real,
                (Err(_), Some(parent)) => there = parent,
                // Opening it will tell what is wrong.
                (Err(_), None) => return Ok(()),
            }
        };
        if store::is_inside(&real, self.store) {
            let path = printable(dir);
            return Err(Box::new(CliError::InsideStore { path }));
        }
        Ok(())
    }
}

fn is_full(error: &CliError) -> bool {
    matches!(error, CliError::Io { source, .. }
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// Copies a blob, verified. Returns its size, which is proved.
fn copy(store: &Store, hash: Hash, file: &mut File, path: &Path, out: &Out) -> Result<u64> {
    let reader = store.reader(hash)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let read = reader.read_verified(&mut piece, at)?;
        if read == 0 {
            return Ok(at);
        }
        file.write_all(&piece[..read])
            .map_err(CliError::io("write", path))?;
        at += read as u64;
        out.meter.advance(read as u64);
    }
}
