//! A directory of the operating system, held by a capability.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fs::{File, TryLockError},
    io,
    ops::ControlFlow,
    panic::resume_unwind,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use cap_fs_ext::{
    DirExt as _, FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt,
};
use cap_std::fs::{FileType, OpenOptions};
use flatbao_core::{Access, Dir, EntryKind, Opened, Unlinked, unlink_in_order};

use crate::CapFile;

/// A directory, by a handle from which no name and no link leads outside.
///
/// The handle keeps meaning the same directory when its path is renamed or replaced by a link.
#[derive(Debug)]
pub struct CapDir {
    dir: cap_std::fs::Dir,
    /// What [`Dir::sync`] syncs: on Linux `dir` itself is an `O_PATH` handle, which cannot be. Kept open
    /// from the first sync on, because a handle hears of every write error since it was opened, while
    /// one that is opened anew may miss what was already reported to another.
    syncing: OnceLock<File>,
    #[cfg(target_os = "linux")]
    whole_sync: OnceLock<Option<usize>>,
}

impl CapDir {
    /// Wraps a directory. This makes no system call.
    #[must_use]
    pub const fn new(dir: cap_std::fs::Dir) -> Self {
        Self {
            dir,
            syncing: OnceLock::new(),
            #[cfg(target_os = "linux")]
            whole_sync: OnceLock::new(),
        }
    }

    /// Opens a directory by its path, with all the rights of the process.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_ambient(path: &Path) -> io::Result<Self> {
        let dir = cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        Ok(Self::new(dir))
    }

    /// The directory of this name; a link is not followed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or whatever the system says.
    pub fn child(&self, name: &OsStr) -> io::Result<Self> {
        self.dir.open_dir_nofollow(name).map(Self::new)
    }

    /// What bears the name, without following it; nothing when there is no such name.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn kind(&self, name: &OsStr) -> io::Result<Option<EntryKind>> {
        match self.dir.symlink_metadata(name) {
            Ok(found) => Ok(Some(kind_of(found.file_type()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// As [`Dir::list`], until `each` says that it has seen enough.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn list_until<T>(
        &self,
        each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
    ) -> io::Result<Option<T>> {
        listing::each(self, each)
    }

    /// Opens whatever bears the name, if it can be opened without following it; the handle then tells
    /// what it is, so that nothing can be swapped in between.
    fn open_as(&self, name: &OsStr, options: &OpenOptions) -> io::Result<Result<File, EntryKind>> {
        let (kind, opened) = match self.dir.open_with(name, options) {
            Ok(file) => (kind_of(file.metadata()?.file_type()), Ok(file.into_std())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(error) => match self.kind(name) {
                Ok(Some(kind)) => (kind, Err(error)),
                // A second failure would only hide the first, such as "too many open files".
                Ok(None) | Err(_) => return Err(error),
            },
        };
        match kind {
            EntryKind::File => opened.map(Ok),
            other => Ok(Err(other)),
        }
    }

    #[cfg(not(windows))]
    fn syncing(&self) -> io::Result<&File> {
        if let Some(file) = self.syncing.get() {
            return Ok(file);
        }
        let file = self.dir.open(".")?.into_std();
        Ok(self.syncing.get_or_init(|| file))
    }

    #[cfg(windows)]
    fn syncing(&self) -> io::Result<&File> {
        let _ = &self.syncing;
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl From<cap_std::fs::Dir> for CapDir {
    fn from(dir: cap_std::fs::Dir) -> Self {
        Self::new(dir)
    }
}

impl Dir for CapDir {
    type File = CapFile;
    type Lock = CapLock;

    fn create_new(&self, name: &OsStr) -> io::Result<CapFile> {
        let mut options = wary();
        options.read(true).write(true).create_new(true);
        let file = self.dir.open_with(name, &options)?;
        Ok(CapFile::new(file.into_std()))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<CapFile>> {
        let mut options = wary();
        options.read(true).write(access == Access::ReadWrite);
        match self.open_as(name, &options) {
            Ok(Ok(file)) => Ok(Opened::File(CapFile::new(file))),
            Ok(Err(kind)) => Ok(Opened::NotAFile(kind)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Opened::Missing),
            Err(e) => Err(e),
        }
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.dir.rename(from, &to_dir.dir, to)
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        self.dir.hard_link(from, &to_dir.dir, to)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.dir.create_dir(name)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.dir.remove_file(name)
    }

    fn unlink_groups(&self, groups: &[Vec<OsString>]) -> Vec<Unlinked> {
        at_once(groups, |names| unlink_in_order(self, names))
    }

    fn lens_of(&self, names: &[OsString]) -> Vec<io::Result<Option<u64>>> {
        at_once(names, |name| match self.dir.symlink_metadata(name) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
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
        self.syncing()?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn whole_sync_from(&self) -> Option<usize> {
        *self
            .whole_sync
            .get_or_init(|| whole_sync::from(self.syncing().ok()?))
    }

    #[cfg(target_os = "linux")]
    fn sync_whole(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.syncing()?)?)
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<CapLock>> {
        let mut options = wary();
        options.read(true).write(true).create(true);
        let file = self.open_as(name, &options)?.map_err(|kind| {
            let message = format!("the lock is {kind}, not a regular file");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Some(CapLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn descend(&self, path: &Path) -> io::Result<Self> {
        self.dir.open_dir(path).map(Self::new)
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (ours, theirs) = (self.dir.dir_metadata()?, other.dir.dir_metadata()?);
        Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
    }
}

/// Whether `syncfs` makes as durable, and tells as much, as `fsync` of every file would.
#[cfg(target_os = "linux")]
mod whole_sync {
    use std::fs::File;

    /// The first release in which `syncfs` tells of bytes that could not be written back (syncfs(2)).
    const TELLS_SINCE: (u32, u32) = (5, 8);
    /// File systems that commit their journal, and flush the device, for one file just as for all (statfs(2)): ext4,
    /// XFS, btrfs, f2fs. Others may pass the call on to nobody.
    const KNOWN: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];
    /// Files from which on one call is the better one: it writes back what others wrote as well.
    const FROM: usize = 16;

    pub(super) fn from(dir: &File) -> Option<usize> {
        let found = u32::try_from(rustix::fs::fstatfs(dir).ok()?.f_type).ok()?;
        let system = rustix::system::uname();
        let release = system.release().to_str().ok()?;
        (KNOWN.contains(&found) && is_since(release)).then_some(FROM)
    }

    /// Whether a release, such as `6.1.0-18-amd64`, is recent enough.
    pub(super) fn is_since(release: &str) -> bool {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
        next().zip(next()).is_some_and(|found| found >= TELLS_SINCE)
    }

    #[cfg(test)]
    mod tests {
        use super::is_since;

        #[test]
        fn releases_are_compared_by_number() {
            for (release, is) in [
                ("5.7.19", false),
                ("5.8.0", true),
                ("5.10", true),
                ("6.1.0-18-amd64", true),
                ("10.0-rc1", true),
                ("4.19.0", false),
                ("5.", false),
                ("linux", false),
                ("", false),
            ] {
                assert_eq!(is_since(release), is, "{release}");
            }
        }
    }
}

/// Exclusive use of a [`CapDir`], until dropped. The system ends it when the process dies.
#[derive(Debug)]
pub struct CapLock(File);

impl Drop for CapLock {
    fn drop(&mut self) {
        // Closing would not do while a child process, between fork and exec, still has the handle. An
        // error leaves nothing to do but to close, which happens next.
        let _ = self.0.unlock();
    }
}

/// How many of many names are seen to at once: a file system mostly waits, for the disk or for its own locks.
const AT_ONCE: usize = 8;
/// So many in a row are one thread's, since what is near in a directory tends to be near on the disk.
const IN_A_ROW: usize = 16;

/// Does this to each item, in about their order, and says in their order what came of it.
fn at_once<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() <= IN_A_ROW {
        return items.iter().map(act).collect();
    }
    let rows = items.chunks(IN_A_ROW);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            let Some(items) = rows.clone().nth(row) else {
                return done;
            };
            done.push((row, items.iter().map(&act).collect()));
        }
    };
    let mut done: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        // Where there are no more threads to be had, those that there are do it all.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..AT_ONCE).filter_map(spawn).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(row, _)| *row);
    done.into_iter()
        .flat_map(|(_, outcomes)| outcomes)
        .collect()
}

/// Options that follow no link, wait for no FIFO, and adopt no terminal.
fn wary() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.follow(FollowSymlinks::No).nonblock(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed());
    }
    options
}

fn kind_of(told: FileType) -> EntryKind {
    if told.is_file() {
        EntryKind::File
    } else if told.is_symlink() {
        EntryKind::Link
    } else if told.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

/// On Linux the system's own records are read: `cap-std` allocates for each of them what it takes to open it, which a
/// listing of a million names has no use for. Where a directory is large, another thread reads ahead: the kernel takes
/// longer to sort the names of a directory than anybody takes to look at them.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod listing {
    use std::{
        ffi::OsStr,
        io,
        ops::ControlFlow,
        os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
        sync::mpsc::sync_channel,
        thread,
    };

    use flatbao_core::EntryKind;
    use rustix::{
        fs::{FileType, Mode, OFlags, RawDir, openat},
        io::Errno,
    };

    use super::CapDir;

    /// Room for records that are asked for at once; the longest one is 280 bytes long.
    const BUFFER: usize = 64 * 1024;
    /// Bytes of names that are handed over at once.
    const BLOCK: usize = 64 * 1024;
    /// Blocks that are read before they are looked at.
    const AHEAD: usize = 4;

    /// Names that follow each other.
    #[derive(Default)]
    struct Block {
        names: Vec<u8>,
        /// What each of them is, and how long.
        entries: Vec<(FileType, usize)>,
    }

    impl Block {
        /// The next names; none at the end.
        fn read(records: &mut RawDir<'_, OwnedFd>) -> io::Result<Self> {
            let mut block = Self::default();
            while !block.is_full()
                && let Some(record) = records.next()
            {
                let record = match record {
                    Ok(record) => record,
                    // The directory itself was removed.
                    Err(Errno::NOENT) => break,
                    Err(error) => return Err(error.into()),
                };
                let name = record.file_name().to_bytes();
                if name != b"." && name != b".." {
                    block.names.extend(name);
                    block.entries.push((record.file_type(), name.len()));
                }
            }
            Ok(block)
        }

        fn is_full(&self) -> bool {
            self.names.len() >= BLOCK
        }

        fn tell<T>(
            &self,
            dir: &CapDir,
            each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
        ) -> io::Result<Option<T>> {
            let mut rest = &self.names[..];
            for (told, len) in &self.entries {
                let (name, later) = rest.split_at(*len);
                rest = later;
                let name = OsStr::from_bytes(name);
                let kind = match told {
                    FileType::RegularFile => EntryKind::File,
                    FileType::Symlink => EntryKind::Link,
                    FileType::Directory => EntryKind::Directory,
                    // The file system does not tell. What was removed since may be missing from a listing.
                    FileType::Unknown => match dir.kind(name)? {
                        Some(kind) => kind,
                        None => continue,
                    },
                    _ => EntryKind::Other,
                };
                if let ControlFlow::Break(found) = each(name, kind) {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }
    }

    pub(super) fn each<T>(
        dir: &CapDir,
        each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
    ) -> io::Result<Option<T>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A handle of its own, and with it a position of its own.
        let handle = openat(&dir.dir, ".", flags, Mode::empty())?;
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut records = RawDir::new(handle, buffer.spare_capacity_mut());
        let mut block = Block::read(&mut records)?;
        if block.is_full()
            && thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
            && let Some(outcome) = read_ahead(&mut records, &block, dir, each)
        {
            return outcome;
        }
        while !block.entries.is_empty() {
            if let Some(found) = block.tell(dir, each)? {
                return Ok(Some(found));
            }
            block = Block::read(&mut records)?;
        }
        Ok(None)
    }

    /// Reads in another thread, beginning behind the first block; `None` and nothing done where there is none to be
    /// had.
    fn read_ahead<T>(
        records: &mut RawDir<'_, OwnedFd>,
        first: &Block,
        dir: &CapDir,
        each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
    ) -> Option<io::Result<Option<T>>> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            let read = move || {
                loop {
                    let block = Block::read(records);
                    let is_last = !block.as_ref().is_ok_and(Block::is_full);
                    // Nobody takes it any more when enough was seen.
                    if sender.send(block).is_err() || is_last {
                        return;
                    }
                }
            };
            thread::Builder::new().spawn_scoped(scope, read).ok()?;
            let mut tell = || {
                if let Some(found) = first.tell(dir, each)? {
                    return Ok(Some(found));
                }
                for block in &receiver {
                    if let Some(found) = block?.tell(dir, each)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            };
            Some(tell())
        })
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod listing {
    use std::{ffi::OsStr, io, ops::ControlFlow};

    use cap_std::fs::FileType;
    use flatbao_core::EntryKind;

    use super::{CapDir, kind_of};

    pub(super) fn each<T>(
        dir: &CapDir,
        each: &mut dyn FnMut(&OsStr, EntryKind) -> ControlFlow<T>,
    ) -> io::Result<Option<T>> {
        for entry in dir.dir.entries()? {
            let entry = entry?;
            let mut told = entry.file_type()?;
            if told == FileType::unknown() {
                told = match entry.metadata() {
                    Ok(metadata) => metadata.file_type(),
                    // Removed since: an entry that a listing may or may not have.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                };
            }
            if let ControlFlow::Break(found) = each(&entry.file_name(), kind_of(told)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
