//! A directory that tells of every call that changes something before it is made.

use std::{ffi::OsStr, io, path::Path, sync::Arc};

use flatbao_core::{Access, Dir, DirFile, EntryKind, Opened, ReadAt, Stamp};
use flatbao_mem::{SimDir, SimFile, SimLock};

type Each = Arc<dyn Fn(&str) + Send + Sync>;

/// A [`SimDir`] that tells before it changes anything.
pub struct TapDir {
    dir: SimDir,
    each: Each,
}

/// A [`SimFile`] that tells before it changes anything.
pub struct TapFile {
    file: SimFile,
    each: Each,
}

impl TapDir {
    /// Tells this of every call before it is made.
    pub fn new(dir: SimDir, each: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let each = Arc::new(each);
        Self { dir, each }
    }

    fn tell(&self, what: &str, name: &OsStr) {
        (self.each)(&format!("{what} {}", name.display()));
    }

    fn file(&self, file: SimFile) -> TapFile {
        let each = Arc::clone(&self.each);
        TapFile { file, each }
    }
}

impl Dir for TapDir {
    type File = TapFile;
    type Lock = SimLock;

    fn create_new(&self, name: &OsStr) -> io::Result<TapFile> {
        self.tell("create", name);
        Ok(self.file(self.dir.create_new(name)?))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<TapFile>> {
        Ok(match self.dir.open(name, access)? {
            Opened::File(file) => Opened::File(self.file(file)),
            Opened::Missing => Opened::Missing,
            Opened::NotAFile(kind) => Opened::NotAFile(kind),
        })
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.tell("rename to", to);
        self.dir.rename(from, &to_dir.dir, to)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.tell("link as", to);
        self.dir.link(from, &to_dir.dir, to)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.tell("make directory", name);
        self.dir.make_dir(name)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.tell("unlink", name);
        self.dir.unlink(name)
    }

    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        self.dir.list(each)
    }

    fn sync(&self) -> io::Result<()> {
        self.tell("sync directory", OsStr::new(""));
        self.dir.sync()
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<SimLock>> {
        self.tell("lock", name);
        self.dir.try_lock(name)
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        let dir = self.dir.descend(path)?;
        let each = Arc::clone(&self.each);
        Ok(Self { dir, each })
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        self.dir.is_same(&other.dir)
    }
}

impl ReadAt for TapFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

impl DirFile for TapFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        (self.each)("write");
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.each)("set length");
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        (self.each)("sync file");
        self.file.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.file.stamp()
    }
}
