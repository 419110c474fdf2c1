//! What a command touches in the file system, as its arguments say it.

use std::path::{Path, PathBuf};

use crate::{args::Global, platform};

mod commands;
#[cfg(test)]
mod tests;

/// What a command touches in the file system, and nothing else, as far as its arguments say it: for a host that
/// grants just that.
///
/// Paths are as they were written, relative ones below the current directory. Nothing has been looked at: what
/// is at a path, and whether anything is, is for the host to see. Besides what is told here, a command looks at
/// what a path leads through: it follows links, and asks what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Places {
    /// The stores, that of `--store` first.
    pub stores: Vec<StorePlace>,
    /// Files and directories outside them.
    pub outside: Vec<Place>,
    /// Where the paths lead by which stores refer to files outside.
    pub external: Vec<ExternalPlace>,
    /// Whether files are read that nothing among the arguments names: those of a list on stdin.
    pub is_open_ended: bool,
    /// Whether standard input is read.
    pub reads_stdin: bool,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlace {
    /// Its directory, or the one that has its three.
    pub path: PathBuf,
    /// What is done there.
    pub access: StoreAccess,
}

/// What is done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAccess {
    /// It is read, and nothing in it changes. There need not be one, which is told then.
    Read,
    /// It is written. There need not be one, which is told then.
    Write,
    /// It is written, and made with its parents where there is none. Where writes are durable the directory above
    /// it, or above what is there of its parents, is synced.
    Fill,
    /// As [`Fill`](Self::Fill), also where there is a directory of other files.
    Make,
}

/// A file or directory outside the stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub path: PathBuf,
    /// What is done there.
    pub access: Access,
}

/// What is done at a place. Where a file is written it appears under its name when it is whole: until then it is
/// `.flatbao-….tmp` beside it, with sixteen hexadecimal digits or a uuid.
///
/// `replace` tells whether a file that is there already is replaced, and a directory with something in it taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A file is read.
    ReadFile,
    /// A file is read or, where there is a directory, every file below it. Links in it are not followed.
    Read,
    /// As [`Read`](Self::Read). The store refers to each file by its absolute path without links, and reads it by
    /// that, as an [external](Places::external) one.
    Refer,
    /// A list of hashes is read, and then every file that it names.
    ReadListed,
    /// A file is written, in a directory that is there.
    WriteFile {
        /// Whether what is there is replaced.
        replace: bool,
    },
    /// A file is read if it is there, and then written anew, or removed.
    UpdateFile,
    /// Files are written into a directory, which is made with its parents: right under their names, and over what
    /// is there.
    WriteInto,
    /// A file is written, in a directory that is there; or a directory is made with its parents, and files and
    /// directories in it. The store tells which.
    Restore {
        /// Whether what is there is replaced.
        replace: bool,
    },
    /// As [`Restore`](Self::Restore), not at this directory but in it, under the name of a full hash in
    /// hexadecimal that only the store tells.
    RestoreByHash {
        /// Whether what is there is replaced.
        replace: bool,
    },
    /// A file is written, or a directory of files: both with their parents, and by the absolute path without links.
    /// Where the store gives away its own file, that is linked here.
    Export {
        /// Whether what is there is replaced.
        replace: bool,
    },
}

/// A directory in which files outside the store are looked up: those that the store refers to, one by one, and
/// no others. It has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPlace {
    /// How the paths of those files begin.
    pub prefix: String,
    /// The directory that stands for the prefix. On Unix it is `/` for `/` where the arguments say nothing.
    pub dir: PathBuf,
    /// Whether an export may write here, too, since its target has this prefix. Whatever else is done, these
    /// files are only read.
    pub is_written: bool,
}

impl Places {
    fn reading(global: &Global) -> Self {
        Self::of(global, StoreAccess::Read)
    }

    fn writing(global: &Global) -> Self {
        Self::of(global, StoreAccess::Write)
    }

    fn filling(global: &Global) -> Self {
        Self::of(global, StoreAccess::Fill)
    }

    fn writing_unless(reads: bool, global: &Global) -> Self {
        match reads {
            true => Self::reading(global),
            false => Self::writing(global),
        }
    }

    fn of(global: &Global, access: StoreAccess) -> Self {
        let Global {
            store,
            json: _,
            quiet: _,
            verbose: _,
            read_only,
            external,
            no_external,
            special: _,
        } = global;
        // What would write refuses to, and needs no more than anyone.
        let access = if *read_only {
            StoreAccess::Read
        } else {
            access
        };
        let path = store.clone();
        let place = |prefix: &str, dir: &Path| ExternalPlace {
            prefix: prefix.to_owned(),
            dir: dir.to_owned(),
            is_written: false,
        };
        let mut granted: Vec<_> = external.iter().map(|e| place(&e.prefix, &e.dir)).collect();
        if granted.is_empty() && !no_external {
            granted.extend(platform::everything().map(|(prefix, dir)| place(prefix, dir)));
        }
        Self {
            stores: vec![StorePlace { path, access }],
            external: granted,
            ..Self::default()
        }
    }

    fn and(mut self, path: impl AsRef<Path>, access: Access) -> Self {
        let path = path.as_ref().to_owned();
        self.outside.push(Place { path, access });
        self
    }

    fn and_all<'a>(self, paths: impl IntoIterator<Item = &'a PathBuf>, access: Access) -> Self {
        let paths = paths.into_iter();
        paths.fold(self, |places, path| places.and(path, access))
    }

    /// As [`and_all`](Self::and_all), where `-` is no place: what is read there is standard input.
    fn and_named<'a>(
        mut self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
        access: Access,
    ) -> Self {
        let (streams, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|p| is_stream(p));
        self.reads_stdin |= !streams.is_empty()
            && matches!(access, Access::Read | Access::ReadFile | Access::ReadListed);
        self.and_all(paths, access)
    }
}

/// Whether a path stands for a standard stream, where a command takes one.
fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}
