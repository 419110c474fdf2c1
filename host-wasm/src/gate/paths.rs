//! What is done to names.

use wasmtime_wasi::{
    filesystem::Descriptor,
    p1::{types, wasi_snapshot_preview1::WasiSnapshotPreview1 as _},
};
use wiggle::{GuestMemory, GuestPtr};

use super::{Gate, Open, OpenDir, Result, descriptors::OpenFile, io_error, next_resource, opened};
use crate::{FileAccess, sandbox::Access};

/// The file by which a store is locked, in whichever of its directories.
const LOCK: &str = "lock";

/// Everything that `path_open` is asked for.
pub(super) struct Asked<'a> {
    pub(super) dirfd: types::Fd,
    pub(super) dirflags: types::Lookupflags,
    pub(super) path: GuestPtr<str>,
    pub(super) oflags: types::Oflags,
    pub(super) rights: &'a types::Rights,
    pub(super) inheriting: types::Rights,
    pub(super) fdflags: types::Fdflags,
}

impl Gate {
    pub(super) async fn open(
        &mut self,
        mem: &mut GuestMemory<'_>,
        mut asked: Asked<'_>,
    ) -> Result<types::Fd> {
        self.open.has_room()?;
        let (dir, access) = self.directory(asked.dirfd)?;
        let grant = dir.grant;
        let changes = types::Oflags::CREAT | types::Oflags::EXCL | types::Oflags::TRUNC;
        let writes =
            asked.oflags.intersects(changes) || asked.rights.contains(types::Rights::FD_WRITE);
        let mut directories = true;
        let writable = match access {
            Access::ReadWrite => true,
            Access::ReadOnly => false,
            Access::Files(names) => {
                asked.dirflags = types::Lookupflags::empty();
                let path = mem.as_cow_str(asked.path)?;
                // The directory itself is opened to list or sync it.
                directories = path == ".";
                !directories && file_access(names, &path)? == FileAccess::Write
            }
        };
        if writes && !writable {
            return Err(types::Errno::Rofs.into());
        }
        let number = next_resource(&mut self.inner)?;
        let fd = self
            .inner
            .path_open(
                mem,
                asked.dirfd,
                asked.dirflags,
                asked.path,
                asked.oflags,
                *asked.rights,
                asked.inheriting,
                asked.fdflags,
            )
            .await?;
        let open = match opened(&mut self.inner, number)? {
            Descriptor::Dir(dir) if directories => {
                Some(Open::Directory(OpenDir::new(grant, dir.dir.clone())))
            }
            Descriptor::Dir(_) => None,
            Descriptor::File(file) => Some(Open::File(OpenFile {
                handle: file.file.clone(),
                writable,
            })),
        };
        let Some(open) = open else {
            self.inner.fd_close(mem, fd).await?;
            return Err(types::Errno::Perm.into());
        };
        self.open.insert(fd, open);
        Ok(fd)
    }

    /// What is at `path`. Of a directory of single files, only those.
    pub(super) async fn look_at(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        mut flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat> {
        if let Access::Files(names) = self.directory(fd)?.1 {
            flags = types::Lookupflags::empty();
            let path = mem.as_cow_str(path)?;
            if path != "." {
                file_access(names, &path)?;
            }
        }
        self.inner.path_filestat_get(mem, fd, flags, path).await
    }

    /// Whether what is at `path` may be removed, renamed or replaced. The lock of a store may not: whoever took away
    /// its name could let another process lock a new one.
    pub(super) fn may_replace(
        &self,
        fd: types::Fd,
        mem: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        self.may_change_names(fd)?;
        let grant = self.directory(fd)?.0.grant;
        let path = mem.as_cow_str(path)?;
        let name = path.trim_end_matches(['/', '.']).rsplit('/').next();
        let is_lock = name.is_some_and(|name| name.eq_ignore_ascii_case(LOCK));
        if is_lock && self.locked.contains(&grant) {
            return Err(types::Errno::Perm.into());
        }
        Ok(())
    }

    /// Whether a file can have a name in either directory. The implementation has no word for that, and a program that
    /// is told of an I/O error does not know that it could copy.
    #[cfg(unix)]
    pub(super) fn on_one_device(&self, from: types::Fd, to: types::Fd) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;

        let device = |fd| {
            let found = self.directory(fd)?.0.handle.metadata();
            Ok::<_, types::Error>(found.map_err(io_error)?.dev())
        };
        match device(from)? == device(to)? {
            true => Ok(()),
            false => Err(types::Errno::Xdev.into()),
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn on_one_device(&self, _: types::Fd, _: types::Fd) -> Result<()> {
        Ok(())
    }

    /// Whether links in the directory may be read.
    pub(super) fn may_read_links(&self, fd: types::Fd) -> Result<()> {
        match self.directory(fd)?.1 {
            Access::ReadOnly | Access::ReadWrite => Ok(()),
            Access::Files(_) => Err(types::Errno::Perm.into()),
        }
    }
}

fn file_access(names: &[(String, FileAccess)], path: &str) -> Result<FileAccess> {
    let granted = names.iter().filter(|(name, _)| name == path);
    let access = granted.map(|(_, access)| *access);
    // Granted twice, it may be written if either says so.
    access
        .max_by_key(|access| *access == FileAccess::Write)
        .ok_or_else(|| types::Errno::Perm.into())
}
