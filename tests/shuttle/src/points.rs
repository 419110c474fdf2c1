//! A simulated directory whose calls are points at which another thread may be let run.
//!
//! Left out are calls that no other thread can tell the order of: all that is done to files under ephemeral names,
//! which have a uuid of their own; reads of a published file, which never changes; syncs of a file, which no name leads
//! to yet or which was whole before. What is left: names that are given, taken away, looked up and listed, syncs of
//! directories, and whatever is done to a file under a partial name, which others read while it grows.

use std::{ffi::OsStr, io, path::Path};

use flatbao_core::{Access, Dir, DirFile, EntryKind, FileName, Opened, ReadAt, Stamp};
use flatbao_mem::{SimDir, SimFile, SimLock};

use crate::explore::call;

/// A [`SimDir`] with points.
pub struct PointDir(pub SimDir);

/// A [`SimFile`] with points, where others may write to it or read what is written.
pub struct PointFile {
    file: SimFile,
    is_partial: bool,
}

impl PointDir {
    fn file(&self, file: SimFile, name: &OsStr) -> PointFile {
        let is_partial = matches!(
            typed(name),
            Some(FileName::PartialData(..) | FileName::PartialOutboard(..))
        );
        PointFile { file, is_partial }
    }
}

fn typed(name: &OsStr) -> Option<FileName> {
    FileName::parse(name)
}

/// Whether the name has a uuid that nobody else uses.
fn is_own(name: &OsStr) -> bool {
    let outside = name
        .to_str()
        .is_some_and(|name| name.starts_with(".flatbao-"));
    outside || typed(name).is_some_and(|name| name.is_ephemeral())
}

fn at(what: &str, name: &OsStr) {
    if !is_own(name) {
        call(|| format!("{what} {}", short(name)));
    }
}

/// A name without most of its hash.
fn short(name: &OsStr) -> String {
    let name = name.display().to_string();
    match name.char_indices().nth(64) {
        Some((end, _)) if !name.starts_with('.') => format!("{}…{}", &name[..6], &name[end..]),
        _ => name,
    }
}

impl Dir for PointDir {
    type File = PointFile;
    type Lock = SimLock;

    fn create_new(&self, name: &OsStr) -> io::Result<PointFile> {
        at("create", name);
        Ok(self.file(self.0.create_new(name)?, name))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<PointFile>> {
        at("open", name);
        Ok(match self.0.open(name, access)? {
            Opened::File(file) => Opened::File(self.file(file, name)),
            Opened::Missing => Opened::Missing,
            Opened::NotAFile(kind) => Opened::NotAFile(kind),
        })
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        at("rename to", to);
        self.0.rename(from, &to_dir.0, to)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        // Either name may be one that others know.
        let known = if is_own(from) { to } else { from };
        at("link of", known);
        self.0.link(from, &to_dir.0, to)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        at("make directory", name);
        self.0.make_dir(name)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        at("unlink", name);
        self.0.unlink(name)
    }

    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        at("list", OsStr::new(""));
        self.0.list(each)
    }

    fn sync(&self) -> io::Result<()> {
        at("sync directory", OsStr::new(""));
        self.0.sync()
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<SimLock>> {
        at("lock", name);
        self.0.try_lock(name)
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        at("descend to", path.as_os_str());
        Ok(Self(self.0.descend(path)?))
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        self.0.is_same(&other.0)
    }
}

impl PointFile {
    fn at(&self, what: &str) {
        if self.is_partial {
            call(|| format!("{what} a partial file"));
        }
    }
}

impl ReadAt for PointFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.at("read");
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.at("measure");
        self.file.size()
    }
}

impl DirFile for PointFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.at("write to");
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.at("cut");
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.file.stamp()
    }
}
