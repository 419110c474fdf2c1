//! What differs from system to system: opening, resolving and naming files.

use std::{
    ffi::OsStr,
    fs::{File, FileType, OpenOptions, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
};

use flatbao_core::{Entropy, ExternalPath};
use flatbao_fs::SystemEntropy;

use crate::{
    args::Global,
    error::{CliError, DIRECTORY, LINK, Result, SPECIAL},
    output::printable,
};

/// Before anything else is done.
#[cfg(not(target_os = "wasi"))]
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn begin(_: &Global) -> Result<()> {
    Ok(())
}

/// Before anything else is done: relative paths begin where the host says.
#[cfg(target_os = "wasi")]
pub(crate) fn begin(global: &Global) -> Result<()> {
    match &global.special.current_dir {
        Some(dir) => std::env::set_current_dir(dir).map_err(CliError::io("enter", dir)),
        None => Ok(()),
    }
}

/// The absolute path without links.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    real(path).map_err(CliError::io("find", path))
}

/// As [`canonical`], with the system's error.
#[cfg(not(target_os = "wasi"))]
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

/// As [`canonical`], with the system's error. A guest cannot look at what is above the directories that it was
/// granted, so that links on the way to them are not seen; nor are there any `..` out of them.
#[cfg(target_os = "wasi")]
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    use std::path::Component;

    std::fs::metadata(path)?;
    let mut real = std::env::current_dir()?;
    for part in path.components() {
        match part {
            Component::Normal(name) => real.push(name),
            Component::ParentDir => {
                real.pop();
            }
            Component::RootDir => real = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(real)
}

/// What of a path is there already, and the whole path, both without links in what is there.
pub(crate) fn settle(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        match real(there) {
            Ok(real) => {
                let whole = missing
                    .iter()
                    .rev()
                    .fold(real.clone(), |at, name| at.join(name));
                return Ok((real, whole));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (Some(name), Some(parent)) = (there.file_name(), there.parent()) else {
                    return Err(CliError::io("find", path)(e));
                };
                missing.push(name);
                there = match parent {
                    parent if parent == Path::new("") => Path::new("."),
                    parent => parent,
                };
            }
            Err(e) => return Err(CliError::io("find", path)(e)),
        }
    }
}

/// Opens a regular file, and nothing else: no FIFO keeps this waiting. A link at the end of the path is
/// followed only where the user wrote it.
pub(crate) fn open_regular(path: &Path, follow: bool) -> Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        options.custom_flags(flags.bits().cast_signed());
    }
    #[cfg(not(unix))]
    {
        // There is no flag for it; what the name becomes meanwhile stays within what the host granted.
        let found = if follow {
            std::fs::metadata(path)
        } else {
            std::fs::symlink_metadata(path)
        };
        let found = found.map_err(CliError::io("open", path))?;
        if !found.is_file() {
            return Err(not_a_file(path, found.file_type()));
        }
    }
    let open = || -> io::Result<_> {
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = match open() {
        Ok(opened) => opened,
        // A socket cannot be opened at all, a directory not everywhere: the name tells what it is.
        Err(error) => {
            let found = if follow {
                std::fs::metadata(path)
            } else {
                std::fs::symlink_metadata(path)
            };
            return Err(match found {
                Ok(found) if !found.is_file() => not_a_file(path, found.file_type()),
                _ => CliError::io("open", path)(error),
            });
        }
    };
    if !metadata.is_file() {
        return Err(not_a_file(path, metadata.file_type()));
    }
    Ok((file, metadata.len()))
}

/// Opens whatever can be read from its beginning to its end: a file, a FIFO, a device.
pub(crate) fn open_readable(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(CliError::io("open", path))?;
    let kind = file
        .metadata()
        .map_err(CliError::io("read", path))?
        .file_type();
    match kind.is_dir() {
        true => Err(not_a_file(path, kind)),
        false => Ok(file),
    }
}

/// The error about something that is no regular file.
pub(crate) fn not_a_file(path: &Path, kind: FileType) -> Box<CliError> {
    let what = match kind {
        kind if kind.is_symlink() => LINK,
        kind if kind.is_dir() => DIRECTORY,
        _ => SPECIAL,
    };
    Box::new(CliError::NotAFile {
        path: printable(path),
        what,
    })
}

/// The path by which the store refers to a file outside it.
pub(crate) fn external_path(path: &Path) -> Result<ExternalPath> {
    check_names_a_place(path)?;
    plain_external_path(&canonical(path)?)
}

/// Refuses a path that means something else outside a sandbox than in it: what a relative one is relative to is
/// not known there, unless the host has told it.
pub(crate) fn check_names_a_place(path: &Path) -> Result<()> {
    let is_told = || std::env::current_dir().is_ok_and(|dir| dir != Path::new("/"));
    match cfg!(target_os = "wasi") && path.is_relative() && !is_told() {
        true => Err(Box::new(CliError::Relative {
            path: printable(path),
        })),
        false => Ok(()),
    }
}

/// The same for an absolute path without links that need not lead to anything yet.
pub(crate) fn plain_external_path(path: &Path) -> Result<ExternalPath> {
    let text = path.to_str().ok_or_else(|| CliError::NotUtf8 {
        path: printable(path),
    })?;
    ExternalPath::parse(text).map_err(|source| {
        flatbao_core::Error::Path {
            path: printable(path),
            source,
        }
        .into()
    })
}

/// Reads a file that is expected to be small: at most `cap` bytes.
pub(crate) fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let (file, _) = open_regular(path, true)?;
    let mut bytes = Vec::new();
    let read = file.take(cap + 1).read_to_end(&mut bytes);
    read.map_err(CliError::io("read", path))?;
    if bytes.len() as u64 > cap {
        let error = io::Error::from(io::ErrorKind::FileTooLarge);
        return Err(CliError::io("read", path)(error));
    }
    Ok(bytes)
}

/// Whether somebody holds a lock file, without making one; nothing where that cannot be told.
pub(crate) fn is_locked(path: &Path) -> Option<bool> {
    match open_regular(path, false) {
        Ok((file, _)) => match file.try_lock() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.is_missing_file() => Some(false),
        Err(_) => None,
    }
}

/// What external paths lead into when nothing else is said: the user's own authority.
pub(crate) fn everything() -> Option<(&'static str, &'static Path)> {
    cfg!(unix).then(|| ("/", Path::new("/")))
}

/// A name for a temporary file that nobody else has.
pub(crate) fn temporary_name() -> Result<String> {
    let mut bytes = [0; 8];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(flatbao_core::Error::Entropy)?;
    Ok(format!(".flatbao-{:016x}.tmp", u64::from_le_bytes(bytes)))
}

/// A path of exactly these bytes, where the system has such.
pub(crate) fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Some(OsStr::from_bytes(bytes).into())
    }
    #[cfg(not(unix))]
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The bytes of an argument or a path: on Unix the very ones that were written.
pub(crate) fn bytes_of(text: &OsStr) -> &[u8] {
    text.as_encoded_bytes()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What the walk saw as a file may be a link by the time it is opened.
    #[test]
    fn a_link_is_followed_only_where_the_user_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "abc").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(open_regular(&link, true), Ok((_, 3))));
        let refused = open_regular(&link, false);
        assert!(matches!(
            *refused.unwrap_err(),
            CliError::NotAFile { what: LINK, .. }
        ));
        let refused = open_regular(dir.path(), true);
        assert!(matches!(
            *refused.unwrap_err(),
            CliError::NotAFile {
                what: DIRECTORY,
                ..
            }
        ));
    }
}
