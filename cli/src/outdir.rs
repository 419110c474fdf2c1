//! A directory that is restored into, and out of which no name and no link leads.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use flatbao_core::{Dir as _, EntryKind};
use flatbao_fs::SystemDir;

use crate::{
    error::{CliError, Result},
    output::printable,
    platform,
};

/// A directory held open: whatever is done to its path meanwhile, files go there.
pub(crate) struct OutDir {
    dir: SystemDir,
    /// For errors.
    path: PathBuf,
    force: bool,
    /// The directory of the last file, which most often is that of the next.
    recent: Option<(String, SystemDir)>,
}

impl OutDir {
    /// Opens an existing directory. With `force`, files that are there already are replaced.
    pub(crate) fn open(path: &Path, force: bool) -> Result<Self> {
        let dir =
            SystemDir::open_ambient(path).map_err(CliError::io("open the directory", path))?;
        let here = path == Path::new(".");
        Ok(Self {
            dir,
            path: if here {
                PathBuf::new()
            } else {
                path.to_owned()
            },
            force,
            recent: None,
        })
    }

    /// Opens a directory, made where it is missing. One with something in it is refused without `force`.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self> {
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(target(
                    path,
                    "exists and is not a directory",
                    "name another DEST",
                ));
            }
            _ => {}
        }
        std::fs::create_dir_all(path).map_err(CliError::io("make the directory", path))?;
        let this = Self::open(path, force)?;
        let first = this.dir.list_until(&mut |_, _| ControlFlow::Break(()));
        if first.map_err(CliError::io("list", path))?.is_some() && !force {
            return Err(target(
                path,
                "exists and is not empty",
                "name another DEST, or use --force to restore among what is there",
            ));
        }
        Ok(this)
    }

    /// Writes a file. It appears under its name when `fill` has succeeded, or not at all. `name` has `/`
    /// between components, which were checked before; the directories are made as needed.
    pub(crate) fn write<T>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut File) -> Result<T>,
    ) -> Result<T> {
        let (parent, name) = name.rsplit_once('/').unwrap_or(("", name));
        self.write_in(parent, OsStr::new(name), fill)
    }

    /// As [`write`](Self::write), right here, under a name that the user chose.
    pub(crate) fn write_here<T>(
        &mut self,
        name: &OsStr,
        fill: impl FnOnce(&mut File) -> Result<T>,
    ) -> Result<T> {
        self.write_in("", name, fill)
    }

    fn write_in<T>(
        &mut self,
        parent: &str,
        name: &OsStr,
        fill: impl FnOnce(&mut File) -> Result<T>,
    ) -> Result<T> {
        let path = self.path.join(parent).join(name);
        let force = self.force;
        let dir = self.parent(parent)?;
        check_target(dir, name, force, &path)?;
        let temporary = platform::temporary_name()?;
        let temporary = OsStr::new(&temporary);
        let file = dir
            .create_new(temporary)
            .map_err(CliError::io("create a file for", &path))?;
        let written = fill(&mut file.into_std()).and_then(|value| {
            // Whatever came under that name meanwhile is not replaced either.
            check_target(dir, name, force, &path)?;
            dir.rename(temporary, dir, name)
                .map_err(CliError::io("create", &path))?;
            Ok(value)
        });
        if written.is_err() {
            // The first error is the one to tell; the name says that this is no one's file.
            let _ = dir.unlink(temporary);
        }
        written
    }

    /// The directory below, made as needed, and never through a link.
    fn parent(&mut self, path: &str) -> Result<&SystemDir> {
        if path.is_empty() {
            return Ok(&self.dir);
        }
        let known = matches!(&self.recent, Some((recent, _)) if recent == path);
        if !known {
            let dir = self.descend(path)?;
            self.recent = Some((path.to_owned(), dir));
        }
        Ok(self.recent.as_ref().map_or(&self.dir, |(_, dir)| dir))
    }

    fn descend(&self, path: &str) -> Result<SystemDir> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let mut shown = self.path.join(first);
        let mut below = step_into(&self.dir, first, &shown)?;
        for part in rest.split('/').filter(|part| !part.is_empty()) {
            shown.push(part);
            below = step_into(&below, part, &shown)?;
        }
        Ok(below)
    }
}

/// The directory `name` in `dir`, made where it is missing; `path` serves errors.
fn step_into(dir: &SystemDir, name: &str, path: &Path) -> Result<SystemDir> {
    let name = OsStr::new(name);
    match dir.make_dir(name) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CliError::io("make the directory", path)(e));
        }
        _ => {}
    }
    dir.child(name).map_err(|error| match dir.kind(name) {
        Ok(Some(EntryKind::Link)) => link(path),
        Ok(Some(EntryKind::File | EntryKind::Other)) => {
            target(path, "is in the way of a directory", "name another DEST")
        }
        _ => CliError::io("open the directory", path)(error),
    })
}

/// What bears the name may be replaced only if it is a file, and only if that was asked for.
fn check_target(dir: &SystemDir, name: &OsStr, force: bool, path: &Path) -> Result<()> {
    let found = dir.kind(name).map_err(CliError::io("look at", path))?;
    match found {
        None => Ok(()),
        Some(EntryKind::Link) => Err(link(path)),
        Some(EntryKind::Directory) => Err(target(
            path,
            "is a directory",
            "name a file in it, or another DEST",
        )),
        Some(EntryKind::Other) => Err(target(
            path,
            "exists and is not a regular file",
            "name another DEST",
        )),
        Some(EntryKind::File) if force => Ok(()),
        Some(EntryKind::File) => Err(target(
            path,
            "exists already",
            "name another DEST, or replace it with --force",
        )),
    }
}

fn target(path: &Path, why: &'static str, hint: &'static str) -> Box<CliError> {
    Box::new(CliError::Target {
        path: printable(path),
        why,
        hint,
        kind: "target_exists",
    })
}

fn link(path: &Path) -> Box<CliError> {
    Box::new(CliError::Target {
        path: printable(path),
        why: "is a symbolic link, which a restore does not follow",
        hint: "remove it, or name another DEST",
        kind: "unsafe_target",
    })
}
