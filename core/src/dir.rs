//! The inner seam: one directory, one method a system call.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
};

use crate::ReadAt;

/// What a directory entry is, told without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file: the only kind that is ever opened.
    File,
    /// A symbolic link, wherever it points.
    Link,
    /// A directory.
    Directory,
    /// A FIFO, a socket, a device, or something newer.
    Other,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a regular file",
            Self::Link => "a symbolic link",
            Self::Directory => "a directory",
            Self::Other => "a special file",
        })
    }
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading, and syncing what others wrote.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// What came of an attempt to open a name.
#[derive(Debug)]
pub enum Opened<F> {
    /// A regular file, told by the handle and not by the name.
    File(F),
    /// No such name.
    Missing,
    /// Something that is never opened.
    NotAFile(EntryKind),
}

/// What tells whether a file was changed between two looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last change of the content, in nanoseconds since 1970, where there is one.
    pub modified: Option<i128>,
    /// Time of the last change of content or metadata, likewise.
    pub changed: Option<i128>,
    /// Device and inode, where there are such.
    pub id: Option<(u64, u64)>,
}

/// What came of a removal of names in their order.
#[derive(Debug)]
pub struct Unlinked {
    /// The first so many names are gone.
    pub gone: usize,
    /// Why the next one is not, if there is one.
    pub stopped: io::Result<()>,
}

/// An open regular file. It stays readable after its name is gone.
pub trait DirFile: ReadAt {
    /// Writes at most `buf.len()` bytes at `offset`; a gap before them reads as zeros. Writing nothing does
    /// not extend the file. A handle opened for reading refuses.
    ///
    /// # Errors
    /// Whatever the system says.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros, to `len` bytes. A handle opened for reading refuses.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes this file, which is empty, share the bytes of another one: a copy that moves none and takes no room, and
    /// stays as it is when the other one is written. `false`, and nothing done, where the file system cannot.
    ///
    /// # Errors
    /// Whatever else the system says, such as `StorageFull`.
    fn share(&self, from: &Self) -> io::Result<bool>
    where
        Self: Sized,
    {
        let _ = from;
        Ok(false)
    }

    /// Makes content and length durable: when this returns, a power loss keeps them. Any handle can, also
    /// one opened for reading.
    ///
    /// # Errors
    /// Whatever the system says. An error is final: what was written since the last sync may be lost
    /// although a second sync would say otherwise.
    fn sync(&self) -> io::Result<()>;

    /// What tells whether the file changes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn stamp(&self) -> io::Result<Stamp>;
}

/// One directory, by a handle that keeps meaning the same directory whatever happens to its path.
///
/// Names are single components. No method follows a symbolic link in one, and none blocks on a FIFO.
/// [`FlatDir`](crate::FlatDir) builds the whole durability protocol from these calls, so that a
/// simulated directory runs the protocol that real ones run. The conformance suite has a level for
/// this trait.
pub trait Dir: Sized {
    /// An open file.
    type File: DirFile;
    /// Exclusive use of the directory, until dropped.
    type Lock;

    /// Creates a file that did not exist, for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, by whatever kind of entry, a dangling link included.
    fn create_new(&self, name: &OsStr) -> io::Result<Self::File>;

    /// Opens a regular file.
    ///
    /// # Errors
    /// Whatever the system says of a regular file that cannot be opened. A name that is not there or
    /// is something else is no error but a case of [`Opened`].
    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<Self::File>>;

    /// Gives the file `from` the name `to` in `to_dir`, replacing a file or link of that name in one step.
    /// Onto a directory it fails, and changes nothing.
    ///
    /// # Errors
    /// `CrossesDevices` when the directories are on different file systems; nothing was done then.
    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()>;

    /// Gives the regular file `from` a second name, `to` in `to_dir`: either stays when the other is removed.
    /// A symbolic link is never followed.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, by whatever kind of entry; `NotFound`; `CrossesDevices`;
    /// where files have one name only, `Unsupported` or `PermissionDenied`. Nothing was done then.
    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()>;

    /// Makes a directory, an empty one.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, by whatever kind of entry, a dangling link included.
    fn make_dir(&self, name: &OsStr) -> io::Result<()>;

    /// Removes a name that is not a directory; a symbolic link itself, not what it points to.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    fn unlink(&self, name: &OsStr) -> io::Result<()>;

    /// As [`unlink`](Dir::unlink), of many groups of names. Those of a group go in their order, up to the first that
    /// cannot go, which keeps no other group from going; one that is not there counts as gone. The groups go in the order
    /// given, or, where a directory can do more than one thing at once, about so. Tells of each what came of it.
    fn unlink_groups(&self, groups: &[Vec<OsString>]) -> Vec<Unlinked> {
        let groups = groups.iter();
        groups.map(|names| unlink_in_order(self, names)).collect()
    }

    /// How long the regular files of these names are, told without opening them where that can be; `None` of a name that
    /// is not there or is something else.
    fn lens_of(&self, names: &[OsString]) -> Vec<io::Result<Option<u64>>> {
        let len = |name: &OsString| match self.open(name, Access::Read)? {
            Opened::File(file) => file.size().map(Some),
            Opened::Missing | Opened::NotAFile(_) => Ok(None),
        };
        names.iter().map(len).collect()
    }

    /// Hands every entry but `.` and `..` to `each`, without a stat where the system tells the kind.
    /// `each` must not touch the directory.
    ///
    /// # Errors
    /// Whatever the system says; then not every entry was handed over.
    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()>;

    /// Makes creations, links, renames and removals durable.
    ///
    /// # Errors
    /// As [`DirFile::sync`], and as final. `Unsupported` where the platform cannot do it.
    fn sync(&self) -> io::Result<()>;

    /// Whether [`sync`](Dir::sync) works here. Where the platform always can, nothing has to be asked.
    ///
    /// # Errors
    /// Whatever the system says, other than that it cannot.
    fn can_sync(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// From how many files on [`sync_whole`](Dir::sync_whole) is to be called once instead of [`DirFile::sync`] for
    /// each; `None` where it cannot be, or would not tell of every loss.
    fn whole_sync_from(&self) -> Option<usize> {
        None
    }

    /// Makes everything durable that was written to the file system of this directory: bytes of files, also of
    /// those that are closed, and names. What others have written there as well.
    ///
    /// # Errors
    /// As [`DirFile::sync`], for any of them, and as final. `Unsupported` where
    /// [`whole_sync_from`](Dir::whole_sync_from) says so.
    fn sync_whole(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes the exclusive lock on the file `name`, created where missing; `None` when another holds it,
    /// in this process or in any. It may outlive this handle; the system releases it when the holder dies.
    ///
    /// # Errors
    /// When `name` is not a regular file, or the platform has no locks (`Unsupported`).
    fn try_lock(&self, name: &OsStr) -> io::Result<Option<Self::Lock>>;

    /// The directory at `path`, which is relative and stays below this one.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or `PermissionDenied` when the path leads outside.
    fn descend(&self, path: &Path) -> io::Result<Self>;

    /// Whether the two are one directory.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_same(&self, other: &Self) -> io::Result<bool>;
}

/// One group of [`Dir::unlink_groups`].
pub fn unlink_in_order<D: Dir>(dir: &D, names: &[OsString]) -> Unlinked {
    for (gone, name) in names.iter().enumerate() {
        match dir.unlink(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let stopped = Err(error);
                return Unlinked { gone, stopped };
            }
            _ => {}
        }
    }
    Unlinked {
        gone: names.len(),
        stopped: Ok(()),
    }
}
