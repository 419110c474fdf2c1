//! A story as it happens, beside what it is promised.

mod act;

use flatbao_core::{
    Backend, BackendError, Error, FileName, Hash, Store, TempTag,
    store::{BlobInfo, GcPlan, State, Status},
};
use flatbao_mem::{Moment, SimDisk};

use self::act::Trouble;
use super::{
    check::{Check, Violation, broken},
    contents::{Blob, Blobs, Value},
    promise::{Promise, Tags},
    step::{Step, Way},
    story::{Act, Crash},
    world::{self, Layout, Subject},
};

/// A story under way.
pub(super) struct Run<'a, S: Subject> {
    subject: &'a S,
    layout: Layout,
    pub(super) disk: SimDisk,
    store: Option<Store<S::Backend>>,
    pub(super) promise: Promise,
    plan: Option<Planned>,
    held: Vec<(TempTag, Value)>,
    openings: u64,
    /// Whether every moment of the step under way is kept.
    watched: bool,
}

/// A plan, with what the story knows of it.
struct Planned {
    plan: GcPlan,
    items: Blobs,
    /// What was imported, received, tagged or held since.
    touched: Blobs,
}

/// What came of a step.
pub(super) struct Done {
    /// What was promised while it was under way.
    pub(super) flight: Promise,
    /// Every moment of it.
    pub(super) moments: Vec<Moment>,
}

impl<'a, S: Subject> Run<'a, S> {
    pub(super) fn new(subject: &'a S, layout: Layout) -> Result<Self, Violation> {
        let mut run = Self {
            subject,
            layout,
            disk: world::fresh(layout),
            store: None,
            promise: Promise::default(),
            plan: None,
            held: Vec::new(),
            openings: 0,
            watched: false,
        };
        run.open()?;
        Ok(run)
    }

    fn open(&mut self) -> Result<(), Violation> {
        self.openings += 1;
        match world::open(self.subject, self.layout, &self.disk, self.openings) {
            Ok((store, _)) => self.store = Some(store),
            Err(error) => return Err(broken(Check::Opens, format!("{error:?}"))),
        }
        Ok(())
    }

    fn store(&self) -> Result<&Store<S::Backend>, Violation> {
        let closed = || broken(Check::Opens, "the store is not open".to_owned());
        self.store.as_ref().ok_or_else(closed)
    }

    /// Does a step, or does it up to where it is cut; `None` when there is nothing for it to do here.
    pub(super) fn tell(&mut self, act: Act, watched: bool) -> Result<Option<Done>, Violation> {
        match act.cut {
            None => self.step(act.step, watched),
            Some(crash) => self.cut(act.step, crash),
        }
    }

    /// Does a step; `None` when there is nothing for it to do here. With `watched`, every moment of it is kept.
    fn step(&mut self, step: Step, watched: bool) -> Result<Option<Done>, Violation> {
        if !self.applies(step)? {
            return Ok(None);
        }
        let before = self.promise;
        self.begin(step);
        let flight = self.promise;
        self.watched = watched;
        self.disk.keep_moments(watched);
        let outcome = self.act(step);
        self.disk.keep_moments(false);
        let moments = self.disk.take_moments();
        match outcome {
            Ok(()) => {}
            Err(Trouble::Violation(violation)) => return Err(violation),
            Err(Trouble::Refused(error)) if self.may_refuse(step, &error) => self.promise = before,
            Err(Trouble::Refused(error)) => {
                return Err(broken(Check::Works, format!("{step}: {error:?}")));
            }
        }
        self.check_alive()?;
        Ok(Some(Done { flight, moments }))
    }

    /// The process ends in the midst of a step, at one of its moments, in some way.
    fn cut(&mut self, step: Step, crash: Crash) -> Result<Option<Done>, Violation> {
        let Some(done) = self.step(step, true)? else {
            return Ok(None);
        };
        let count = done.moments.len() + 1;
        let (disk, promise) = match done.moments.get(crash.moment % count) {
            Some(moment) => (&moment.disk, done.flight),
            None => (&self.disk, self.promise),
        };
        let (disk, promise) = crash.left.of(disk, promise);
        self.promise = promise;
        self.watched = false;
        self.restart(disk)?;
        Ok(Some(done))
    }

    /// The process ends, and the next one opens the store on this disk.
    fn restart(&mut self, disk: SimDisk) -> Result<(), Violation> {
        self.plan = None;
        self.held.clear();
        self.store = None;
        self.disk = disk;
        self.disk.keep_moments(self.watched);
        self.open()?;
        self.find()
    }

    /// What a new process finds after the end of one that did not end by itself.
    fn find(&mut self) -> Result<(), Violation> {
        let found = self.store()?.tags();
        let found = found.ok().and_then(|tags| Tags::of(&tags));
        match found {
            Some(tags) if self.promise.allows(tags) => self.promise.is_cut(tags),
            other => return Err(broken(Check::TagsAreOldOrNew, format!("{other:?}"))),
        }
        Ok(())
    }

    /// Whether there is something for the step to do.
    fn applies(&self, step: Step) -> Result<bool, Violation> {
        let store = self.store()?;
        let is_there = |name| world::stored(self.layout, &self.disk, &name).is_some();
        Ok(match step {
            Step::Sweep => self.plan.is_some(),
            Step::Plan => self.plan.is_none(),
            Step::LetGo => !self.held.is_empty(),
            Step::Hold(_) => self.held.is_empty(),
            Step::RemoveTag(name) => self.promise.tags.get(name).is_some(),
            Step::SetTag(name, value) => self.promise.tags.get(name) != Some(value),
            Step::Delete(blob) => store.status(blob.hash()) != Status::Missing,
            Step::Export(blob, _) => is_complete(store, blob),
            Step::Spoil(blob) => is_there(FileName::Data(blob.hash())),
            Step::Break(blob) => is_there(FileName::Outboard(blob.hash())),
            Step::Careless(blob) => store.status(blob.hash()) == Status::Missing,
            Step::Repair => !self.promise.spoiled.and(self.promise.broken).is_empty(),
            _ => true,
        })
    }

    /// What may be refused, and leaves everything as it was.
    fn may_refuse(&self, step: Step, error: &Error) -> bool {
        let is_damaged = !self.promise.spoiled.and(self.promise.careless).is_empty();
        match error {
            Error::InUse { .. } => matches!(step, Step::Delete(_) | Step::Export(_, Way::Forget)),
            Error::Root { .. } => matches!(
                step,
                Step::Plan | Step::Sweep | Step::Delete(_) | Step::Export(_, Way::Forget)
            ),
            Error::Backend(BackendError::Taken { .. }) => matches!(step, Step::Export(..)),
            Error::NotFound(_) => matches!(step, Step::SetTag(_, Value::Sequence)),
            _ => {
                is_damaged
                    && matches!(
                        error.kind(),
                        "corrupt" | "incomplete" | "unreadable" | "not_found"
                    )
            }
        }
    }

    /// What is promised while the step is under way.
    fn begin(&mut self, step: Step) {
        let promise = &mut self.promise;
        match step {
            Step::Import(blob) | Step::Refer(blob) | Step::Receive(blob, _) => {
                promise.is_coming(blob.into());
            }
            Step::Batch => promise.is_coming(Step::BATCH.into_iter().collect()),
            Step::SetTag(name, value) => {
                promise.or_tags = promise.or_tags.with(promise.tags.with(name, Some(value)));
            }
            Step::RemoveTag(name) => {
                promise.or_tags = promise.or_tags.with(promise.tags.with(name, None));
            }
            Step::Delete(blob) => promise.is_going(blob.into()),
            Step::Export(blob, Way::Forget) => {
                promise.leaving = promise.present.common(blob.into());
                promise.is_going(blob.into());
            }
            Step::Sweep => {
                let doomed = self.doomed();
                self.promise.is_going(doomed);
            }
            Step::Spoil(blob) => promise.is_spoiled(blob),
            Step::Careless(blob) => {
                promise.is_coming(blob.into());
                promise.careless = promise.careless.with(blob);
            }
            Step::Break(blob) => promise.is_broken(blob),
            _ => {}
        }
    }

    /// What the plan may remove by now.
    fn doomed(&self) -> Blobs {
        let held = self.held.iter().map(|(_, value)| value.reach());
        let held = held.fold(Blobs::NONE, Blobs::and);
        let items = |planned: &Planned| planned.items.without(planned.touched).without(held);
        self.plan.as_ref().map_or(Blobs::NONE, items)
    }

    fn touch(&mut self, blobs: Blobs) {
        if let Some(plan) = &mut self.plan {
            plan.touched = plan.touched.and(blobs);
        }
    }

    /// What the process itself sees is what was promised, and what is on the disk.
    fn check_alive(&self) -> Result<(), Violation> {
        let store = self.store()?;
        let tags = store.tags().ok().and_then(|tags| Tags::of(&tags));
        if tags != Some(self.promise.tags) {
            let told = format!("{tags:?} instead of {:?}", self.promise.tags);
            return Err(broken(Check::TagsAreOldOrNew, told));
        }
        if let Some(lost) = self
            .promise
            .present
            .iter()
            .find(|blob| !reads(store, *blob))
        {
            let told = format!("{lost:?} in the process that has it");
            return Err(broken(Check::AcknowledgedStays, told));
        }
        let (fresh, _) = world::open_read_only(self.subject, self.layout, &self.disk.fork())
            .map_err(|error| broken(Check::Opens, format!("{error:?}")))?;
        let listing = |store: &Store<S::Backend>| -> Vec<_> {
            let told = |blob: BlobInfo| (blob.hash, blob.state, blob.location);
            store.blobs().map(told).collect()
        };
        let (ours, theirs) = (listing(store), listing(&fresh));
        if ours != theirs {
            let told = format!("in memory {ours:?}, on the disk {theirs:?}");
            return Err(broken(Check::IndexIsListing, told));
        }
        Ok(())
    }
}

/// What a broken outboard consists of.
const GARBAGE: &[u8] = b"no outboard at all";

/// The data of a blob after a byte went wrong.
fn spoiled(blob: Blob) -> Vec<u8> {
    let mut bytes = blob.bytes().to_vec();
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1;
    }
    bytes
}

/// The hashes of what a medium makes of the data and of the outboard of a blob.
pub(super) fn damaged_digests(blob: Blob) -> [[u8; 32]; 2] {
    [spoiled(blob), GARBAGE.to_vec()].map(|bytes| *Hash::of(&bytes).as_bytes())
}

pub(super) fn is_complete<B: Backend>(store: &Store<B>, blob: Blob) -> bool {
    matches!(store.status(blob.hash()), Status::Present(info) if info.state == State::Complete)
}

/// Whether all of the blob reads, rightly.
pub(super) fn reads<B: Backend>(store: &Store<B>, blob: Blob) -> bool {
    let read = store.read(blob.hash(), u64::MAX);
    read.is_ok_and(|bytes| bytes == blob.bytes())
}
