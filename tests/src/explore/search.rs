//! The search: every story up to a length, and random ones beyond.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use flatbao_mem::{Moment, NameOrder, OpKind, SimDisk};

use super::{
    check::{Scene, Violation},
    promise::Promise,
    run::{Done, Run},
    seen::{Dice, Seen, short},
    step::Step,
    story::{Act, Crash, Failure, Left, Story, images},
    world::{self, Layout, Production, Subject},
};

/// So many crashes follow each other: one in a step, and one in the opening after it.
const MAX_CRASHES: usize = 2;

/// More images than these are not taken of one moment in any order of names: then those in the order of the calls come
/// besides, all of them.
const MAX_IMAGES: u64 = 4096;

/// Nor are more changes of names than these put together in any order: even to find the legal ones takes too long.
const MAX_CHANGES: usize = 16;

/// What a search has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Stories that were told, each with all that came before its last step.
    pub stories: u64,
    /// Moments at which a process ended, that differ in more than random names.
    pub moments: u64,
    /// States that a power loss left, counted each time.
    pub images: u64,
    /// States of the disk after a crash that differ in more than random names.
    pub states: u64,
    /// States that differ in what was promised as well: each was opened and checked.
    pub checked: u64,
    /// States that a killed process left, of these.
    pub killed: u64,
    /// Moments with too many images for all of them: those of names in the order of the calls were looked at, and as many
    /// others as `MAX_IMAGES` says.
    pub bounded: u64,
}

/// A search that goes on until it is told to stop. It can be shared between threads.
pub struct Explorer<'a, S: Subject> {
    subject: &'a S,
    states: Seen,
    moments: Seen,
    checked: Seen,
    checked_in_order: Seen,
    counts: [AtomicU64; 5],
}

/// Places in [`Explorer::counts`].
#[derive(Clone, Copy)]
enum Count {
    Stories,
    Moments,
    Images,
    Killed,
    Bounded,
}

impl Explorer<'static, Production> {
    /// A search in the store as it is.
    #[must_use]
    pub fn production() -> Self {
        Self::new(&Production)
    }
}

impl<'a, S: Subject> Explorer<'a, S> {
    /// A search in this subject.
    #[must_use]
    pub fn new(subject: &'a S) -> Self {
        Self {
            subject,
            states: Seen::default(),
            moments: Seen::default(),
            checked: Seen::default(),
            checked_in_order: Seen::default(),
            counts: Default::default(),
        }
    }

    /// What it came to so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let count = |of: Count| self.counts[of as usize].load(Ordering::Relaxed);
        Totals {
            stories: count(Count::Stories),
            moments: count(Count::Moments),
            images: count(Count::Images),
            states: self.states.len(),
            checked: self.checked.len(),
            killed: count(Count::Killed),
            bounded: count(Count::Bounded),
        }
    }

    fn count(&self, of: Count) {
        self.counts[of as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every story of this layout that begins in this way and is no longer than `length` steps, until `stop` says so.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn all(
        &self,
        layout: Layout,
        beginning: &[Step],
        length: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Box<Failure>> {
        if stop() || !self.last_step(layout, beginning)? || beginning.len() >= length {
            return Ok(());
        }
        for next in Step::all() {
            let story = [beginning, &[next]].concat();
            self.all(layout, &story, length, stop)?;
        }
        Ok(())
    }

    /// Tells a story and explores its last step. `false` when one of its steps has nothing to do.
    fn last_step(&self, layout: Layout, steps: &[Step]) -> Result<bool, Box<Failure>> {
        let acts: Vec<Act> = steps.iter().copied().map(Act::from).collect();
        let teller = self.teller(layout);
        let mut run = teller.begin()?;
        let Some((last, before)) = acts.split_last() else {
            return Ok(true);
        };
        self.count(Count::Stories);
        for (at, act) in before.iter().enumerate() {
            if teller.act(&mut run, *act, false, &acts[..=at])?.is_none() {
                return Ok(false);
            }
        }
        match teller.act(&mut run, *last, true, &acts)? {
            None => Ok(false),
            Some(done) => self.explore(&run, &done, layout, &acts).map(|()| true),
        }
    }

    /// A random story, all of it explored until `stop` says so: the same one for every seed.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn random(&self, seed: u64, stop: &dyn Fn() -> bool) -> Result<(), Box<Failure>> {
        let mut dice = Dice(seed);
        let steps = Step::all();
        let layout = Layout::ALL[dice.below(2)];
        let length = 4 + dice.below(9);
        let mut acts: Vec<Act> = Vec::new();
        let teller = self.teller(layout);
        let mut run = teller.begin()?;
        self.count(Count::Stories);
        // Some of the steps have nothing to do.
        for _ in 0..2 * length {
            if stop() {
                break;
            }
            let act = Act {
                step: steps[dice.below(steps.len())],
                cut: dice.cut(),
            };
            acts.push(act);
            match teller.act(&mut run, act, true, &acts)? {
                None => drop(acts.pop()),
                // Of a step that was cut short, what came of it later is explored with the next one.
                Some(_) if act.cut.is_some() => {}
                Some(done) => self.explore(&run, &done, layout, &acts)?,
            }
            if acts.len() == length {
                break;
            }
        }
        Ok(())
    }

    fn teller(&self, layout: Layout) -> Teller<'a, S> {
        Teller {
            subject: self.subject,
            layout,
        }
    }

    /// Every crash in a step that was done.
    fn explore(
        &self,
        run: &Run<'_, S>,
        done: &Done,
        layout: Layout,
        acts: &[Act],
    ) -> Result<(), Box<Failure>> {
        let mut trail = Story {
            layout,
            acts: acts.to_vec(),
            crashes: Vec::new(),
        };
        self.moments(&done.moments, done.flight, &mut trail)?;
        let end = Place {
            moment: done.moments.len(),
            // Nothing follows that could leave as much.
            next: None,
        };
        self.moment(&run.disk, run.promise, end, &mut trail)
    }

    fn moments(
        &self,
        moments: &[Moment],
        promise: Promise,
        trail: &mut Story,
    ) -> Result<(), Box<Failure>> {
        for (at, moment) in moments.iter().enumerate() {
            let place = Place {
                moment: at,
                next: Some(moment.next.kind),
            };
            self.moment(&moment.disk, promise, place, trail)?;
        }
        Ok(())
    }

    /// Every way in which a process may end at a moment.
    fn moment(
        &self,
        disk: &SimDisk,
        promise: Promise,
        place: Place,
        trail: &mut Story,
    ) -> Result<(), Box<Failure>> {
        let found = world::moment(trail.layout, disk);
        let seen = (found, promise, trail.layout, trail.crashes.len());
        if !self.moments.insert(short(&seen)) {
            return Ok(());
        }
        self.count(Count::Moments);
        let moment = place.moment;
        let mut end = |left, disk, is_in_order: bool| {
            let mut promise = promise;
            promise.is_jumbled |= !is_in_order;
            trail.crashes.push(Crash { moment, left });
            let outcome = self.state(disk, promise, trail);
            trail.crashes.pop();
            outcome
        };
        if world::is_waiting(disk) {
            end(Left::Cache, disk.fork(), true)?;
        }
        let mut any = images(disk, NameOrder::Any);
        if place.next.is_some_and(OpKind::is_change_of_names) && any.at_most() <= MAX_IMAGES / 2 {
            // The next moment leaves all that this one does, and is taken as a whole: it has at most twice as many.
            return Ok(());
        }
        let mut left_out = any.changes() > MAX_CHANGES;
        if !left_out {
            for number in 0.. {
                let Some(image) = any.next() else {
                    break;
                };
                left_out = number as u64 >= MAX_IMAGES;
                if left_out {
                    break;
                }
                let left = Left::Image(NameOrder::Any, number);
                end(left, image, any.is_in_order())?;
            }
        }
        if left_out {
            self.count(Count::Bounded);
            for (number, image) in images(disk, NameOrder::Journal).enumerate() {
                end(Left::Image(NameOrder::Journal, number), image, true)?;
            }
        }
        Ok(())
    }

    /// Looks at one state, unless it was seen before; and at every crash while it is opened.
    fn state(
        &self,
        disk: SimDisk,
        promise: Promise,
        trail: &mut Story,
    ) -> Result<(), Box<Failure>> {
        disk.keep_trace(false);
        let layout = trail.layout;
        let is_killed = trail
            .crashes
            .last()
            .is_some_and(|crash| crash.left == Left::Cache);
        let found = if is_killed {
            world::moment(layout, &disk)
        } else {
            let found = world::fingerprint(layout, &disk);
            self.count(Count::Images);
            self.states.insert(found);
            found
        };
        let key = |is_jumbled| {
            let promise = Promise {
                is_jumbled,
                ..promise
            };
            short(&(found, promise, layout, is_killed))
        };
        // What holds in order holds in any.
        let is_new = self.checked.insert(key(true));
        let is_new_in_order = !promise.is_jumbled && self.checked_in_order.insert(key(false));
        if !is_new && !is_new_in_order {
            return Ok(());
        }
        let scene = Scene {
            subject: self.subject,
            layout,
            disk,
            promise,
        };
        if is_killed {
            self.count(Count::Killed);
        }
        let moments = scene.check(is_killed).map_err(|violation| {
            let story = trail.clone();
            Box::new(Failure { violation, story })
        })?;
        if trail.crashes.len() >= MAX_CRASHES {
            return Ok(());
        }
        self.moments(&moments, promise, trail)
    }
}

/// Where a moment is in what goes on.
#[derive(Clone, Copy)]
struct Place {
    moment: usize,
    /// The operation that follows.
    next: Option<OpKind>,
}

impl<S: Subject> fmt::Debug for Explorer<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Explorer({:?})", self.totals())
    }
}

/// Tells stories, and blames them for what goes wrong.
struct Teller<'a, S> {
    subject: &'a S,
    layout: Layout,
}

impl<'a, S: Subject> Teller<'a, S> {
    fn blame(&self, acts: &[Act]) -> impl Fn(Violation) -> Box<Failure> {
        let story = Story {
            layout: self.layout,
            acts: acts.to_vec(),
            crashes: Vec::new(),
        };
        move |violation| {
            let story = story.clone();
            Box::new(Failure { violation, story })
        }
    }

    fn begin(&self) -> Result<Run<'a, S>, Box<Failure>> {
        Run::new(self.subject, self.layout).map_err(self.blame(&[]))
    }

    fn act(
        &self,
        run: &mut Run<'_, S>,
        act: Act,
        watched: bool,
        acts: &[Act],
    ) -> Result<Option<Done>, Box<Failure>> {
        run.tell(act, watched).map_err(self.blame(acts))
    }
}
