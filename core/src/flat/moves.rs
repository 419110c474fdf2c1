//! How names are given and taken away, and made durable.

use std::{ffi::OsStr, io};

use crate::{
    Access, BackendError, Dir, DirFile, Durability, FileName, FlatDir, Opened, ReadAt, StagedFile,
    io::{read_full_at, write_all_at},
};

/// How a file came to its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Renamed,
    /// The source is still there.
    Copied,
}

/// A name that was not given or not taken away.
pub(super) struct MoveError {
    /// It may have been all the same.
    pub(super) unknown: bool,
    pub(super) source: BackendError,
}

impl<D: Dir> FlatDir<D> {
    pub(super) fn sync_file(&self, file: &D::File, what: &FileName) -> Result<(), BackendError> {
        match self.durability {
            Durability::Atomic => Ok(()),
            Durability::Durable => file.sync().map_err(|source| BackendError::Sync {
                what: what.to_string(),
                source,
            }),
        }
    }

    /// Makes the names in these directories durable, in this order, each directory once.
    pub(super) fn sync_dirs(
        &self,
        indices: impl IntoIterator<Item = usize>,
    ) -> Result<(), BackendError> {
        self.sync_more_dirs(&mut [false; 3], indices)
    }

    /// As [`sync_dirs`](Self::sync_dirs), but for those that are `synced` already.
    pub(super) fn sync_more_dirs(
        &self,
        synced: &mut [bool; 3],
        indices: impl IntoIterator<Item = usize>,
    ) -> Result<(), BackendError> {
        if self.durability == Durability::Atomic {
            return Ok(());
        }
        for index in indices {
            if !std::mem::replace(&mut synced[index], true) {
                self.dirs[index]
                    .sync()
                    .map_err(|source| BackendError::Sync {
                        what: "the store directory".into(),
                        source,
                    })?;
            }
        }
        Ok(())
    }

    pub(super) fn open_in(
        &self,
        index: usize,
        name: &FileName,
        access: Access,
    ) -> Result<Option<D::File>, BackendError> {
        let text = name.to_string();
        let opened = self.dirs[index]
            .open(OsStr::new(&text), access)
            .map_err(BackendError::io("open", &text))?;
        match opened {
            Opened::File(file) => Ok(Some(file)),
            Opened::Missing => Ok(None),
            Opened::NotAFile(kind) => Err(BackendError::NotAFile { name: text, kind }),
        }
    }

    /// Checks that a staged file has the length that was written to it, and makes its content durable.
    pub(super) fn seal(&self, staged: &StagedFile<D::File>) -> Result<(), BackendError> {
        let found = staged
            .file
            .size()
            .map_err(BackendError::io("measure", &staged.name))?;
        if found != staged.len {
            return Err(BackendError::Length {
                name: staged.name.to_string(),
                expected: staged.len,
                found,
            });
        }
        self.sync_file(&staged.file, &staged.name)
    }

    pub(super) fn stage_in(
        &self,
        dir: usize,
        name: &FileName,
    ) -> Result<StagedFile<D::File>, BackendError> {
        let text = name.to_string();
        match self.dirs[dir].create_new(OsStr::new(&text)) {
            Ok(file) => Ok(StagedFile {
                file,
                name: name.clone(),
                dir,
                len: 0,
            }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackendError::Exists { name: name.clone() })
            }
            Err(e) => Err(BackendError::io("create", text)(e)),
        }
    }

    /// Renames; or, where the areas are on different file systems, copies, and leaves the source where it
    /// is until the copy's name is durable.
    pub(super) fn move_to(
        &self,
        staged: &StagedFile<D::File>,
        to: &FileName,
    ) -> Result<Moved, MoveError> {
        match self.try_rename(staged, to) {
            Ok(()) => Ok(Moved::Renamed),
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                self.copy_across(staged, to).map(|()| Moved::Copied)
            }
            Err(e) => Err(self.not_renamed(staged, to, e)),
        }
    }

    /// The bytes are durable at the destination before their final name appears there.
    fn copy_across(&self, staged: &StagedFile<D::File>, to: &FileName) -> Result<(), MoveError> {
        let nothing_done = |source| MoveError {
            unknown: false,
            source,
        };
        let temp = FileName::Temp(staged.uuid());
        let area = self.index(to.area());
        let mut copy = match self.stage_in(area, &temp) {
            // Of a copy that failed before: the uuid is this file's own.
            Err(BackendError::Exists { .. }) => {
                let _ = self.dirs[area].unlink(OsStr::new(&temp.to_string()));
                self.stage_in(area, &temp)
            }
            staged => staged,
        }
        .map_err(nothing_done)?;
        let copied = copy_bytes(staged, &mut copy)
            .map_err(BackendError::io("copy across file systems to", to))
            .and_then(|()| self.seal(&copy))
            .map_err(nothing_done)
            .and_then(|()| {
                let renamed = self.try_rename(&copy, to);
                renamed.map_err(|e| self.not_renamed(&copy, to, e))
            });
        if copied.is_err() {
            self.drop_name(&copy);
        }
        copied
    }

    fn try_rename(&self, staged: &StagedFile<D::File>, to: &FileName) -> io::Result<()> {
        let (from, text) = (staged.name.to_string(), to.to_string());
        self.dirs[staged.dir].rename(OsStr::new(&from), self.dir(to.area()), OsStr::new(&text))
    }

    fn not_renamed(
        &self,
        staged: &StagedFile<D::File>,
        to: &FileName,
        error: io::Error,
    ) -> MoveError {
        let from = staged.name.to_string();
        let found = self.dirs[staged.dir].open(OsStr::new(&from), Access::Read);
        MoveError {
            // As long as it has its old name, it was not given the new one.
            unknown: !matches!(found, Ok(Opened::File(_))),
            source: BackendError::io("publish", to)(error),
        }
    }

    /// Discards what was not published. A partial file stays: it may be all there is of its blob.
    pub(super) fn abandon(&self, staged: &StagedFile<D::File>) {
        if staged.name.is_ephemeral() {
            self.drop_name(staged);
        }
    }

    /// Takes the name of a staged file away, if that can be. Nobody needs it: it is ephemeral, or its bytes
    /// have a final name.
    pub(super) fn drop_name(&self, staged: &StagedFile<D::File>) {
        let _ = self.dirs[staged.dir].unlink(OsStr::new(&staged.name.to_string()));
    }
}

/// Copies in pieces of 64 KiB, the size that large writes are fastest in.
fn copy_bytes<F: DirFile>(from: &StagedFile<F>, to: &mut StagedFile<F>) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    let mut offset = 0;
    while offset < from.len {
        let read = read_full_at(from, &mut buf, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(to, &buf[..read], offset)?;
        offset += read as u64;
    }
    Ok(())
}
