//! Listing a directory: one look at it, then any number of calls.

use std::{fs::File, sync::Arc};

use cap_std::fs::{Dir, DirEntry};
use wasmtime_wasi::p1::types;
use wiggle::{GuestMemory, GuestPtr, GuestType as _};

use super::{Gate, Result, io_error};
use crate::{FileAccess, Name, sandbox::Access};

/// The most memory that all listings of a program may take, in bytes; about two million names.
const MAX_LISTED: usize = 256 << 20;

/// What was in a directory at one moment. The cookie of an entry is its place.
pub(super) struct Listing {
    entries: Vec<Entry>,
    memory: usize,
}

struct Entry {
    name: Box<[u8]>,
    kind: types::Filetype,
    inode: u64,
}

impl Listing {
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Looks at a directory. No file is looked at: what an entry is comes with its name.
    fn take(dir: &Dir, only: Option<&[(Name, FileAccess)]>, room: usize) -> Result<Self> {
        let mut this = Self {
            entries: Vec::new(),
            memory: 0,
        };
        for dots in [".", ".."] {
            this.push(dots.as_bytes(), types::Filetype::Directory, 1, room)?;
        }
        for entry in dir.entries().map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            let name = entry.file_name();
            let is_granted = |(granted, _): &(Name, FileAccess)| {
                name.to_str().is_some_and(|name| granted.matches(name))
            };
            if only.is_some_and(|names| !names.iter().any(is_granted)) {
                continue;
            }
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_file() => types::Filetype::RegularFile,
                Ok(kind) if kind.is_dir() => types::Filetype::Directory,
                Ok(kind) if kind.is_symlink() => types::Filetype::SymbolicLink,
                // It may also just have gone.
                Ok(_) | Err(_) => types::Filetype::Unknown,
            };
            this.push(name.as_encoded_bytes(), kind, inode(&entry), room)?;
        }
        Ok(this)
    }

    fn push(&mut self, name: &[u8], kind: types::Filetype, inode: u64, room: usize) -> Result<()> {
        self.memory += name.len() + size_of::<Entry>();
        if self.memory > room {
            return Err(types::Errno::Nomem.into());
        }
        self.entries.push(Entry {
            name: name.into(),
            kind,
            inode,
        });
        Ok(())
    }

    /// Fills `target` with entries from `cookie` on. The last one may be cut off, which tells that there are more.
    fn fill(&self, cookie: u64, target: &mut [u8]) -> usize {
        let mut filled = 0;
        let from = usize::try_from(cookie).unwrap_or(usize::MAX);
        for (next, entry) in (1u64..).zip(&self.entries).skip(from) {
            for part in [&entry.head(next)[..], &entry.name] {
                let room = target.len() - filled;
                let part = &part[..part.len().min(room)];
                target[filled..][..part.len()].copy_from_slice(part);
                filled += part.len();
            }
            if filled == target.len() {
                break;
            }
        }
        filled
    }
}

impl Entry {
    /// A `dirent` as preview 1 lays it out.
    fn head(&self, next: u64) -> [u8; 24] {
        debug_assert_eq!(types::Dirent::guest_size(), 24);
        let mut head = [0; 24];
        head[0..8].copy_from_slice(&next.to_le_bytes());
        head[8..16].copy_from_slice(&self.inode.to_le_bytes());
        // No system has names that long.
        let length = u32::try_from(self.name.len()).unwrap_or(u32::MAX);
        head[16..20].copy_from_slice(&length.to_le_bytes());
        head[20] = self.kind as u8;
        head
    }
}

impl Gate {
    /// `fd_readdir`: the listing is taken when the program asks for its beginning.
    pub(super) fn list(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: types::Fd,
        buf: GuestPtr<u8>,
        buf_len: types::Size,
        cookie: types::Dircookie,
    ) -> Result<types::Size> {
        let Some(target) = mem.as_slice_mut(buf.as_array(buf_len))? else {
            return Err(types::Errno::Notsup.into());
        };
        let (dir, access) = self.directory(fd)?;
        if cookie == 0 || dir.listing.is_none() {
            let only = match access {
                Access::Files(names) => Some(&names[..]),
                Access::ReadOnly | Access::ReadWrite => None,
            };
            let had = dir.listing.as_ref().map_or(0, Listing::memory);
            let room = MAX_LISTED.saturating_sub(self.open.listed() - had);
            let listing = Listing::take(&directory(&dir.handle)?, only, room)?;
            self.open.directory_mut(fd)?.listing = Some(listing);
        }
        let listing = self.open.directory_mut(fd)?.listing.as_ref();
        let filled = listing.map_or(0, |listing| listing.fill(cookie, target));
        Ok(filled.try_into()?)
    }
}

/// A directory to read from or sync. The handle itself may be good for neither, so `.` is opened through it.
pub(super) fn directory(handle: &Arc<File>) -> Result<Dir> {
    let handle = handle.try_clone().map_err(io_error)?;
    Ok(Dir::from_std_file(handle))
}

#[cfg(unix)]
fn inode(entry: &DirEntry) -> u64 {
    std::os::unix::fs::DirEntryExt::ino(entry)
}

/// Elsewhere it would take opening the file. Zero would mean that there is none.
#[cfg(not(unix))]
fn inode(_: &DirEntry) -> u64 {
    1
}
