//! What the program is granted, by its paths.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use flatbao_host::{FileAccess, Sandbox};

use crate::{
    error::{Error, Result},
    view::{View, cut},
};

/// What may be done in a directory, the least first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Nothing, but to the files of these names, which may be read.
    Files(Vec<String>),
    Read,
    Write,
    /// As `Write`, while this process holds the lock of the store that it is.
    Store,
}

struct Grant {
    host: PathBuf,
    /// Without links.
    real: PathBuf,
    access: Access,
}

/// By the paths that the program has. Each is one place of the host.
#[derive(Default)]
pub(crate) struct Grants(BTreeMap<String, Grant>);

impl Grants {
    /// A directory, if there is one.
    pub(crate) fn directory(&mut self, view: &View, path: &Path, access: Access) -> Result<()> {
        self.at(view, path, view.host(path), access)
    }

    /// As [`file`](Self::file), where anything is read that has bytes.
    pub(crate) fn stream(&mut self, view: &View, path: &Path) -> Result<()> {
        if is_fifo(&view.host(path)) {
            let path = path.to_owned();
            return Err(Error::Fifo { path });
        }
        self.file(view, path)
    }

    /// A file that is read, by its name. If it is none the program sees so much of it that it can say what it is.
    pub(crate) fn file(&mut self, view: &View, path: &Path) -> Result<()> {
        let host = view.host(path);
        if host.is_dir() {
            return self.directory(view, path, Access::Files(Vec::new()));
        }
        let is_link = fs::symlink_metadata(&host).is_ok_and(|found| found.is_symlink());
        let (true, Ok(real)) = (is_link, host.canonicalize()) else {
            return self.name(view, path);
        };
        // Under this name is the link, and the program cannot follow it. Where the file has the same name its own
        // directory can stand for this one.
        let (parent, name) = cut(path)?;
        match real.parent() {
            Some(home) if real.file_name().is_some_and(|real| real == name) => {
                let access = Access::Files(vec![name.to_owned()]);
                self.at(view, &parent, home.to_owned(), access)
            }
            _ => Err(Error::Link {
                path: path.to_owned(),
                to: real,
            }),
        }
    }

    /// What bears a name, as far as looking at it goes if it is no file.
    pub(crate) fn name(&mut self, view: &View, path: &Path) -> Result<()> {
        let (parent, name) = cut(path)?;
        if matches!(name, "" | "." | "..") {
            return Ok(());
        }
        let access = Access::Files(vec![name.to_owned()]);
        self.directory(view, &parent, access)
    }

    fn at(&mut self, view: &View, path: &Path, host: PathBuf, access: Access) -> Result<()> {
        let Ok(real) = host.canonicalize() else {
            return Ok(());
        };
        if !real.is_dir() {
            return Ok(());
        }
        for guest in view.guest(path)? {
            let grant = Grant {
                host: host.clone(),
                real: real.clone(),
                access: access.clone(),
            };
            self.add(guest, grant)?;
        }
        Ok(())
    }

    fn add(&mut self, guest: String, new: Grant) -> Result<()> {
        let Some(old) = self.0.get_mut(&guest) else {
            self.0.insert(guest, new);
            return Ok(());
        };
        if old.real != new.real {
            return Err(Error::Collision {
                guest,
                first: old.host.clone(),
                second: new.host,
            });
        }
        match (&mut old.access, new.access) {
            (Access::Files(names), Access::Files(more)) => names.extend(more),
            (access, new) if new > *access => *access = new,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new();
        for (guest, grant) in &self.0 {
            let (host, at) = (&grant.host, guest.as_str());
            sandbox = match &grant.access {
                // The program takes what is granted deepest. It would miss everything else there.
                Access::Files(_) if self.is_covered(guest, grant) => sandbox,
                Access::Files(names) => {
                    let names = names.iter().map(|name| (name, FileAccess::Read));
                    sandbox.files(host, at, names)
                }
                Access::Read => sandbox.directory_read_only(host, at),
                Access::Write => sandbox.directory(host, at),
                Access::Store => sandbox.store(host, at),
            };
        }
        sandbox
    }

    /// Whether the same place is also in a directory that was granted as a whole.
    fn is_covered(&self, guest: &str, grant: &Grant) -> bool {
        self.0.iter().any(|(above, whole)| {
            let is_whole = !matches!(whole.access, Access::Files(_));
            let below = Path::new(guest).strip_prefix(above);
            is_whole && below.is_ok_and(|below| whole.real.join(below) == grant.real)
        })
    }

    /// Whether single files are granted in a directory above this one.
    pub(crate) fn has_files_above(&self, path: &Path) -> bool {
        let mut above = path.ancestors().skip(1).filter_map(Path::to_str);
        above.any(|guest| {
            let grant = self.0.get(guest);
            grant.is_some_and(|grant| matches!(grant.access, Access::Files(_)))
        })
    }

    /// Whether `/` is granted.
    pub(crate) fn has_root(&self) -> bool {
        self.0.contains_key("/")
    }
}

/// What has no positions, by which a program reads files.
#[cfg(unix)]
fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_fifo(_: &Path) -> bool {
    false
}
