//! A directory with ways of its own, for what the simulated disk does not do to order.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    sync::Arc,
};

use flatbao_core::{Access, Dir, DirFile, EntryKind, FlatDir, Opened, ReadAt, Stamp, Store};
use flatbao_mem::{SimDir, SimFile, SimLock, seeded_env};

/// What a [`QuirkyDir`] does differently.
#[derive(Default)]
pub(crate) struct Quirks {
    /// A name that listings leave out.
    pub(crate) unlisted: Option<OsString>,
    /// The length that every file claims whose name ends like this.
    pub(crate) claim: Option<(&'static str, u64)>,
    /// Called before a name is removed.
    pub(crate) before_unlink: Option<Box<Hook>>,
}

/// Is told of the name that a call is about.
type Hook = dyn Fn(&OsStr) + Send + Sync;

/// A simulated directory with [`Quirks`].
#[derive(Clone)]
pub(crate) struct QuirkyDir {
    dir: SimDir,
    quirks: Arc<Quirks>,
}

pub(crate) type QuirkyStore = Store<FlatDir<QuirkyDir>>;

impl QuirkyDir {
    /// Opens the store in a directory that has these quirks.
    pub(crate) fn open(dir: &SimDir, quirks: Quirks) -> QuirkyStore {
        let dir = Self {
            dir: dir.clone(),
            quirks: quirks.into(),
        };
        Store::open(FlatDir::new(dir), seeded_env(2)).unwrap().0
    }

    fn file(&self, name: &OsStr, file: SimFile) -> QuirkyFile {
        let name = name.to_string_lossy();
        let claim = self.quirks.claim.filter(|(end, _)| name.ends_with(end));
        QuirkyFile {
            file,
            claim: claim.map(|(_, len)| len),
        }
    }
}

impl Dir for QuirkyDir {
    type File = QuirkyFile;
    type Lock = SimLock;

    fn create_new(&self, name: &OsStr) -> io::Result<QuirkyFile> {
        let file = self.dir.create_new(name)?;
        Ok(self.file(name, file))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<QuirkyFile>> {
        Ok(match self.dir.open(name, access)? {
            Opened::File(file) => Opened::File(self.file(name, file)),
            Opened::Missing => Opened::Missing,
            Opened::NotAFile(kind) => Opened::NotAFile(kind),
        })
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.dir.rename(from, &to_dir.dir, to)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.dir.link(from, &to_dir.dir, to)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.dir.make_dir(name)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        if let Some(called) = &self.quirks.before_unlink {
            called(name);
        }
        self.dir.unlink(name)
    }

    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        self.dir.list(&mut |name, kind| {
            if self.quirks.unlisted.as_deref() != Some(name) {
                each(name, kind);
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<SimLock>> {
        self.dir.try_lock(name)
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: self.dir.descend(path)?,
            quirks: Arc::clone(&self.quirks),
        })
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        self.dir.is_same(&other.dir)
    }
}

/// A file of a [`QuirkyDir`].
pub(crate) struct QuirkyFile {
    file: SimFile,
    claim: Option<u64>,
}

impl ReadAt for QuirkyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.claim.map_or_else(|| self.file.size(), Ok)
    }
}

impl DirFile for QuirkyFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.file.stamp()
    }
}
