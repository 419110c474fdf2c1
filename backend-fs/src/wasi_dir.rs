//! A directory that a WASI host granted.

#[cfg(target_env = "p1")]
use std::os::fd::AsFd as _;
use std::{convert::Infallible, ffi::OsStr, io, ops::ControlFlow, os::fd::OwnedFd, path::Path};

use flatbao_core::{Access, Dir, EntryKind, Opened};
use flatbao_wasi_calls::Kind;
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::WasiFile;

/// How often a name that is replaced while it is opened is tried anew.
const ATTEMPTS: usize = 16;

/// A directory below one that the host granted, by a descriptor out of which no name and no link leads.
///
/// What WASI lacks is not made up: it has no locks, and under preview 1 not every host can sync a directory.
/// See the [crate's page](crate#under-wasi).
#[derive(Debug)]
pub struct WasiDir(OwnedFd);

impl WasiDir {
    /// Opens a directory by its path in the guest.
    ///
    /// # Errors
    /// Whatever the host says; `NotFound` also when nothing was granted there.
    pub fn open_ambient(path: &Path) -> io::Result<Self> {
        let path = path.as_os_str().as_encoded_bytes();
        Ok(Self(fs::open(path, directory(), Mode::empty())?))
    }

    /// The directory of this name; a link is not followed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or whatever the host says.
    pub fn child(&self, name: &OsStr) -> io::Result<Self> {
        // Node's host follows links whatever it is told, so that the name is looked at before and after.
        for _ in 0..ATTEMPTS {
            let named = self.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
            if kind_of(&named) != EntryKind::Directory {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let flags = directory() | OFlags::NOFOLLOW;
            let child = fs::openat(&self.0, bytes_of(name), flags, Mode::empty())?;
            if id_of(&fs::fstat(&child)?) == id_of(&named) {
                return Ok(Self(child));
            }
        }
        Err(restless())
    }

    /// What bears the name, without following it; nothing when there is no such name.
    ///
    /// # Errors
    /// Whatever the host says.
    pub fn kind(&self, name: &OsStr) -> io::Result<Option<EntryKind>> {
        Ok(self.stat(name)?.as_ref().map(kind_of))
    }

    /// As [`Dir::list`], until `each` says that it has seen enough.
    ///
    /// # Errors
    /// Whatever the host says.
    pub fn list_until<T>(
        &self,
        each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
    ) -> io::Result<Option<T>> {
        let mut found = None;
        let mut take = |name: &[u8], kind| {
            if found.is_none() {
                found = each(&name_of(name), told(kind)).break_value();
            }
        };
        #[cfg(target_env = "p1")]
        flatbao_wasi_calls::list(self.0.as_fd(), &mut take).map_err(of_listing)?;
        // The stream of entries wants a descriptor of its own.
        #[cfg(not(target_env = "p1"))]
        flatbao_wasi_calls::list(
            fs::openat(&self.0, ".", directory(), Mode::empty())?,
            &mut take,
        )?;
        Ok(found)
    }

    /// Opens whatever bears the name.
    fn open_any(&self, name: &OsStr, access: Access) -> io::Result<OwnedFd> {
        #[cfg(target_env = "p1")]
        return flatbao_wasi_calls::open_file(
            self.0.as_fd(),
            bytes_of(name),
            access == Access::ReadWrite,
        );
        #[cfg(not(target_env = "p1"))]
        return {
            let flags = match access {
                Access::Read => OFlags::RDONLY,
                Access::ReadWrite => OFlags::RDWR,
            } | OFlags::NOFOLLOW;
            Ok(fs::openat(&self.0, bytes_of(name), flags, Mode::empty())?)
        };
    }

    fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match fs::statat(&self.0, bytes_of(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<OwnedFd> for WasiDir {
    fn from(dir: OwnedFd) -> Self {
        Self(dir)
    }
}

impl Dir for WasiDir {
    type File = WasiFile;
    /// Nobody has one: the platform has no locks.
    type Lock = Infallible;

    fn create_new(&self, name: &OsStr) -> io::Result<WasiFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o666);
        let file = fs::openat(&self.0, bytes_of(name), flags, mode)?;
        Ok(WasiFile::new(file.into()))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<WasiFile>> {
        // Looked at before it is opened, since there is no flag against waiting for a FIFO; and afterwards,
        // since Node's host follows links whatever it is told, and a name may be swapped in between.
        for _ in 0..ATTEMPTS {
            let Some(named) = self.stat(name)? else {
                return Ok(Opened::Missing);
            };
            match kind_of(&named) {
                EntryKind::File => {}
                other => return Ok(Opened::NotAFile(other)),
            }
            let file = match self.open_any(name, access) {
                Ok(file) => file,
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::NOENT | Errno::LOOP) => continue,
                    _ => return Err(error),
                },
            };
            let found = fs::fstat(&file)?;
            if id_of(&found) == id_of(&named) && kind_of(&found) == EntryKind::File {
                return Ok(Opened::File(WasiFile::new(file.into())));
            }
        }
        Err(restless())
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(
            &self.0,
            bytes_of(from),
            &to_dir.0,
            bytes_of(to),
        )?)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(fs::linkat(
            &self.0,
            bytes_of(from),
            &to_dir.0,
            bytes_of(to),
            flags,
        )?)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        let mode = Mode::from_raw_mode(0o777);
        Ok(fs::mkdirat(&self.0, bytes_of(name), mode)?)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, bytes_of(name), AtFlags::empty())?)
    }

    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        let all: Option<Infallible> = self.list_until(&mut |name, kind| {
            each(name, kind);
            ControlFlow::Continue(())
        })?;
        match all {
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match fs::fsync(&self.0) {
            // What wasmtime says of a directory under preview 1; others say that it is none of theirs.
            Err(Errno::BADF | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::ISDIR) => {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this WASI host cannot sync a directory",
                ))
            }
            done => Ok(done?),
        }
    }

    fn can_sync(&self) -> io::Result<bool> {
        match self.sync() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn try_lock(&self, _: &OsStr) -> io::Result<Option<Infallible>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "WASI has no locks",
        ))
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        // The C library would look an absolute path up among everything that was granted.
        if path.has_root() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let path = path.as_os_str().as_encoded_bytes();
        match fs::openat(&self.0, path, directory(), Mode::empty()) {
            Ok(dir) => Ok(Self(dir)),
            Err(Errno::NOTCAPABLE) => Err(io::ErrorKind::PermissionDenied.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        Ok(id_of(&fs::fstat(&self.0)?) == id_of(&fs::fstat(&other.0)?))
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY
}

fn restless() -> io::Error {
    io::Error::other("it is replaced again and again while it is opened")
}

/// What wasmtime says of a directory with a name that is no text; it then lists nothing of it.
#[cfg(target_env = "p1")]
fn of_listing(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::ILSEQ) => io::Error::new(
            io::ErrorKind::InvalidData,
            "this WASI host lists no directory in which a name is not UTF-8: rename that entry, or use a host that does",
        ),
        _ => error,
    }
}

fn kind_of(found: &Stat) -> EntryKind {
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Symlink => EntryKind::Link,
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

fn told(kind: Kind) -> EntryKind {
    match kind {
        Kind::File => EntryKind::File,
        Kind::Directory => EntryKind::Directory,
        Kind::Link => EntryKind::Link,
        Kind::Other => EntryKind::Other,
    }
}

/// Device and inode; wasmtime has a hash of the two in place of the inode.
fn id_of(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

/// On this platform the encoding of names is the bytes that the host gave.
fn bytes_of(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}

#[cfg(target_env = "p1")]
fn name_of(bytes: &[u8]) -> std::borrow::Cow<'_, OsStr> {
    use std::os::wasi::ffi::OsStrExt as _;
    OsStr::from_bytes(bytes).into()
}

/// Names are UTF-8 by definition of the interface; a host that has others gives them as such.
#[cfg(not(target_env = "p1"))]
fn name_of(bytes: &[u8]) -> std::borrow::Cow<'_, OsStr> {
    match String::from_utf8_lossy(bytes) {
        std::borrow::Cow::Borrowed(name) => OsStr::new(name).into(),
        std::borrow::Cow::Owned(name) => std::ffi::OsString::from(name).into(),
    }
}
