//! Repair: what can be put right without losing a good byte.
//!
//! What is decided on is decided from one deep look at a blob ([`plan`]), and told before it is done, so that
//! a dry run says what a real one does. Every step leaves a whole store behind it; repairing once more after
//! a crash goes on where it was interrupted.

use std::cell::{Cell, RefCell};

use crate::{
    Backend, Error, FileName, Hash, HashAndFormat, NotWritable, Result,
    kernel::Tags,
    progress::{Progress, Watch},
    store::{
        Inner, Store,
        care::{
            Depth, Finding, Mending, Outcome, Remedy, home::HomeExam, mending::plan, verify::expand,
        },
    },
    tree::GROUP,
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
        match self.inner.known_tags() {
            // Whether it is a dry run or not.
            Err(error @ Error::NotWritable(NotWritable::TagsDamaged(_))) => return Err(error),
            _ if options.dry_run => {}
            _ => self.inner.check_may_delete()?,
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
                inner.rewrite_tags()?;
                Ok(Outcome::Done)
            })?;
        }
        if matches!(inner.kernel.state().tags, Tags::Missing) {
            self.leave(Finding::MissingTags);
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
        let makes_outboard = entry.is_complete() && self.complete(hash)?;
        self.loose_ends(hash, self.dry && makes_outboard)?;
        self.done.blobs += 1;
        Ok(())
    }

    /// Returns whether that comes with an outboard.
    fn complete(&mut self, hash: Hash) -> Result<bool> {
        let inner = &self.store.inner;
        let (blobs, bytes) = (self.done.blobs, &mut self.bytes);
        let watch = RefCell::new(&mut *self.watch);
        let asked = Cell::new(false);
        let ask = |step| {
            let flow = (watch.borrow_mut())(step);
            asked.set(asked.get() || flow.is_break());
            flow
        };
        let mut pulse = |more| {
            *bytes += more;
            ask(Progress::Checked {
                blobs,
                bytes: *bytes,
            })
        };
        let exam = inner.examine(hash, Depth::Deep, 0, &mut pulse, &mut &ask);
        if exam.stopped.is_some() || asked.get() {
            return Err(Error::Cancelled);
        }
        if exam.homes.iter().any(HomeExam::is_wrong) {
            inner.quarantine(hash);
        }
        let plan = plan(&exam);
        let mut dropped = Vec::new();
        let mut drops = false;
        for mending in &plan {
            if let Mending::DropPaths { paths, .. } = mending {
                dropped.clone_from(paths);
                drops = true;
            }
        }
        let mends = plan.iter().any(|m| !matches!(m, Mending::DropPaths { .. }));
        for finding in exam.findings() {
            let mended = match &finding {
                Finding::ExternalMissing { path, .. }
                | Finding::ExternalChanged { path, .. }
                | Finding::RefusedPath { path, .. } => dropped.contains(path),
                Finding::CorruptPaths { .. } => drops,
                other => match other.remedy() {
                    Remedy::Repair | Remedy::RepairThenFill => mends,
                    remedy => remedy == Remedy::Nothing,
                },
            };
            if !mended {
                self.leave(finding);
            }
        }
        for finding in inner.examine_more(&exam) {
            self.leave(finding);
        }
        let makes_outboard = exam.size > GROUP
            && plan.iter().any(|m| {
                matches!(
                    m,
                    Mending::RebuildOutboard { .. } | Mending::RewriteData { .. }
                )
            });
        for mending in plan {
            // What comes next relies on it.
            let done = self.mend(mending, |inner, mending| match mending {
                Mending::RebuildOutboard { .. } => inner.rebuild_outboard(&exam),
                Mending::RewriteData { .. } => inner.rewrite(&exam),
                Mending::Demote { .. } => inner.demote(&exam),
                Mending::DropPaths { .. } => inner.drop_paths(&exam),
                _ => Ok(Outcome::Done),
            })?;
            if !done {
                return Ok(false);
            }
        }
        Ok(makes_outboard)
    }

    /// Halves of partial entries, and outboards that outlived their data.
    fn loose_ends(&mut self, hash: Hash, with_outboard: bool) -> Result<()> {
        let inner = &self.store.inner;
        for finding in inner.loose_ends(hash, with_outboard) {
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

    /// Tells of it, and does it unless the run is a dry one. Returns whether it is done, or would be.
    fn mend(
        &mut self,
        mending: Mending,
        act: impl FnOnce(&Inner<B>, &Mending) -> Result<Outcome>,
    ) -> Result<bool> {
        let outcome = if self.dry {
            Outcome::Planned
        } else {
            match act(&self.store.inner, &mending) {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Failed(error),
            }
        };
        let is_done = matches!(outcome, Outcome::Planned | Outcome::Done);
        self.done.mended += u64::from(is_done);
        self.done.failed += u64::from(matches!(outcome, Outcome::Failed(_)));
        (self.each)(Repairing::Mended(mending, outcome));
        if !self.dry {
            // After a failed sync nothing else can be mended either.
            self.store.inner.kernel.check_writable()?;
        }
        Ok(is_done)
    }

    fn leave(&mut self, finding: Finding) {
        self.done.left += 1;
        (self.each)(Repairing::Left(finding));
    }
}
