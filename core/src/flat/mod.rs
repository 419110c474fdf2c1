//! The durability protocol: the only place that writes, syncs, renames and syncs again.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use crate::{
    Access, Area, Backend, BackendError, BatchError, Dir, DirFile, ExternalPath, FileName, Listed,
    ListedName, Opened, PathError, ReadAt, Stamp, Uuid,
};

mod moves;
mod outgoing;
mod removal;
mod staged;

use moves::Moved;
pub use outgoing::OutgoingFile;
pub use staged::StagedFile;

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
    lost: outgoing::Lost,
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
            lost: outgoing::Lost::default(),
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
    pub fn grant_external(&mut self, prefix: &str, dir: D) -> Result<(), PathError> {
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

fn text_of(name: &FileName) -> OsString {
    name.to_string().into()
}

impl<D: Dir> Backend for FlatDir<D> {
    type Object = D::File;
    type Staged = StagedFile<D::File>;
    type Outgoing = OutgoingFile<D>;
    type Lock = Vec<D::Lock>;

    fn lock(&self) -> Result<Self::Lock, BackendError> {
        let name = FileName::Lock.to_string();
        self.dirs
            .iter()
            .map(|dir| {
                dir.try_lock(OsStr::new(&name))
                    .map_err(|source| match source.kind() {
                        io::ErrorKind::Unsupported => BackendError::NoLocks { source },
                        _ => BackendError::io("lock", "the store directory")(source),
                    })?
                    .ok_or(BackendError::Busy)
            })
            .collect()
    }

    fn check_promises(&self) -> Result<(), BackendError> {
        if self.durability == Durability::Atomic {
            return Ok(());
        }
        for dir in &self.dirs {
            let can = dir.can_sync();
            if !can.map_err(BackendError::io("sync", "the store directory"))? {
                return Err(BackendError::NoSync);
            }
        }
        Ok(())
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
            file: Some(file),
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

    fn share(&self, from: &Self::Object, to: &mut Self::Staged) -> io::Result<bool> {
        let is_shared = to.file()?.share(from)?;
        if is_shared {
            to.len = to.file()?.size()?;
        }
        Ok(is_shared)
    }

    fn share_out(&self, from: &Self::Object, to: &mut Self::Outgoing) -> io::Result<bool> {
        to.share(from)
    }

    fn set_aside(&self, staged: &mut Self::Staged) -> Result<(), BackendError> {
        if self.dirs[staged.dir].whole_sync_from().is_some() {
            self.check_len(staged)?;
            // What was written is synced with everything else, and errors are told then, of whichever file.
            staged.file = None;
        }
        Ok(())
    }

    fn batch_size(&self) -> usize {
        let mut dirs = self.dirs.iter();
        match dirs.all(|dir| dir.whole_sync_from().is_some()) {
            // Names and values of so many files take some megabytes; one more sync for every so many is little.
            true => 16 * 1024,
            false => 256,
        }
    }

    fn publish(&self, batch: Vec<(Self::Staged, FileName)>) -> Result<(), BatchError> {
        let fail = |done, unknown, source| BatchError {
            done,
            unknown,
            source,
        };
        if let Err(error) = self.seal_all(&batch) {
            batch.iter().for_each(|(staged, _)| self.abandon(staged));
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
        others.iter().for_each(|(staged, _)| self.abandon(staged));
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
        let whole = self.many(names.iter().map(|name| self.index(name.area())));
        for name in names {
            let file = self
                .open(name)?
                .ok_or_else(|| BackendError::Missing { name: name.clone() })?;
            if !whole[self.index(name.area())] {
                self.sync_file(&file, name)?;
            }
        }
        self.sync_wholes(whole)?;
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
            file: Some(file),
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
        let removal = self.unlink_in_turn(names, &mut touched);
        self.sync_removals(touched, names.iter().any(|name| name.hash().is_some()))
            .outcome(removal)
    }

    fn remove_groups(&self, groups: &[Vec<FileName>]) -> Vec<Result<(), BatchError>> {
        let mut touched = Vec::new();
        let removals = self.unlink_groups(groups, &mut touched);
        let of_blobs = groups.iter().flatten().any(|name| name.hash().is_some());
        let synced = self.sync_removals(touched, of_blobs);
        let outcomes = removals.into_iter();
        outcomes.map(|removal| synced.outcome(removal)).collect()
    }

    // Under wasm files are opened one by one, as for any back end: the module is to be small.
    #[cfg(not(target_family = "wasm"))]
    fn lens_of(&self, names: &[FileName]) -> Vec<Option<u64>> {
        let mut lens = vec![None; names.len()];
        for (index, dir) in self.dirs.iter().enumerate() {
            let here = |name: &FileName| self.index(name.area()) == index;
            let texts: Vec<OsString> = names
                .iter()
                .filter(|name| here(name))
                .map(text_of)
                .collect();
            let slots = names.iter().zip(&mut lens).filter(|(name, _)| here(name));
            for ((_, slot), len) in slots.zip(dir.lens_of(&texts)) {
                *slot = len.ok().flatten();
            }
        }
        lens
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

    fn stage_out(&self, path: &ExternalPath, uuid: Uuid) -> Result<Self::Outgoing, BackendError> {
        self.create_outgoing(path, uuid)
    }

    fn link_out(
        &self,
        name: &FileName,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<Option<Self::Outgoing>, BackendError> {
        self.link_outgoing(name, path, uuid)
    }

    fn release(&self, outgoing: Self::Outgoing, replace: bool) -> Result<(), BackendError> {
        self.release_outgoing(&outgoing, replace)
    }

    fn discard_out(&self, outgoing: Self::Outgoing) -> Result<(), BackendError> {
        outgoing.drop_temp()
    }
}
