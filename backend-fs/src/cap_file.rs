//! An open file of the operating system.

use std::{fs::File, io};

use flatbao_core::{DirFile, ReadAt, Stamp};

/// An open regular file of a [`CapDir`](crate::CapDir).
#[derive(Debug)]
pub struct CapFile(File);

impl CapFile {
    /// `file` is known to be a regular one.
    pub(crate) const fn new(file: File) -> Self {
        Self(file)
    }

    /// The file itself, with its cursor anywhere.
    #[must_use]
    pub fn into_std(self) -> File {
        self.0
    }
}

impl ReadAt for CapFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // The system calls it invalid to ask for what no file reaches; here that is past the end.
        let Some(room) = i64::MAX.cast_unsigned().checked_sub(offset) else {
            return Ok(0);
        };
        let len = buf.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        system::read_at(&self.0, &mut buf[..len], offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        Some(self)
    }
}

impl DirFile for CapFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        system::write_at(&self.0, buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn share(&self, from: &Self) -> io::Result<bool> {
        system::share(&self.0, &from.0)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        system::stamp(&self.0)
    }
}

#[cfg(unix)]
mod system {
    /// A reflink (ioctl_ficlone(2)): of file systems that have them, within one.
    #[cfg(target_os = "linux")]
    pub(super) fn share(to: &File, from: &File) -> io::Result<bool> {
        use rustix::io::Errno;
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            // Not here, not between these two, or not with these attributes.
            Err(
                Errno::OPNOTSUPP
                | Errno::XDEV
                | Errno::INVAL
                | Errno::NOTTY
                | Errno::NOSYS
                | Errno::PERM
                | Errno::TXTBSY,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn share(_: &File, _: &File) -> io::Result<bool> {
        Ok(false)
    }

    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::{File, Stamp, io};

    pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(buf, offset)
    }

    pub(super) fn stamp(file: &File) -> io::Result<Stamp> {
        let metadata = file.metadata()?;
        Ok(Stamp {
            len: metadata.len(),
            modified: Some(nanos(metadata.mtime(), metadata.mtime_nsec())),
            changed: Some(nanos(metadata.ctime(), metadata.ctime_nsec())),
            id: Some((metadata.dev(), metadata.ino())),
        })
    }

    fn nanos(seconds: i64, nanos: i64) -> i128 {
        i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
    }
}

#[cfg(windows)]
mod system {
    pub(super) fn share(_: &File, _: &File) -> io::Result<bool> {
        Ok(false)
    }

    use std::os::windows::fs::{FileExt, MetadataExt};

    use super::{File, Stamp, io};

    pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buf, offset)
    }

    pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(buf, offset)
    }

    pub(super) fn stamp(file: &File) -> io::Result<Stamp> {
        let metadata = cap_std::fs::Metadata::from_file(file)?;
        // Windows counts steps of 100 ns from 1601-01-01, which is so many steps before 1970.
        let steps = i128::from(file.metadata()?.last_write_time()) - 116_444_736_000_000_000;
        Ok(Stamp {
            len: metadata.len(),
            modified: Some(steps * 100),
            changed: None,
            id: Some((
                cap_fs_ext::MetadataExt::dev(&metadata),
                cap_fs_ext::MetadataExt::ino(&metadata),
            )),
        })
    }
}
