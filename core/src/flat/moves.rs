//! How names are given and taken away, and made durable.

use std::{ffi::OsStr, io};

use crate::{
    Access, BackendError, Dir, DirFile, Durability, FileName, FlatDir, Opened, ReadAt, StagedFile,
    WriteAt,
    io::{WRITE_PIECE, read_full_at, write_all_at},
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
    fn seal(&self, staged: &StagedFile<D::File>) -> Result<(), BackendError> {
        self.check_len(staged)?;
        match &staged.file {
            Some(file) => self.sync_file(file, &staged.name),
            None => Ok(()),
        }
    }

    /// Seals all files of a batch: one by one, or by one sync of each file system where they are many.
    pub(super) fn seal_all(
        &self,
        batch: &[(StagedFile<D::File>, FileName)],
    ) -> Result<(), BackendError> {
        let mut whole = self.many(batch.iter().map(|(staged, _)| staged.dir));
        for (staged, _) in batch {
            whole[staged.dir] |= staged.file.is_none();
        }
        for (staged, _) in batch {
            match whole[staged.dir] {
                true => self.check_len(staged)?,
                false => self.seal(staged)?,
            }
        }
        self.sync_wholes(whole)
    }

    /// Which directories are named so often, once for each file, that their file systems are better synced as a whole.
    pub(super) fn many(&self, files: impl Iterator<Item = usize>) -> [bool; 3] {
        let mut counts = [0_usize; 3];
        files.for_each(|index| counts[index] += 1);
        let mut whole = [false; 3];
        for ((dir, count), whole) in self.dirs.iter().zip(counts).zip(&mut whole) {
            *whole = dir.whole_sync_from().is_some_and(|from| count >= from);
        }
        whole
    }

    /// Syncs the file systems of these directories.
    pub(super) fn sync_wholes(&self, whole: [bool; 3]) -> Result<(), BackendError> {
        if self.durability == Durability::Atomic {
            return Ok(());
        }
        for (dir, _) in self.dirs.iter().zip(whole).filter(|(_, whole)| *whole) {
            dir.sync_whole().map_err(|source| BackendError::Sync {
                what: "the file system of the store".into(),
                source,
            })?;
        }
        Ok(())
    }

    /// Checks that a staged file has the length that was written to it; one that was set aside had it then.
    pub(super) fn check_len(&self, staged: &StagedFile<D::File>) -> Result<(), BackendError> {
        let Some(file) = &staged.file else {
            return Ok(());
        };
        let found = file
            .size()
            .map_err(BackendError::io("measure", &staged.name))?;
        if found != staged.len {
            return Err(BackendError::Length {
                name: staged.name.to_string(),
                expected: staged.len,
                found,
            });
        }
        Ok(())
    }

    pub(super) fn stage_in(
        &self,
        dir: usize,
        name: &FileName,
    ) -> Result<StagedFile<D::File>, BackendError> {
        let text = name.to_string();
        match self.dirs[dir].create_new(OsStr::new(&text)) {
            Ok(file) => Ok(StagedFile {
                file: Some(file),
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
        let copied = self
            .copy_bytes(staged, &mut copy, to)
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

    fn copy_bytes(
        &self,
        staged: &StagedFile<D::File>,
        copy: &mut StagedFile<D::File>,
        to: &FileName,
    ) -> Result<(), BackendError> {
        let again;
        let from = match &staged.file {
            Some(file) => file,
            None => {
                let name = &staged.name;
                let found = self.open_in(staged.dir, name, Access::Read)?;
                again = found.ok_or_else(|| BackendError::Missing { name: name.clone() })?;
                &again
            }
        };
        copy_bytes(from, staged.len, copy)
            .map_err(BackendError::io("copy across file systems to", to))
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

/// Copies `len` bytes, piece by piece.
fn copy_bytes(from: &impl ReadAt, len: u64, to: &mut impl WriteAt) -> io::Result<()> {
    let mut buf = vec![0; WRITE_PIECE];
    let mut offset = 0;
    while offset < len {
        let read = read_full_at(from, &mut buf, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(to, &buf[..read], offset)?;
        offset += read as u64;
    }
    Ok(())
}
