//! A simulated directory whose calls are points at which another thread may be let run.
//!
//! Left out are calls that no other thread can tell the order of: all that is done to files under ephemeral names,
//! which have a uuid of their own; reads of a published file, which never changes; syncs of a file, which no name leads
//! to yet or which was whole before. What is left: names that are given, taken away, looked up and listed, syncs of
//! directories, and whatever is done to a file under a partial name, which others read while it grows. What is left out
//! is noted as well: it tells which of two may go first.

use std::{
    ffi::OsStr,
    io,
    path::{Component, Path},
    sync::Arc,
};

use flatbao_core::{Access, Dir, DirFile, EntryKind, FileName, Opened, ReadAt, Stamp};
use flatbao_mem::{SimDir, SimFile, SimLock};

use crate::{
    explore::{call, note},
    touch::{Place, Touch},
};

/// A [`SimDir`] with points.
pub struct PointDir {
    dir: SimDir,
    /// What no other directory is called.
    label: Arc<str>,
}

/// A [`SimFile`] with points, where others may write to it or read what is written.
pub struct PointFile {
    file: SimFile,
    /// What no other file is called, whatever name leads to it.
    number: u64,
    is_partial: bool,
}

impl PointDir {
    /// A directory, by a name that no other one of the disk has.
    pub fn new(dir: SimDir, label: &str) -> Self {
        let label = label.into();
        Self { dir, label }
    }

    fn file(&self, file: SimFile, name: &OsStr) -> io::Result<PointFile> {
        let is_partial = matches!(
            typed(name),
            Some(FileName::PartialData(..) | FileName::PartialOutboard(..))
        );
        let number = file.stamp()?.id.map_or(0, |(_, number)| number);
        Ok(PointFile {
            file,
            number,
            is_partial,
        })
    }

    fn place(&self, name: &OsStr) -> Place {
        Place {
            dir: Arc::clone(&self.label),
            name: name.to_owned(),
        }
    }

    fn at(&self, what: &str, name: &OsStr, touch: impl FnOnce(Place) -> Touch) {
        if !is_own(name) {
            call(|| format!("{what} {}", short(name)));
        }
        note(|| touch(self.place(name)));
    }

    /// From one name to another. Either may be one that others know; `first` goes before `then`.
    fn at_both(&self, what: &str, first: (&Self, &OsStr), then: (&Self, &OsStr)) {
        let known = [first, then].map(|(_, name)| name);
        if let Some(name) = known.into_iter().find(|name| !is_own(name)) {
            call(|| format!("{what} {}", short(name)));
        }
        for (dir, name) in [first, then] {
            note(|| Touch::Changes(dir.place(name)));
        }
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
        self.at("create", name, Touch::Changes);
        self.file(self.dir.create_new(name)?, name)
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<PointFile>> {
        self.at("open", name, Touch::Looks);
        Ok(match self.dir.open(name, access)? {
            Opened::File(file) => Opened::File(self.file(file, name)?),
            Opened::Missing => Opened::Missing,
            Opened::NotAFile(kind) => Opened::NotAFile(kind),
        })
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.at_both("rename to", (to_dir, to), (self, from));
        self.dir.rename(from, &to_dir.dir, to)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.at_both("link of", (self, from), (to_dir, to));
        self.dir.link(from, &to_dir.dir, to)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.at("make directory", name, |_| Touch::All);
        self.dir.make_dir(name)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.at("unlink", name, Touch::Changes);
        self.dir.unlink(name)
    }

    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        self.at("list", OsStr::new(""), |here| Touch::Lists(here.dir));
        self.dir.list(each)
    }

    fn sync(&self) -> io::Result<()> {
        self.at("sync directory", OsStr::new(""), |here| {
            Touch::Syncs(here.dir)
        });
        self.dir.sync()
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<SimLock>> {
        self.at("lock", name, |_| Touch::All);
        self.dir.try_lock(name)
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        self.at("descend to", path.as_os_str(), Touch::Looks);
        let dir = self.dir.descend(path)?;
        let mut label = Arc::clone(&self.label);
        // No link leads anywhere here.
        for part in path.components().filter(|part| *part != Component::CurDir) {
            label = format!("{label}/{}", part.as_os_str().display()).into();
        }
        Ok(Self { dir, label })
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        self.dir.is_same(&other.dir)
    }
}

impl PointFile {
    fn at(&self, what: &str, touch: impl FnOnce(u64) -> Touch) {
        if self.is_partial {
            call(|| format!("{what} a partial file"));
        }
        note(|| touch(self.number));
    }
}

impl ReadAt for PointFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.at("read", Touch::Reads);
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.at("measure", Touch::Reads);
        self.file.size()
    }
}

impl DirFile for PointFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.at("write to", Touch::Writes);
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.at("cut", Touch::Writes);
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        note(|| Touch::Keeps(self.number));
        self.file.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        note(|| Touch::Reads(self.number));
        self.file.stamp()
    }
}
