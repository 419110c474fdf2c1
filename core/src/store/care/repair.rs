//! Repair: what can be put right without losing a good byte.
//!
//! What is decided on is decided from one deep look at a blob ([`plan`]), and told before it is done, so that
//! a dry run says what a real one does. Every step leaves a whole store behind it; repairing once more after
//! a crash goes on where it was interrupted.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    Backend, BackendError, Error, FileName, Hash, HashAndFormat, PathSet, ReadAt, Result, Uuid,
    index::Entry,
    io::write_all_at,
    kernel::Tags,
    progress::{Progress, Watch},
    proof::{Step, Walk},
    store::{
        Batch, ImportOptions, Inner, Store,
        care::{
            Depth, Finding, Remedy,
            examine::{Exam, HomeExam, Outboard, Place},
            verify::expand,
        },
        locked,
    },
    text::lossless,
    tree::groups,
};

/// How a store is repaired.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RepairOptions {
    /// Only tell what would be done. Works in a read-only opening.
    pub dry_run: bool,
    /// Only these blobs, and what they list where they are hash sequences; everything when it is empty.
    pub only: Vec<HashAndFormat>,
}

impl RepairOptions {
    /// These options, dry or not.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// These options for some blobs only.
    #[must_use]
    pub fn only(mut self, only: Vec<HashAndFormat>) -> Self {
        self.only = only;
        self
    }
}

/// One thing that repair does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mending {
    /// The outboard is made again, from data that hash to the blob's name.
    RebuildOutboard {
        /// The blob.
        hash: Hash,
    },
    /// Owned data are written anew, each group from a home that has it right.
    RewriteData {
        /// The blob.
        hash: Hash,
        /// The groups that were wrong.
        groups: Vec<Range<u64>>,
    },
    /// Owned data become a partial entry: the groups that are right stay, and only the others have to be
    /// received.
    Demote {
        /// The blob.
        hash: Hash,
        /// The groups that are missing from then on.
        missing: Vec<Range<u64>>,
        /// All groups of the blob.
        of: u64,
    },
    /// Partial data get back the outboard that an interrupted step left under its final name.
    Pair {
        /// The blob.
        hash: Hash,
        /// The uuid of the partial entry.
        uuid: Uuid,
    },
    /// An outboard with the final name goes, since the one of a partial entry proves as much.
    RemoveOutboard {
        /// The blob.
        hash: Hash,
    },
    /// External paths that lead to nothing, or to other bytes, are taken from the list: another home is
    /// whole. The files are not touched.
    DropPaths {
        /// The blob.
        hash: Hash,
        /// The paths; none when the list itself cannot be read.
        paths: Vec<String>,
    },
    /// `tags.meta` gets a checksum.
    ProtectTags,
}

impl Mending {
    /// A stable word for it, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RebuildOutboard { .. } => "rebuild_outboard",
            Self::RewriteData { .. } => "rewrite_data",
            Self::Demote { .. } => "demote",
            Self::Pair { .. } => "pair",
            Self::RemoveOutboard { .. } => "remove_outboard",
            Self::DropPaths { .. } => "drop_paths",
            Self::ProtectTags => "protect_tags",
        }
    }

    /// The blob that it is about, if it is about one.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        match self {
            Self::RebuildOutboard { hash }
            | Self::RewriteData { hash, .. }
            | Self::Demote { hash, .. }
            | Self::Pair { hash, .. }
            | Self::RemoveOutboard { hash }
            | Self::DropPaths { hash, .. } => Some(*hash),
            Self::ProtectTags => None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It would be done.
    Planned,
    /// It was done, durably.
    Done,
    /// Somebody put the blob right meanwhile, or took it away.
    Changed,
    /// It could not be done. Nothing is lost.
    Failed(Error),
}

/// What a repair tells as it goes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Repairing {
    /// Something was mended, would be, or could not be.
    Mended(Mending, Outcome),
    /// Something is wrong that repair does not mend.
    Left(Finding),
}

/// What a repair came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Things that were mended, or would be.
    pub mended: u64,
    /// Things that could not be mended.
    pub failed: u64,
    /// Findings that repair leaves to others.
    pub left: u64,
}

impl<B: Backend> Store<B> {
    /// Looks at all data, and mends what it can: outboards are made again; wrong data are written anew where
    /// another home has them right, and otherwise become a partial entry that keeps every group that is
    /// right; external paths that lead nowhere are dropped where another home is whole. No file with a good
    /// byte in it goes, and no file outside the store is touched. Damaged tags are left to
    /// [`restore_tags`](Self::restore_tags).
    ///
    /// Doing it twice is doing it once.
    ///
    /// # Errors
    /// When the store cannot be written or the lock is not held, but for a dry run; [`Error::NotFound`] for
    /// one of [`RepairOptions::only`]; when a sync fails, which ends all writing; [`Error::Cancelled`] when
    /// `watch` says so. That something cannot be mended is no error: it is told.
    pub fn repair(
        &self,
        options: &RepairOptions,
        each: &mut dyn FnMut(Repairing),
        watch: &mut Watch<'_>,
    ) -> Result<Repaired> {
        if !options.dry_run {
            self.inner.check_may_delete()?;
        }
        let mut run = Run {
            store: self,
            dry: options.dry_run,
            each,
            watch,
            done: Repaired::default(),
            bytes: 0,
        };
        if !options.only.is_empty() {
            for hash in expand(self, &options.only)? {
                run.blob(hash)?;
            }
            return Ok(run.done);
        }
        run.tags()?;
        let mut after = None;
        loop {
            let page = self.inner.kernel.state().index.page(after, 1024);
            let Some((last, _)) = page.last() else {
                return Ok(run.done);
            };
            after = Some(*last);
            for (hash, _) in page {
                run.blob(hash)?;
            }
        }
    }
}

struct Run<'a, 'w, B: Backend> {
    store: &'a Store<B>,
    dry: bool,
    each: &'a mut dyn FnMut(Repairing),
    watch: &'a mut Watch<'w>,
    done: Repaired,
    bytes: u64,
}

impl<B: Backend> Run<'_, '_, B> {
    fn tags(&mut self) -> Result<()> {
        let inner = &self.store.inner;
        let unprotected = match &inner.kernel.state().tags {
            Tags::Known(known) => known.file.is_some() && !known.protected,
            Tags::Missing | Tags::Damaged(_) => false,
        };
        if unprotected {
            self.mend(Mending::ProtectTags, |inner, _| {
                inner.change_tags(|_| Ok(()))?;
                Ok(Outcome::Done)
            })?;
        }
        Ok(())
    }

    fn blob(&mut self, hash: Hash) -> Result<()> {
        let inner = &self.store.inner;
        // No collection takes it away meanwhile; one that is taking it away has its way first.
        let _held = inner.hold(hash);
        let entry = inner.kernel.state().index.get(hash);
        let blobs = self.done.blobs;
        let step = Progress::Checked {
            blobs,
            bytes: self.bytes,
        };
        if (self.watch)(step).is_break() {
            return Err(Error::Cancelled);
        }
        if entry.is_complete() {
            self.complete(hash)?;
        }
        self.loose_ends(hash)?;
        self.done.blobs += 1;
        Ok(())
    }

    fn complete(&mut self, hash: Hash) -> Result<()> {
        let inner = &self.store.inner;
        let (blobs, bytes) = (self.done.blobs, &mut self.bytes);
        let watch = std::cell::RefCell::new(&mut *self.watch);
        let mut pulse = |more| {
            *bytes += more;
            (watch.borrow_mut())(Progress::Checked {
                blobs,
                bytes: *bytes,
            })
        };
        let mut whole = |step| (watch.borrow_mut())(step);
        let exam = inner.examine(hash, Depth::Deep, 0, &mut pulse, &mut whole);
        if exam.stopped.is_some() {
            return Err(Error::Cancelled);
        }
        if exam.homes.iter().any(HomeExam::is_wrong) {
            inner.quarantine(hash);
        }
        let plan = plan(&exam);
        let drops = plan.iter().any(|m| matches!(m, Mending::DropPaths { .. }));
        let mends = plan.iter().any(|m| !matches!(m, Mending::DropPaths { .. }));
        for finding in exam.findings() {
            let mended = match finding.remedy() {
                Remedy::Repair | Remedy::RepairThenFill => mends,
                Remedy::BringBack => drops,
                Remedy::LookAtIt => drops && matches!(finding, Finding::RefusedPath { .. }),
                Remedy::Nothing => true,
                _ => false,
            };
            if !mended {
                self.leave(finding);
            }
        }
        for mending in plan {
            self.mend(mending, |inner, mending| match mending {
                Mending::RebuildOutboard { .. } => inner.rebuild_outboard(&exam),
                Mending::RewriteData { .. } => inner.rewrite(&exam),
                Mending::Demote { .. } => inner.demote(&exam),
                Mending::DropPaths { .. } => inner.drop_paths(&exam),
                _ => Ok(Outcome::Done),
            })?;
        }
        Ok(())
    }

    /// Halves of partial entries, and outboards that outlived their data.
    fn loose_ends(&mut self, hash: Hash) -> Result<()> {
        let inner = &self.store.inner;
        for finding in inner.loose_ends(hash) {
            match finding {
                Finding::UnpairedPartial {
                    file: FileName::PartialData(hash, uuid),
                    counterpart: true,
                } => {
                    let pair = Mending::Pair { hash, uuid };
                    self.mend(pair, |inner, _| inner.pair_with_final(hash, uuid))?;
                }
                Finding::OrphanOutboard { hash } if inner.is_outdone(hash).unwrap_or(false) => {
                    let remove = Mending::RemoveOutboard { hash };
                    self.mend(remove, |inner, _| inner.remove_outboard(hash))?;
                }
                other => self.leave(other),
            }
        }
        Ok(())
    }

    /// Tells of it, and does it unless the run is a dry one.
    fn mend(
        &mut self,
        mending: Mending,
        act: impl FnOnce(&std::sync::Arc<Inner<B>>, &Mending) -> Result<Outcome>,
    ) -> Result<()> {
        let outcome = if self.dry {
            Outcome::Planned
        } else {
            match act(&self.store.inner, &mending) {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Failed(error),
            }
        };
        match &outcome {
            Outcome::Failed(_) => self.done.failed += 1,
            Outcome::Planned | Outcome::Done => self.done.mended += 1,
            Outcome::Changed => {}
        }
        (self.each)(Repairing::Mended(mending, outcome));
        if self.dry {
            Ok(())
        } else {
            // After a failed sync nothing else can be mended either.
            self.store.inner.kernel.check_writable()
        }
    }

    fn leave(&mut self, finding: Finding) {
        self.done.left += 1;
        (self.each)(Repairing::Left(finding));
    }
}

/// What is to be done about a complete blob.
fn plan<O: ReadAt>(exam: &Exam<O>) -> Vec<Mending> {
    let hash = exam.hash;
    let mut plan = Vec::new();
    let mut whole = exam.whole().is_some();
    let damaged = exam.owned().filter(|home| home.is_dead(exam.size));
    match damaged.and_then(HomeExam::open) {
        Some(owned) if exam.lost().is_empty() => {
            let groups = owned.wrong.clone();
            plan.push(Mending::RewriteData { hash, groups });
            whole = true;
        }
        // An outboard that cannot be read now may prove groups the next time.
        Some(_) if matches!(exam.outboard, Outboard::Unreadable(_)) => {}
        Some(owned) => plan.push(Mending::Demote {
            hash,
            missing: owned.wrong.clone(),
            of: groups(exam.size),
        }),
        None if exam.needs_outboard() && whole => {
            plan.push(Mending::RebuildOutboard { hash });
        }
        None => {}
    }
    let dead = dead_paths(exam);
    let is_damaged = matches!(exam.paths, Some(Error::Paths { .. }));
    if whole && (is_damaged || !dead.is_empty()) {
        let paths = dead.iter().map(|path| lossless(path.as_bytes())).collect();
        plan.push(Mending::DropPaths { hash, paths });
    }
    plan
}

/// External paths, as they stand in the list, from which nothing can be had any more.
fn dead_paths<O: ReadAt>(exam: &Exam<O>) -> BTreeSet<&str> {
    let dead = exam.homes.iter().filter(|home| home.is_dead(exam.size));
    dead.filter_map(|home| match &home.place {
        Place::Owned => None,
        Place::External(path) => Some(path.as_str()),
        Place::Refused(path, _) => Some(path.as_str()),
    })
    .collect()
}

impl<B: Backend> Inner<B> {
    fn rebuild_outboard(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let Some(open) = exam.whole().and_then(HomeExam::open) else {
            return Ok(Outcome::Changed);
        };
        let (hashed, outboard) =
            self.hash_home(&open.home, true, &mut crate::progress::unwatched)?;
        if hashed.hash != hash {
            return Ok(Outcome::Changed);
        }
        let is_owned = exam.owned().is_some_and(|home| home.is_whole(exam.size));
        self.publish_outboard(hash, outboard, is_owned)?;
        Ok(Outcome::Done)
    }

    /// Imports the blob once more, through a reader that takes each group from where it is right.
    fn rewrite(self: &std::sync::Arc<Self>, exam: &Exam<B::Object>) -> Result<Outcome> {
        let unwatched = &mut crate::progress::unwatched;
        let reader = self.reader(exam.hash, false, unwatched)?;
        let options = ImportOptions::default().size(exam.size);
        let mut batch = Batch::new(self);
        batch.import_reader_with(reader, options, unwatched)?;
        batch.commit()?;
        Ok(Outcome::Done)
    }

    /// The data get a partial name first, and then their outboard: in between the one with the final name
    /// proves them.
    fn demote(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let name = FileName::Data(hash);
        let Some(open) = exam.owned().and_then(HomeExam::open) else {
            return Ok(Outcome::Changed);
        };
        let uuid = {
            // What an import publishes meanwhile is not what was looked at.
            let _gate = self.publishing_alone();
            self.kernel.check_writable()?;
            let is_same = |now: &B::Object| -> std::io::Result<bool> {
                Ok(self.backend.stamp(now)? == self.backend.stamp(&open.home.object)?)
            };
            match self.backend.open(&name)? {
                Some(now) if is_same(&now).map_err(BackendError::io("look at", &name))? => {}
                _ => return Ok(Outcome::Changed),
            }
            self.take_back(hash, &name)?
        };
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Gives published data a partial name.
    fn take_back(&self, hash: Hash, name: &FileName) -> Result<Uuid> {
        for _ in 0..crate::limits::UUID_ATTEMPTS {
            let uuid = self.fresh_uuid()?;
            let to = FileName::PartialData(hash, uuid);
            match self.backend.demote(name, &to) {
                Ok(()) => {
                    let mut state = self.kernel.state();
                    state.index.remove(name);
                    state.index.insert(&to, crate::EntryKind::File);
                    return Ok(uuid);
                }
                Err(BackendError::Exists { .. }) => {}
                Err(error) => {
                    let nothing_done = matches!(
                        error,
                        BackendError::Missing { .. } | BackendError::NotAFile { .. }
                    );
                    let error = Error::from(error);
                    if !nothing_done {
                        // The back end does not say whether the file has its old name or the new one.
                        self.kernel.poison(&error);
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::NoFreeName)
    }

    fn pair_with_final(&self, hash: Hash, uuid: Uuid) -> Result<Outcome> {
        let data = FileName::PartialData(hash, uuid);
        let Some(object) = self.backend.open(&data)? else {
            return Ok(Outcome::Changed);
        };
        let exam = self.examine_partial(hash, &data, object);
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Makes the outboard of a partial entry out of what the one with the final name proves, which goes then
    /// unless an external home needs it.
    fn pair(&self, hash: Hash, uuid: Uuid, size: u64) -> Result<()> {
        let source = self.backend.open(&FileName::Outboard(hash))?;
        let name = FileName::PartialOutboard(hash, uuid);
        let mut stage = self.stage(FileName::Temp)?;
        let io = |e| Error::from(BackendError::io("write", &name)(e));
        write_all_at(stage.file(), &size.to_le_bytes(), 0).map_err(io)?;
        let mut written = Ok(());
        let mut walk = Walk::new(source.as_ref(), size);
        let _ = walk.run(hash, &mut |step| {
            if let Step::Pair(offset, pair) = step {
                written = write_all_at(stage.file(), &pair, offset);
            }
            match written {
                Ok(()) => std::ops::ControlFlow::Continue(()),
                Err(_) => std::ops::ControlFlow::Break(()),
            }
        });
        written.map_err(io)?;
        if let Some(error) = walk.failed {
            let name = FileName::Outboard(hash);
            return Err(BackendError::io("read", name)(error).into());
        }
        if let Some(staged) = stage.into_inner() {
            self.checked(self.backend.publish(vec![(staged, name.clone())]))?;
            let mut state = self.kernel.state();
            state.index.insert(&name, crate::EntryKind::File);
        }
        if source.is_some() && !self.kernel.state().index.get(hash).is_complete() {
            self.remove_outboard(hash)?;
        }
        Ok(())
    }

    fn remove_outboard(&self, hash: Hash) -> Result<Outcome> {
        let name = FileName::Outboard(hash);
        self.checked(self.backend.remove(std::slice::from_ref(&name)))?;
        self.kernel.state().index.remove(&name);
        Ok(Outcome::Done)
    }

    /// Whether a partial entry proves all that an outboard without data does.
    fn is_outdone(&self, hash: Hash) -> Result<bool> {
        let known = |name: &FileName| -> Result<u64> {
            let (Some(size), Some(file)) = (self.outboard_prefix(name)?, self.backend.open(name)?)
            else {
                return Ok(0);
            };
            let mut known = 0;
            let mut walk = Walk::new(Some(&file), size);
            let _ = walk.run(hash, &mut |step| {
                known += u64::from(matches!(step, Step::Pair(..)));
                std::ops::ControlFlow::Continue(())
            });
            Ok(known)
        };
        let alone = known(&FileName::Outboard(hash))?;
        let partials = self.kernel.state().index.partials(hash).to_vec();
        for files in partials.iter().filter(|files| files.data && files.outboard) {
            if known(&FileName::PartialOutboard(hash, files.uuid))? >= alone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn drop_paths(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let name = FileName::Paths(hash);
        let dead = dead_paths(exam);
        let _writer = locked(&self.path_writer);
        self.kernel.check_writable()?;
        let left = match self.read_paths(hash) {
            Ok(None) => return Ok(Outcome::Changed),
            Ok(Some(paths)) => paths.without(&dead),
            Err(Error::Paths { .. }) => PathSet::default(),
            Err(error) => return Err(error),
        };
        if left.is_empty() {
            self.checked(self.backend.remove(std::slice::from_ref(&name)))?;
            self.kernel.state().index.remove(&name);
        } else {
            self.publish_paths(hash, &left)?;
        }
        let mut state = self.kernel.state();
        state
            .index
            .update(hash, |entry| entry.without(Entry::DAMAGED));
        Ok(Outcome::Done)
    }
}
