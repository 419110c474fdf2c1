//! The durability protocol: the only place that writes, syncs, renames and syncs again (DURABILITY).

use std::{ffi::OsStr, io, path::Path};

use crate::{
    Access, Area, Backend, BackendError, BatchError, Dir, DirFile, EntryKind, ExternalPath,
    FileName, Listed, ListedName, Opened, ReadAt, Stamp, WriteAt, io::read_full_at,
    io::write_all_at,
};

/// How much a returned `Ok` promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power loss keeps what was acknowledged: files and directories are synced.
    #[default]
    Durable,
    /// Nothing is synced. A process that dies leaves every file old or new; a power loss may not. For a
    /// medium whose owner syncs it, or whose content may be lost.
    Atomic,
}

/// A [`Backend`] over one [`Dir`] or three.
///
/// The areas may be on different file systems: what has to change its file system is copied under a
/// temporary name, synced, and renamed there.
#[derive(Debug)]
pub struct FlatDir<D> {
    /// The distinct directories: one, or up to three.
    dirs: Vec<D>,
    /// Where in `dirs` the areas are: complete, partial, meta.
    areas: [usize; 3],
    external: Vec<Grant<D>>,
    durability: Durability,
}

/// A directory outside the store that external paths with this prefix may lead into.
#[derive(Debug)]
struct Grant<D> {
    prefix: String,
    dir: D,
}

impl<D: Dir> FlatDir<D> {
    /// A store with all its files in one directory.
    pub fn new(dir: D) -> Self {
        Self {
            dirs: vec![dir],
            areas: [0; 3],
            external: Vec::new(),
            durability: Durability::default(),
        }
    }

    /// A store with an area a directory. Two of them may be the same directory.
    ///
    /// # Errors
    /// When it cannot be told whether they are.
    pub fn with_areas(complete: D, partial: D, meta: D) -> io::Result<Self> {
        let mut this = Self::new(complete);
        for (area, dir) in [(1, partial), (2, meta)] {
            let mut known = None;
            for (index, other) in this.dirs.iter().enumerate() {
                if dir.is_same(other)? {
                    known = Some(index);
                }
            }
            this.areas[area] = known.unwrap_or_else(|| {
                this.dirs.push(dir);
                this.dirs.len() - 1
            });
        }
        Ok(this)
    }

    /// The same store with another promise about power losses.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Lets external paths that begin with the directory `prefix` be looked up in `dir`. Without a grant
    /// an external path is reported and never followed; the longest prefix decides.
    ///
    /// # Errors
    /// When `prefix` is not absolute and canonical; `/` is.
    pub fn grant_external(&mut self, prefix: &str, dir: D) -> Result<(), crate::PathError> {
        let prefix = match prefix {
            "/" => String::new(),
            other => ExternalPath::prefix(other)?,
        };
        self.external.push(Grant { prefix, dir });
        Ok(())
    }

    fn dir(&self, area: Area) -> &D {
        &self.dirs[self.index(area)]
    }

    fn index(&self, area: Area) -> usize {
        self.areas[match area {
            Area::Complete => 0,
            Area::Partial => 1,
            Area::Meta => 2,
        }]
    }

    /// What the entry `name` of directory `index` is: a name counts only in its own area, but for
    /// temporary files, which a copy across file systems leaves in any.
    fn classify(&self, index: usize, name: &OsStr) -> Option<FileName> {
        FileName::parse(name).filter(|typed| {
            typed.is_ephemeral() || *typed == FileName::Lock || self.index(typed.area()) == index
        })
    }

    fn sync_file(&self, file: &D::File, what: &FileName) -> Result<(), BackendError> {
        match self.durability {
            Durability::Atomic => Ok(()),
            Durability::Durable => file.sync().map_err(|source| BackendError::Sync {
                what: what.to_string(),
                source,
            }),
        }
    }

    /// Makes the names in these directories durable, in this order, each directory once.
    fn sync_dirs(&self, indices: impl IntoIterator<Item = usize>) -> Result<(), BackendError> {
        self.sync_more_dirs(&mut [false; 3], indices)
    }

    /// As [`sync_dirs`](Self::sync_dirs), but for those that are `synced` already.
    fn sync_more_dirs(
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

    fn open_in(
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

    fn stage_in(&self, dir: usize, name: &FileName) -> Result<StagedFile<D::File>, BackendError> {
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
    fn move_to(&self, staged: &StagedFile<D::File>, to: &FileName) -> Result<Moved, MoveError> {
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
        let mut copy = self
            .stage_in(self.index(to.area()), &temp)
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

    /// Takes the name of a staged file away, if that can be. It means nothing to anybody: recovery removes
    /// ephemeral ones, and complete beats partial.
    fn drop_name(&self, staged: &StagedFile<D::File>) {
        let _ = self.dirs[staged.dir].unlink(OsStr::new(&staged.name.to_string()));
    }

    fn unlink_everywhere(
        &self,
        name: &FileName,
        touched: &mut Vec<usize>,
    ) -> Result<(), MoveError> {
        let text = name.to_string();
        let text = OsStr::new(&text);
        let mut unlinked = false;
        for (index, dir) in self.dirs.iter().enumerate() {
            if !name.is_ephemeral() && index != self.index(name.area()) {
                continue;
            }
            // Also when it is gone: a process that died may not have made that durable.
            touched.push(index);
            match dir.unlink(text) {
                Ok(()) => unlinked = true,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    let gone = matches!(dir.open(text, Access::Read), Ok(Opened::Missing) | Err(_));
                    return Err(MoveError {
                        unknown: unlinked || gone,
                        source: BackendError::io("remove", name)(e),
                    });
                }
            }
        }
        Ok(())
    }

    /// The grant for a path: the one with the longest prefix, and the path below it.
    fn granted<'a>(&'a self, path: &'a ExternalPath) -> Option<(&'a D, &'a str)> {
        self.external
            .iter()
            .filter_map(|grant| {
                let below = path.as_str().strip_prefix(&grant.prefix)?;
                Some((grant, below.strip_prefix('/')?))
            })
            .max_by_key(|(grant, _)| grant.prefix.len())
            .map(|(grant, below)| (&grant.dir, below))
    }
}

impl<D: Dir> Backend for FlatDir<D> {
    type Object = D::File;
    type Staged = StagedFile<D::File>;
    type Lock = Vec<D::Lock>;

    fn lock(&self) -> Result<Self::Lock, BackendError> {
        let name = FileName::Lock.to_string();
        self.dirs
            .iter()
            .map(|dir| {
                dir.try_lock(OsStr::new(&name))
                    .map_err(BackendError::io("lock", &name))?
                    .ok_or(BackendError::Busy)
            })
            .collect()
    }

    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError> {
        for (index, dir) in self.dirs.iter().enumerate() {
            dir.list(&mut |name, kind| {
                let name = match self.classify(index, name) {
                    Some(typed) => ListedName::Typed(typed),
                    None => ListedName::Foreign(name),
                };
                each(Listed { name: &name, kind });
            })
            .map_err(BackendError::io("list", "the store directory"))?;
        }
        Ok(())
    }

    fn open(&self, name: &FileName) -> Result<Option<Self::Object>, BackendError> {
        self.open_in(self.index(name.area()), name, Access::Read)
    }

    fn stage_new(&self, name: &FileName) -> Result<Self::Staged, BackendError> {
        self.stage_in(self.index(name.area()), name)
    }

    fn resume(&self, name: &FileName) -> Result<Self::Staged, BackendError> {
        let dir = self.index(name.area());
        let file = self
            .open_in(dir, name, Access::ReadWrite)?
            .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
        let len = file.size().map_err(BackendError::io("measure", name))?;
        Ok(StagedFile {
            file,
            name: name.clone(),
            dir,
            len,
        })
    }

    fn discard(&self, staged: Self::Staged) -> Result<(), BackendError> {
        let text = staged.name.to_string();
        match self.dirs[staged.dir].unlink(OsStr::new(&text)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(BackendError::io("remove", text)(e))
            }
            _ => Ok(()),
        }
    }

    fn publish(&self, batch: Vec<(Self::Staged, FileName)>) -> Result<(), BatchError> {
        let fail = |done, unknown, source| BatchError {
            done,
            unknown,
            source,
        };
        if let Err(error) = batch.iter().try_for_each(|(staged, _)| self.seal(staged)) {
            batch.iter().for_each(|(staged, _)| self.drop_name(staged));
            return Err(fail(0, 0, error));
        }
        let (mut copied, mut renamed, mut failed) = (Vec::new(), 0, None);
        for (staged, to) in &batch {
            match self.move_to(staged, to) {
                Ok(Moved::Renamed) => {}
                Ok(Moved::Copied) => copied.push(staged),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            renamed += 1;
        }
        let maybe = usize::from(failed.as_ref().is_some_and(|error| error.unknown));
        let (touched, others) = batch.split_at(renamed + maybe);
        others.iter().for_each(|(staged, _)| self.drop_name(staged));
        // Destinations before sources: a name may be in both places, never in neither.
        let destinations = touched.iter().map(|(_, to)| self.index(to.area()));
        let sources = touched.iter().map(|(staged, _)| staged.dir);
        let mut done = [false; 3];
        let synced = self.sync_more_dirs(&mut done, destinations).and_then(|()| {
            copied.iter().for_each(|staged| self.drop_name(staged));
            self.sync_more_dirs(&mut done, sources)
        });
        match (failed, synced) {
            (None, Ok(())) => Ok(()),
            (_, Err(error)) => Err(fail(0, renamed + maybe, error)),
            (Some(error), Ok(())) => Err(fail(renamed, maybe, error.source)),
        }
    }

    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError> {
        for name in names {
            let file = self
                .open(name)?
                .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
            self.sync_file(&file, name)?;
        }
        self.sync_dirs(names.iter().map(|name| self.index(name.area())))
    }

    fn demote(&self, name: &FileName, to: &FileName) -> Result<(), BackendError> {
        let (from, target) = (self.index(name.area()), self.index(to.area()));
        if self.open_in(target, to, Access::Read)?.is_some() {
            return Err(BackendError::Exists { name: to.clone() });
        }
        let file = self
            .open_in(from, name, Access::Read)?
            .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
        self.sync_file(&file, name)?;
        let len = file.size().map_err(BackendError::io("measure", name))?;
        let staged = StagedFile {
            file,
            name: name.clone(),
            dir: from,
            len,
        };
        let moved = self.move_to(&staged, to).map_err(|error| error.source)?;
        self.sync_dirs([target])?;
        if moved == Moved::Copied {
            self.dirs[from]
                .unlink(OsStr::new(&name.to_string()))
                .map_err(BackendError::io("remove", name))?;
        }
        self.sync_dirs((from != target).then_some(from))
    }

    fn remove(&self, names: &[FileName]) -> Result<(), BatchError> {
        let mut touched = Vec::new();
        let mut gone = 0;
        let mut failed = None;
        for name in names {
            if let Err(error) = self.unlink_everywhere(name, &mut touched) {
                failed = Some(error);
                break;
            }
            gone += 1;
        }
        let maybe = usize::from(failed.as_ref().is_some_and(|error| error.unknown));
        let fail = |done, unknown, source| BatchError {
            done,
            unknown,
            source,
        };
        match (self.sync_dirs(touched), failed) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(error)) => Err(fail(gone, maybe, error.source)),
            (Err(source), _) => Err(fail(0, gone + maybe, source)),
        }
    }

    fn external(&self, path: &ExternalPath) -> Result<Self::Object, BackendError> {
        let (root, below) = self
            .granted(path)
            .ok_or_else(|| BackendError::NotGranted { path: path.clone() })?;
        let cannot = || BackendError::io("open", path);
        let (parent, name) = match below.rsplit_once('/') {
            None => (None, below),
            Some((parent, name)) => (
                Some(root.descend(Path::new(parent)).map_err(cannot())?),
                name,
            ),
        };
        let parent = parent.as_ref().unwrap_or(root);
        for dir in &self.dirs {
            if parent.is_same(dir).map_err(cannot())? {
                return Err(BackendError::InsideStore { path: path.clone() });
            }
        }
        match parent
            .open(OsStr::new(name), Access::Read)
            .map_err(cannot())?
        {
            Opened::File(file) => Ok(file),
            Opened::Missing => Err(cannot()(io::ErrorKind::NotFound.into())),
            Opened::NotAFile(kind) => Err(BackendError::NotAFile {
                name: path.to_string(),
                kind,
            }),
        }
    }

    fn stamp(&self, object: &Self::Object) -> io::Result<Stamp> {
        object.stamp()
    }
}

/// A file under a temporary or partial name.
#[derive(Debug)]
pub struct StagedFile<F> {
    file: F,
    name: FileName,
    /// Which of the directories it is in.
    dir: usize,
    /// The length that it must have when it is published.
    len: u64,
}

impl<F> StagedFile<F> {
    /// The uuid in the name, for a temporary name at the destination of a copy. Every name that is ever
    /// moved has one on one side.
    fn uuid(&self) -> crate::Uuid {
        match &self.name {
            FileName::Temp(uuid)
            | FileName::TagsTemp(uuid)
            | FileName::PathsTemp(_, uuid)
            | FileName::PartialData(_, uuid)
            | FileName::PartialOutboard(_, uuid) => *uuid,
            // A published file on its way back to a partial name: its hash is as unique as a uuid.
            other => {
                let mut bytes = [0; 16];
                if let Some(hash) = other.hash() {
                    bytes.copy_from_slice(&hash.as_bytes()[..16]);
                }
                crate::Uuid::from_bytes(bytes)
            }
        }
    }
}

impl<F: DirFile> ReadAt for StagedFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

impl<F: DirFile> WriteAt for StagedFile<F> {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file.write_at(buf, offset)?;
        self.len = self.len.max(offset + written as u64);
        Ok(written)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        Ok(())
    }
}

/// How a file came to its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Renamed,
    /// The source is still there.
    Copied,
}

/// A name that was not given or not taken away.
struct MoveError {
    /// It may have been all the same.
    unknown: bool,
    source: BackendError,
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

/// Whether an entry of this kind may be removed by recovery when its name is ephemeral.
pub(crate) const fn is_removable(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::File)
}
