//! Verification: a walk over the store that changes nothing on the disk.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    ops::ControlFlow,
};

use crate::{
    Backend, BlobFormat, Error, Hash, HashAndFormat, Result,
    progress::{Progress, Watch, unwatched},
    store::{
        Status, Store,
        care::{Depth, Finding, Position, Severity},
        open::Listing,
    },
};

/// Hashes that are taken from the index at once.
const PAGE: usize = 1024;

/// How a store is verified.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How closely.
    pub depth: Depth,
    /// Only these blobs, and what they list where they are hash sequences; everything when it is empty.
    pub only: Vec<HashAndFormat>,
    /// Where an earlier run stopped. What is about the store as a whole is not looked at again then.
    pub from: Option<Position>,
}

impl VerifyOptions {
    /// These options with this depth.
    #[must_use]
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// These options for some blobs only.
    #[must_use]
    pub fn only(mut self, only: Vec<HashAndFormat>) -> Self {
        self.only = only;
        self
    }

    /// These options, to go on where an earlier run stopped.
    #[must_use]
    pub fn from(mut self, from: Option<Position>) -> Self {
        self.from = from;
        self
    }
}

/// What a verification tells as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// Something is not as it should be. Those about a blob come before the blob.
    Finding(Finding),
    /// A blob was looked at, to its end.
    Blob {
        /// The blob.
        hash: Hash,
        /// Its bytes, as far as they are proved; of a partial blob none.
        size: Option<u64>,
        /// Whether nothing worse than a note was found about it.
        ok: bool,
    },
}

/// What a verification came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Bytes of data that were read.
    pub bytes: u64,
    /// Findings that are notes.
    pub notes: u64,
    /// Findings that are problems.
    pub problems: u64,
    /// Findings that are damage.
    pub damage: u64,
    /// Where it stopped, if it was stopped.
    pub next: Option<Position>,
}

impl<B: Backend> Store<B> {
    /// Looks at everything, and tells what it finds. On the disk nothing is changed: in a store that can be
    /// written not even an outboard is made again. Damaged blobs count as damaged from then on: no collection
    /// of this opening removes them.
    ///
    /// `each` and `watch` may stop it; [`Verified::next`] says where the next run goes on. Work on a blob
    /// that has a good outboard is stopped between groups, on others only at its beginning, and what is about
    /// the store as a whole is told to its end. Every run gets further, so that runs in a row come to an end.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one of [`VerifyOptions::only`]; or when the store cannot be listed. What is
    /// wrong with single files is no error.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        each: &mut dyn FnMut(Checked) -> ControlFlow<()>,
        watch: &mut Watch<'_>,
    ) -> Result<Verified> {
        let mut run = Run {
            store: self,
            depth: options.depth,
            each,
            watch,
            done: Verified::default(),
            stop: false,
            soon: false,
        };
        if options.only.is_empty() {
            run.everything(options.from)?;
        } else {
            run.some(&options.only, options.from)?;
        }
        Ok(run.done)
    }
}

struct Run<'a, 'w, B: Backend> {
    store: &'a Store<B>,
    depth: Depth,
    each: &'a mut dyn FnMut(Checked) -> ControlFlow<()>,
    watch: &'a mut Watch<'w>,
    done: Verified,
    /// Whether `each` asked to stop.
    stop: bool,
    /// Whether `watch` did, before the first blob.
    soon: bool,
}

impl<B: Backend> Run<'_, '_, B> {
    fn everything(&mut self, from: Option<Position>) -> Result<()> {
        if from.is_none() {
            self.listing()?;
            self.tags();
        }
        let inner = &*self.store.inner;
        let mut after = None;
        if let Some(here) = from {
            let is_there = !inner.kernel.state().index.names(here.hash).is_empty();
            if is_there && self.blob(here)?.is_break() {
                return Ok(());
            }
            after = Some(here.hash);
        }
        loop {
            let page = inner.kernel.state().index.page(after, PAGE);
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (hash, _) in page {
                if self.blob(Position::start(hash))?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    fn some(&mut self, only: &[HashAndFormat], from: Option<Position>) -> Result<()> {
        for hash in expand(self.store, only)? {
            let here = match from {
                Some(from) if hash < from.hash => continue,
                Some(from) if hash == from.hash => from,
                _ => Position::start(hash),
            };
            if self.blob(here)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the directory has besides blobs.
    fn listing(&mut self) -> Result<()> {
        let listing = Listing::read(&self.store.inner.backend, &mut unwatched)?;
        for file in listing.leftovers {
            self.find(Finding::AbandonedStaging { file });
        }
        let more = listing.odd_count - listing.odd.len() as u64;
        for odd in listing.odd {
            let (name, kind) = (odd.name, odd.kind);
            self.find(if odd.is_typed {
                Finding::NotAFile { name, kind }
            } else {
                Finding::Foreign { name, kind }
            });
        }
        if more > 0 {
            self.find(Finding::MoreForeign { count: more });
        }
        Ok(())
    }

    /// The tag database as it is on the disk, and whether what it names is there. Told to its end, since the next
    /// run begins with blobs.
    fn tags(&mut self) {
        let step = Progress::Checked { blobs: 0, bytes: 0 };
        let store = self.store;
        store.inner.tag_findings(&mut |found| match found {
            Some(finding) => self.find(finding),
            None => self.soon |= (self.watch)(step).is_break(),
        });
    }

    /// Looks at one blob. Breaks when the run is to stop.
    fn blob(&mut self, here: Position) -> Result<ControlFlow<()>> {
        let Position {
            hash,
            group: from,
            damaged,
        } = here;
        let step = Progress::Checked {
            blobs: self.done.blobs,
            bytes: self.done.bytes,
        };
        // At least one blob a run, so that runs in a row come to an end.
        let may_stop = self.done.blobs > 0;
        if self.stop || (may_stop && (self.soon || (self.watch)(step).is_break())) {
            self.done.next = Some(here);
            return Ok(ControlFlow::Break(()));
        }
        let mut found = Vec::new();
        let mut size = None;
        let inner = &*self.store.inner;
        if inner.kernel.state().index.get(hash).is_complete() {
            let exam = self.examine(hash, from)?;
            if let Some(exam) = exam {
                found = exam.findings;
                size = exam.size;
                if let Some(group) = exam.stopped {
                    let damaged = damaged || !is_ok(&found);
                    for finding in found {
                        self.find(finding);
                    }
                    self.done.next = Some(Position {
                        hash,
                        group,
                        damaged,
                    });
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        found.extend(inner.loose_ends(hash, false));
        let ok = !damaged && is_ok(&found);
        for finding in found {
            self.find(finding);
        }
        self.done.blobs += 1;
        if !inner.kernel.state().index.names(hash).is_empty() {
            self.tell(Checked::Blob { hash, size, ok });
        }
        Ok(ControlFlow::Continue(()))
    }

    /// `None` when the blob has gone meanwhile, as it may beside a writer.
    fn examine(&mut self, hash: Hash, from: u64) -> Result<Option<Looked>> {
        let inner = &*self.store.inner;
        let mut first = true;
        loop {
            let (done, watch) = (&mut self.done, &mut *self.watch);
            let blobs = done.blobs;
            let mut bytes = done.bytes;
            // Two callbacks share one watcher, and are never called at the same time.
            let watch = RefCell::new(watch);
            let asked = Cell::new(false);
            let ask = |step| {
                let flow = (watch.borrow_mut())(step);
                asked.set(asked.get() || flow.is_break());
                flow
            };
            let mut pulse = |more| {
                bytes += more;
                ask(Progress::Checked { blobs, bytes })
            };
            // Hashing is stopped only where something else was done before: the next run begins it anew.
            let mut whole = |step| match ask(step) {
                flow if blobs > 0 => flow,
                _ => ControlFlow::Continue(()),
            };
            let exam = inner.examine(hash, self.depth, from, &mut pulse, &mut whole);
            let mut findings = exam.findings();
            if exam.stopped == Some(from) {
                // Nothing was found out yet.
                findings.clear();
            }
            if from == 0 && exam.stopped != Some(0) {
                findings.extend(inner.examine_more(&exam));
            } else {
                // What is about the blob as a whole was told with its beginning.
                findings.retain(|finding| !finding.groups().is_empty());
            }
            let is_gone = |f: &Finding| matches!(f, Finding::MissingData { .. });
            if inner.read_only && first && findings.iter().any(is_gone) {
                // A writer beside this opening may have removed the blob, or moved it.
                first = false;
                self.store.refresh()?;
                if !inner.kernel.state().index.get(hash).is_complete() {
                    return Ok(None);
                }
                continue;
            }
            // Where it may not stop in a blob, it does behind it.
            self.stop |= asked.get();
            done.bytes = bytes;
            if exam.homes.iter().any(|home| home.is_wrong()) {
                inner.quarantine(hash);
            }
            return Ok(Some(Looked {
                findings,
                size: exam.proved_size(),
                stopped: exam.stopped,
            }));
        }
    }

    fn find(&mut self, finding: Finding) {
        match finding.severity() {
            Severity::Note => self.done.notes += 1,
            Severity::Problem => self.done.problems += 1,
            Severity::Damage => self.done.damage += 1,
        }
        self.tell(Checked::Finding(finding));
    }

    fn tell(&mut self, checked: Checked) {
        self.stop |= (self.each)(checked).is_break();
    }
}

/// These blobs, and what they list where they are hash sequences that can be read.
pub(super) fn expand<B: Backend>(
    store: &Store<B>,
    only: &[HashAndFormat],
) -> Result<BTreeSet<Hash>> {
    let mut hashes = BTreeSet::new();
    for value in only {
        if store.status(value.hash) == Status::Missing {
            return Err(Error::NotFound(value.hash));
        }
        hashes.insert(value.hash);
        if value.format == BlobFormat::HashSeq {
            // One that cannot be read is looked at as a blob, which says why.
            let _ = store.inner.peek_children(value.hash, |child| {
                hashes.insert(child);
            });
        }
    }
    Ok(hashes)
}

fn is_ok(found: &[Finding]) -> bool {
    found.iter().all(|f| f.severity() == Severity::Note)
}

struct Looked {
    findings: Vec<Finding>,
    size: Option<u64>,
    stopped: Option<u64>,
}
