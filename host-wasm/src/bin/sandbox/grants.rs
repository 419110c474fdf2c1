//! What the program is granted, by its paths.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use flatbao_host::{FileAccess, Name, Sandbox};

use crate::{
    error::{Error, Result},
    view::{View, cut},
};

/// What may be done in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing, but to what has these names.
    Files(Vec<(Name, FileAccess)>),
    Read,
    Write,
    /// As `Write`, while this process holds the lock of the store that it is.
    Store,
}

impl Access {
    /// To one file, which is read.
    fn file(name: &str) -> Self {
        Self::Files(vec![(name.into(), FileAccess::Read)])
    }

    /// Both in one. What is read as a whole, and written under some names, is written as a whole: of a directory only
    /// names can be granted, or everything.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Files(mut names), Self::Files(more)) => {
                names.extend(more);
                Self::Files(names)
            }
            (Self::Store, _) | (_, Self::Store) => Self::Store,
            (Self::Write, _) | (_, Self::Write) => Self::Write,
            (Self::Read, Self::Read) => Self::Read,
            (Self::Read, Self::Files(names)) | (Self::Files(names), Self::Read) => {
                match is_written(&names) {
                    true => Self::Write,
                    false => Self::Read,
                }
            }
        }
    }
}

fn is_written(names: &[(Name, FileAccess)]) -> bool {
    names.iter().any(|(_, access)| *access > FileAccess::Read)
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
                self.at(view, &parent, home.to_owned(), Access::file(name))
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
        self.directory(view, &parent, Access::file(name))
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
        old.access = old.access.clone().and(new.access);
        Ok(())
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new();
        for (guest, grant) in &self.0 {
            let (host, at) = (&grant.host, guest.as_str());
            sandbox = match &grant.access {
                // The program takes what is granted deepest. It would miss everything else there.
                Access::Files(names) => match self.covering(guest, grant) {
                    Some(Access::Read) if is_written(names) => sandbox.directory(host, at),
                    Some(_) => sandbox,
                    None => sandbox.files(host, at, names.clone()),
                },
                Access::Read => sandbox.directory_read_only(host, at),
                Access::Write => sandbox.directory(host, at),
                Access::Store => sandbox.store(host, at),
            };
        }
        sandbox
    }

    /// What may be done at the same place because it is in a directory that was granted as a whole: in the deepest such.
    fn covering(&self, guest: &str, grant: &Grant) -> Option<&Access> {
        let covers = |(above, whole): &(&String, &Grant)| {
            let is_whole = !matches!(whole.access, Access::Files(_));
            let below = Path::new(guest).strip_prefix(above);
            is_whole && below.is_ok_and(|below| whole.real.join(below) == grant.real)
        };
        let covering = self.0.iter().filter(covers);
        let deepest = covering.max_by_key(|(above, _)| above.len());
        deepest.map(|(_, whole)| &whole.access)
    }

    /// Whether something may be written in the directory, since it is in one that is written, or the other way round.
    pub(crate) fn is_written(&self, host: &Path) -> bool {
        let Ok(real) = host.canonicalize() else {
            return false;
        };
        self.0.iter().any(|(guest, grant)| {
            let overlaps = real.starts_with(&grant.real) || grant.real.starts_with(&real);
            match &grant.access {
                Access::Read => false,
                Access::Write | Access::Store => overlaps,
                Access::Files(names) if !is_written(names) => false,
                // It becomes a directory that is written as a whole.
                Access::Files(_) if self.covering(guest, grant) == Some(&Access::Read) => overlaps,
                Access::Files(names) => match real.strip_prefix(&grant.real) {
                    Ok(below) => below.iter().next().is_none_or(|first| {
                        let is_it = |(name, access): &(Name, FileAccess)| {
                            *access > FileAccess::Read
                                && first.to_str().is_some_and(|first| name.matches(first))
                        };
                        names.iter().any(is_it)
                    }),
                    Err(_) => overlaps,
                },
            }
        })
    }

    /// Whether single files are granted in this directory, or in one above it.
    pub(crate) fn has_files_on_the_way(&self, path: &Path) -> bool {
        let mut above = path.ancestors().filter_map(Path::to_str);
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
