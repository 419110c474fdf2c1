//! The files below a directory that is added.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::{
    error::{CliError, Result},
    output::{Out, Tally, printable},
    platform, store,
};

/// A file below the directory.
pub(crate) struct Found {
    /// Its name in the collection: relative, with `/` between components.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// As the directory claims.
    pub(crate) size: u64,
}

/// All regular files below `root`, which is without links, in the order of their names. What is something
/// else is told and left out; so is, silently, the store itself.
pub(crate) fn files(root: &Path, store: &Path, out: &Out, tally: &mut Tally) -> Vec<Found> {
    let mut found = Vec::new();
    let walk = WalkDir::new(root).min_depth(1).sort_by_file_name();
    let walk = walk.into_iter();
    for entry in walk.filter_entry(|entry| !store::is_inside(entry.path(), store)) {
        match entry
            .map_err(unreadable)
            .and_then(|entry| file(&entry, root))
        {
            Ok(file) => found.extend(file),
            Err(error) => tally.skipped(out, &error),
        }
    }
    found
}

/// `None` for a directory.
fn file(entry: &walkdir::DirEntry, root: &Path) -> Result<Option<Found>> {
    let kind = entry.file_type();
    if kind.is_dir() {
        return Ok(None);
    }
    let path = entry.path();
    if !kind.is_file() {
        return Err(platform::not_a_file(path, kind));
    }
    let name = name(path.strip_prefix(root).unwrap_or(path)).ok_or_else(|| CliError::NotUtf8 {
        path: printable(path),
    })?;
    let metadata = entry.metadata().map_err(unreadable)?;
    Ok(Some(Found {
        name,
        path: path.to_owned(),
        size: metadata.len(),
    }))
}

fn name(relative: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

fn unreadable(error: walkdir::Error) -> Box<CliError> {
    let path = error.path().map(Path::to_owned).unwrap_or_default();
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("it leads back to itself"));
    CliError::io("read", &path)(source)
}
