//! Reading, writing and syncing what is open.

use wasmtime_wasi::p1::{types, wasi_snapshot_preview1::WasiSnapshotPreview1 as _};
use wiggle::{GuestMemory, GuestPtr, GuestType};

use super::{Gate, Open, Result, io_error, listing::directory};

/// The most buffers of one call that are looked at; more are left for the next call. As many as POSIX promises.
const MAX_BUFFERS: u32 = 1024;

impl Gate {
    pub(super) async fn read(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
    ) -> Result<types::Size> {
        self.no_copies(fd)?;
        self.inner.fd_read(mem, fd, few(iovs)).await
    }

    /// Straight into the memory of the program. The implementation copies 64 KiB at a time.
    #[cfg(unix)]
    pub(super) async fn read_at(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size> {
        use std::os::unix::fs::FileExt as _;

        let Open::File(file) = self.open.get(fd)? else {
            return self.inner.fd_pread(mem, fd, few(iovs), offset).await;
        };
        for iov in few(iovs).iter() {
            let iov = mem.read(iov?)?;
            if iov.buf_len == 0 {
                continue;
            }
            let Some(target) = mem.as_slice_mut(iov.buf.as_array(iov.buf_len))? else {
                return Err(types::Errno::Notsup.into());
            };
            let count = file.handle.read_at(target, offset).map_err(io_error)?;
            return Ok(count.try_into()?);
        }
        Ok(0)
    }

    #[cfg(not(unix))]
    pub(super) async fn read_at(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size> {
        self.inner.fd_pread(mem, fd, few(iovs), offset).await
    }

    /// Writes at `offset`, or where the descriptor is.
    pub(super) async fn write(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::CiovecArray,
        offset: Option<types::Filesize>,
    ) -> Result<types::Size> {
        let iovs = few(iovs);
        let is_file = matches!(self.open.get(fd)?, Open::File(_));
        if is_file {
            self.may_change(fd)?;
            self.has_quota(first_length(mem, iovs)?)?;
        }
        self.no_copies(fd)?;
        let count = match offset {
            None => self.inner.fd_write(mem, fd, iovs).await?,
            Some(offset) => self.inner.fd_pwrite(mem, fd, iovs, offset).await?,
        };
        if is_file {
            self.written += u64::from(count);
        }
        Ok(count)
    }

    pub(super) async fn set_size(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        size: types::Filesize,
    ) -> Result<()> {
        self.may_change(fd)?;
        if self.write_limit.is_some_and(|limit| size > limit) {
            return Err(types::Errno::Nospc.into());
        }
        self.inner.fd_filestat_set_size(mem, fd, size).await
    }

    /// Makes a directory durable, which the implementation refuses to. `false` if it is none.
    pub(super) fn sync_directory(&mut self, fd: types::Fd) -> Result<bool> {
        let Open::Directory(dir) = self.open.get(fd)? else {
            return Ok(false);
        };
        let itself = directory(&dir.handle)?.open(".").map_err(io_error)?;
        itself.sync_all().map_err(io_error)?;
        self.directory_syncs += 1;
        Ok(true)
    }

    /// A C library asks of what is opened in a directory no more than the directory says that it hands down. Of one that
    /// was opened the implementation says that it hands down no writing, so that a file that is opened to be written
    /// would be open to be read alone. What may be done is decided when it is done.
    pub(super) async fn status(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
    ) -> Result<types::Fdstat> {
        let mut status = self.inner.fd_fdstat_get(mem, fd).await?;
        if let Ok(Open::Directory(_)) = self.open.get(fd) {
            status.fs_rights_inheriting |= types::Rights::FD_READ | types::Rights::FD_WRITE;
        }
        Ok(status)
    }

    /// Whether what is behind `fd` may be changed, names in a directory aside.
    pub(super) fn may_change(&self, fd: types::Fd) -> Result<()> {
        match self.open.get(fd)? {
            Open::File(file) if !file.writable => Err(types::Errno::Rofs.into()),
            Open::File(_) | Open::Standard => Ok(()),
            Open::Directory(_) => self.may_change_names(fd),
        }
    }

    fn has_quota(&self, bytes: u32) -> Result<()> {
        let left = self
            .write_limit
            .map(|limit| limit.saturating_sub(self.written));
        if left.is_some_and(|left| u64::from(bytes) > left) {
            return Err(types::Errno::Nospc.into());
        }
        Ok(())
    }

    /// The implementation refuses buffers that are large enough to make copying them a burden. Those of files it does
    /// not copy, so that they may be of any length.
    fn no_copies(&mut self, fd: types::Fd) -> Result<()> {
        if matches!(self.open.get(fd)?, Open::File(_)) {
            self.inner.set_hostcall_fuel(usize::MAX);
        }
        Ok(())
    }
}

fn few<T: GuestType>(buffers: GuestPtr<[T]>) -> GuestPtr<[T]> {
    let few = buffers.get_range(0..buffers.len().min(MAX_BUFFERS));
    few.unwrap_or(buffers)
}

/// How much the implementation is going to write: it takes the first buffer that has something in it.
fn first_length(mem: &GuestMemory<'_>, iovs: types::CiovecArray) -> Result<u32> {
    for iov in iovs.iter() {
        let length = mem.read(iov?)?.buf_len;
        if length > 0 {
            return Ok(length);
        }
    }
    Ok(0)
}
