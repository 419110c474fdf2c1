//! An open file under WASI.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};

use flatbao_core::{DirFile, ReadAt, Stamp};
use rustix::fs::{Stat, fstat};

/// Bytes that the positioned calls of wasmtime move at once; it copies them once more. The calls at the
/// cursor move any number, straight to and from the guest's memory.
const POSITIONED: usize = 64 * 1024;

/// An open regular file of a [`WasiDir`](crate::WasiDir).
///
/// It has a cursor that nothing relies on: every call says where it reads and writes. There is one thread, so
/// that moving it and using it are not torn apart.
#[derive(Debug)]
pub struct WasiFile(File);

impl WasiFile {
    /// `file` is known to be a regular one.
    pub(crate) const fn new(file: File) -> Self {
        Self(file)
    }

    /// The file itself, with its cursor anywhere.
    #[must_use]
    pub fn into_std(self) -> File {
        self.0
    }

    fn cursor_at(&self, offset: u64) -> io::Result<&File> {
        let mut file = &self.0;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }
}

impl ReadAt for WasiFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // The system calls it invalid to ask for what no file reaches; here that is past the end.
        let Some(room) = i64::MAX.cast_unsigned().checked_sub(offset) else {
            return Ok(0);
        };
        let len = buf.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let buf = &mut buf[..len];
        match len {
            0..=POSITIONED => Ok(rustix::io::pread(&self.0, buf, offset)?),
            _ => self.cursor_at(offset)?.read(buf),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl DirFile for WasiFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        match buf.len() {
            0 => Ok(0),
            1..=POSITIONED => Ok(rustix::io::pwrite(&self.0, buf, offset)?),
            _ => self.cursor_at(offset)?.write(buf),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        let found: Stat = fstat(&self.0)?;
        Ok(Stamp {
            len: found.st_size.try_into().unwrap_or(0),
            modified: Some(nanos(found.st_mtim.tv_sec, found.st_mtim.tv_nsec.into())),
            changed: Some(nanos(found.st_ctim.tv_sec, found.st_ctim.tv_nsec.into())),
            id: Some((found.st_dev, found.st_ino)),
        })
    }
}

fn nanos(seconds: i64, nanos: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}
