//! What is done to names.

use wasmtime_wasi::{
    filesystem::Descriptor,
    p1::{types, wasi_snapshot_preview1::WasiSnapshotPreview1 as _},
};
use wiggle::{GuestMemory, GuestPtr};

use super::{Gate, Open, OpenDir, Result, descriptors::OpenFile, io_error, next_resource, opened};
use crate::{FileAccess, Name, sandbox::Access};

/// The file by which a store is locked, in whichever of its directories.
const LOCK: &str = "lock";

/// The longest path that is followed name by name, in bytes: what systems take at once.
const MAX_PATH: u32 = 4096;

/// A directory on the way to what a path means, and what is left of the path there.
struct Within {
    dir: types::Fd,
    path: GuestPtr<str>,
    /// Whether the directory was opened for the way alone.
    is_opened: bool,
}

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
        let within = self.within(mem, asked.dirfd, asked.path).await?;
        (asked.dirfd, asked.path) = (within.dir, within.path);
        let opened = self.open_here(mem, asked).await;
        self.leave(mem, &within).await?;
        opened
    }

    /// Where single names are granted that may become directories, a path is followed name by name: a link on the way
    /// could lead back to what has other names.
    async fn within(
        &mut self,
        mem: &mut GuestMemory<'_>,
        dir: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<Within> {
        let mut within = Within {
            dir,
            path,
            is_opened: false,
        };
        let may_lead_on = |(_, access): &(Name, FileAccess)| *access == FileAccess::Replace;
        match self.directory(dir)?.1 {
            Access::Files(names) if names.iter().any(may_lead_on) => {}
            _ => return Ok(within),
        }
        if path.len() > MAX_PATH {
            return Err(types::Errno::Nametoolong.into());
        }
        within.path = without_slash(mem, path)?;
        while let Some((first, rest)) = cut(mem, within.path)? {
            let next = self
                .open_here(
                    mem,
                    Asked {
                        dirfd: within.dir,
                        dirflags: types::Lookupflags::empty(),
                        path: first,
                        oflags: types::Oflags::DIRECTORY,
                        rights: &types::Rights::FD_READ,
                        inheriting: types::Rights::empty(),
                        fdflags: types::Fdflags::empty(),
                    },
                )
                .await;
            self.leave(mem, &within).await?;
            within = Within {
                dir: next?,
                path: rest,
                is_opened: true,
            };
        }
        Ok(within)
    }

    async fn leave(&mut self, mem: &mut GuestMemory<'_>, within: &Within) -> Result<()> {
        if within.is_opened {
            self.inner.fd_close(mem, within.dir).await?;
            self.open.remove(within.dir);
        }
        Ok(())
    }

    async fn open_here(
        &mut self,
        mem: &mut GuestMemory<'_>,
        mut asked: Asked<'_>,
    ) -> Result<types::Fd> {
        self.open.has_room()?;
        let (dir, access) = self.directory(asked.dirfd)?;
        let (grant, mut is_replaceable) = (dir.grant, dir.is_replaceable);
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
                if directories {
                    false
                } else {
                    let access = file_access(names, &path)?;
                    is_replaceable = access == FileAccess::Replace;
                    directories = is_replaceable;
                    match access {
                        FileAccess::Read => false,
                        FileAccess::Write => true,
                        FileAccess::Replace => asked.oflags.contains(types::Oflags::EXCL),
                    }
                }
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
            Descriptor::Dir(dir) if directories => Some(Open::Directory(OpenDir::new(
                grant,
                is_replaceable,
                dir.dir.clone(),
            ))),
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
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat> {
        let within = self.within(mem, fd, path).await?;
        let found = self.look_here(mem, &within, flags).await;
        self.leave(mem, &within).await?;
        found
    }

    async fn look_here(
        &mut self,
        mem: &mut GuestMemory<'_>,
        within: &Within,
        mut flags: types::Lookupflags,
    ) -> Result<types::Filestat> {
        let (fd, path) = (within.dir, within.path);
        if let Access::Files(names) = self.directory(fd)?.1 {
            flags = types::Lookupflags::empty();
            let path = mem.as_cow_str(path)?;
            if path != "." {
                file_access(names, &path)?;
            }
        }
        self.inner.path_filestat_get(mem, fd, flags, path).await
    }

    pub(super) async fn make_directory(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let within = self.within(mem, fd, path).await?;
        let made = match self.may_name(within.dir, mem, within.path) {
            Ok(()) => {
                let made = self
                    .inner
                    .path_create_directory(mem, within.dir, within.path);
                made.await
            }
            Err(error) => Err(error),
        };
        self.leave(mem, &within).await?;
        made
    }

    /// Whether `path` may come to mean something else in the directory behind `fd`.
    pub(super) fn may_name(
        &self,
        fd: types::Fd,
        mem: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let Access::Files(names) = self.directory(fd)?.1 else {
            return self.may_change_names(fd);
        };
        match file_access(names, &mem.as_cow_str(path)?)? {
            FileAccess::Replace => Ok(()),
            FileAccess::Read | FileAccess::Write => Err(types::Errno::Perm.into()),
        }
    }

    /// Whether what is at `path` may be removed, renamed or replaced. The lock of a store may not: whoever took away
    /// its name could let another process lock a new one.
    pub(super) fn may_replace(
        &self,
        fd: types::Fd,
        mem: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        self.may_name(fd, mem, path)?;
        let path = mem.as_cow_str(path)?;
        let path = path.trim_end_matches(['/', '.']);
        let name = path.rsplit('/').next();
        let is_lock = name.is_some_and(|name| name.eq_ignore_ascii_case(LOCK));
        if is_lock && self.locked.hold(self.directory(fd)?.0, path.contains('/')) {
            return Err(types::Errno::Perm.into());
        }
        Ok(())
    }

    /// Renames or links, which are one question: what may come under a name, and go from another.
    pub(super) async fn give_name(
        &mut self,
        mem: &mut GuestMemory<'_>,
        (from, old): (types::Fd, GuestPtr<str>),
        (to, new): (types::Fd, GuestPtr<str>),
        link: Option<types::Lookupflags>,
    ) -> Result<()> {
        match link {
            Some(_) => {
                self.may_name(from, mem, old)?;
                self.may_name(to, mem, new)?;
            }
            None => {
                self.may_replace(from, mem, old)?;
                self.may_replace(to, mem, new)?;
            }
        }
        self.on_one_device(from, to)?;
        // Under a name that is granted alone a link would lead whoever looks at the name later.
        if matches!(self.directory(to)?.1, Access::Files(_)) {
            // With a slash behind it, what it leads to would be looked at.
            let may_follow = mem.as_cow_str(old)?.ends_with(['/', '.']);
            let flags = types::Lookupflags::empty();
            let found = self.inner.path_filestat_get(mem, from, flags, old).await?;
            if may_follow || found.filetype == types::Filetype::SymbolicLink {
                return Err(types::Errno::Perm.into());
            }
        }
        match link {
            Some(flags) => self.inner.path_link(mem, from, flags, old, to, new).await,
            None => self.inner.path_rename(mem, from, old, to, new).await,
        }
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

fn file_access(names: &[(Name, FileAccess)], path: &str) -> Result<FileAccess> {
    let granted = names.iter().filter(|(name, access)| {
        name.matches(path) || (*access == FileAccess::Replace && is_temporary(path))
    });
    // Granted twice, what either says may be done.
    let access = granted.map(|(_, access)| *access).max();
    access.ok_or_else(|| types::Errno::Perm.into())
}

/// Whether a name is flatbao's for a file that is not whole yet.
fn is_temporary(name: &str) -> bool {
    let middle = name.strip_prefix(".flatbao-");
    let middle = middle.and_then(|name| name.strip_suffix(".tmp"));
    middle.is_some_and(|middle| middle.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

/// The first name of a path and what follows it; `None` where it is one name.
fn cut(
    mem: &GuestMemory<'_>,
    path: GuestPtr<str>,
) -> Result<Option<(GuestPtr<str>, GuestPtr<str>)>> {
    let text = mem.as_cow_str(path)?;
    let Some((first, rest)) = text.split_once('/').filter(|(first, _)| !first.is_empty()) else {
        return Ok(None);
    };
    let rest = rest.trim_start_matches('/');
    let piece = |from: usize, length: usize| {
        let start = path.offset_base().checked_add(from.try_into()?);
        let start = start.ok_or(types::Errno::Overflow)?;
        Ok::<_, types::Error>(GuestPtr::new((start, length.try_into()?)))
    };
    Ok(Some((
        piece(0, first.len())?,
        piece(text.len() - rest.len(), rest.len())?,
    )))
}

/// The path without slashes at its end, which would have a link followed.
fn without_slash(mem: &GuestMemory<'_>, path: GuestPtr<str>) -> Result<GuestPtr<str>> {
    let text = mem.as_cow_str(path)?;
    let length = text.trim_end_matches('/').len();
    Ok(GuestPtr::new((path.offset_base(), length.try_into()?)))
}
