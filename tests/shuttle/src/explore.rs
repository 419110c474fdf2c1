//! Schedules one after the other: all there are, or all with so many preemptions.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
};

use shuttle::{
    Config, FailurePersistence, Runner,
    current::TaskId,
    scheduler::{Schedule, Scheduler, Task},
};

use crate::{
    reduce::{Reduced, Stop, Ways},
    touch::Touch,
};

/// Bytes of a thread's stack.
const STACK: usize = 512 * 1024;

/// The thread that sets up the others and waits for them.
const MAIN: usize = 0;

/// Where a thread that could go on may be kept from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Points {
    /// At each call of the disk that another thread could notice: see [`points`](crate::points).
    Calls,
    /// When a lock is taken or given back, too.
    Locks,
}

/// What was explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// How many schedules, no two the same; where these are all there are at calls, no two of one [`Class`].
    pub schedules: usize,
    /// How often at most a thread was kept from going on; `None` when these are all the schedules there are.
    pub preemptions: Option<usize>,
}

thread_local! {
    /// All threads of a run are on this one.
    static RUN: RefCell<Run> = RefCell::default();
}

#[derive(Default)]
struct Run {
    is_at_call: bool,
    /// What was touched since somebody was last asked who is next.
    touched: Vec<Touch>,
    trace: Vec<(usize, String)>,
    class: Class,
}

/// What schedules have in common that only differ in the order of what has nothing to do with each other: for each
/// thread, what each of its segments builds on.
pub type Class = Vec<Vec<Vec<usize>>>;

/// Which of those who act at once this is. Nobody is who ends with a panic, and makes calls as well.
fn actor() -> Option<usize> {
    let who = || usize::from(shuttle::current::me());
    let who = (!std::thread::panicking()).then(who);
    who.filter(|who| *who != MAIN)
}

/// Another thread may be let run here, before this is done.
pub(crate) fn call(what: impl FnOnce() -> String) {
    let Some(who) = actor() else { return };
    RUN.with_borrow_mut(|run| run.is_at_call = true);
    // A hint to yield would make schedulers prefer other threads.
    shuttle::thread::sleep(std::time::Duration::ZERO);
    RUN.with_borrow_mut(|run| run.trace.push((who, what())));
}

/// Something is read or changed that others may see.
pub(crate) fn note(touch: impl FnOnce() -> Touch) {
    if actor().is_some() {
        RUN.with_borrow_mut(|run| run.touched.push(touch()));
    }
}

/// The calls of this run until now, by thread.
pub fn trace() -> String {
    let line = |(who, what): &(usize, String)| format!("{who}: {what}");
    let lines = RUN.with_borrow(|run| run.trace.iter().map(line).collect::<Vec<_>>());
    lines.join("\n  ")
}

/// The calls of this run until now of one thread.
pub fn trace_of(who: usize) -> Vec<String> {
    let own = |(other, what): &(usize, String)| (*other == who).then(|| what.clone());
    RUN.with_borrow(|run| run.trace.iter().filter_map(own).collect())
}

/// The class of this run, once its threads are done, where what is explored is all there is at calls.
pub fn class() -> Class {
    RUN.with_borrow(|run| run.class.clone())
}

/// Runs `body` under every schedule, as long as there are at most about `most`: otherwise under every one with at most
/// so many preemptions, for the largest number with which there are not more. At calls every schedule is there when one
/// of each [`Class`] is.
///
/// # Panics
/// When `body` does, or waits for ever; what led there is printed.
pub fn explore(points: Points, most: usize, body: impl Fn() + Send + Sync + 'static) -> Explored {
    let body = Arc::new(body);
    let reduced = || reduced(Reduced::new(most, Ways::Races), &body);
    let all = (points == Points::Calls).then(reduced).flatten();
    match all {
        Some(schedules) => Explored {
            schedules,
            preemptions: None,
        },
        None => bounded(points, most, &body),
    }
}

/// Runs `body` under every schedule that there is at calls, also those of one [`Class`], and tells how many there are:
/// what tells whether one of each is enough. `None` when there are more than `most`.
///
/// # Panics
/// As [`explore`].
pub fn explore_each(most: usize, body: impl Fn() + Send + Sync + 'static) -> Option<usize> {
    reduced(Reduced::new(most, Ways::All), &Arc::new(body))
}

/// How many schedules there are; `None` when there are more than the search may try.
fn reduced(search: Reduced, body: &Arc<impl Fn() + Send + Sync + 'static>) -> Option<usize> {
    let search = Arc::new(Mutex::new(search));
    run(Explorer(Arc::clone(&search)), body);
    let search = search.lock().unwrap();
    search.is_done().then(|| search.schedules())
}

fn bounded(points: Points, most: usize, body: &Arc<impl Fn() + Send + Sync + 'static>) -> Explored {
    let mut before = 1;
    for bound in 0.. {
        let search = Arc::new(Mutex::new(Search::new(points, bound)));
        run(Explorer(Arc::clone(&search)), body);
        let search = search.lock().unwrap();
        let schedules = search.schedules;
        if !search.is_bounded {
            return Explored {
                schedules,
                preemptions: None,
            };
        }
        // The next number multiplies them at most as much as this one has.
        if schedules.saturating_mul(schedules) / before > most {
            return Explored {
                schedules,
                preemptions: Some(bound),
            };
        }
        before = schedules;
    }
    unreachable!()
}

/// Runs `body` as often as the scheduler wants to.
///
/// # Panics
/// As [`explore`].
pub fn run(scheduler: impl Scheduler + 'static, body: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.failure_persistence = FailurePersistence::None;
    let body = Arc::clone(body);
    let runner = Runner::new(scheduler, config);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            RUN.take();
            body();
        })
    }));
    if let Err(panic) = outcome {
        eprintln!("the calls until then, by thread:\n  {}", trace());
        resume_unwind(panic);
    }
}

struct Explorer<W>(Arc<Mutex<W>>);

/// A walk through schedules.
trait Walk: Send {
    /// Goes on to the next schedule, if there is one.
    fn advance(&mut self) -> bool;

    /// Who is next: the one that `ran` until now, who can go on or not, or another one. `None` when nobody can.
    fn next(&mut self, ran: Option<usize>, goes_on: bool, others: &[usize]) -> Option<usize>;
}

/// A walk through the tree of choices, depth first.
struct Search {
    points: Points,
    /// How many preemptions there may be.
    bound: usize,
    /// Whether there would have been more.
    is_bounded: bool,
    /// Which way was taken at each choice of this schedule, and how many there are.
    choices: Vec<(usize, usize)>,
    depth: usize,
    preemptions: usize,
    schedules: usize,
}

impl Search {
    fn new(points: Points, bound: usize) -> Self {
        Self {
            points,
            bound,
            is_bounded: false,
            choices: Vec::new(),
            depth: 0,
            preemptions: 0,
            schedules: 0,
        }
    }

    fn choose(&mut self, of: usize) -> usize {
        if self.depth == self.choices.len() {
            self.choices.push((0, of));
        }
        let (taken, known) = self.choices[self.depth];
        assert_eq!(known, of, "the same schedule must lead to the same place");
        self.depth += 1;
        taken
    }
}

impl Walk for Search {
    fn advance(&mut self) -> bool {
        if self.schedules > 0 {
            while self
                .choices
                .pop_if(|(taken, of)| *taken + 1 == *of)
                .is_some()
            {}
            match self.choices.last_mut() {
                Some((taken, _)) => *taken += 1,
                None => return false,
            }
        }
        self.schedules += 1;
        self.depth = 0;
        self.preemptions = 0;
        true
    }

    fn next(&mut self, ran: Option<usize>, goes_on: bool, others: &[usize]) -> Option<usize> {
        let (is_at_call, _) = take_touched();
        let current = ran.filter(|_| goes_on);
        let mut ways: Vec<usize> = current.into_iter().collect();
        if current.is_none() || self.points == Points::Locks || is_at_call {
            ways.extend(others);
        }
        if current.is_some() && ways.len() > 1 && self.preemptions == self.bound {
            self.is_bounded = true;
            ways.truncate(1);
        }
        let next = match ways.len() {
            0 => return None,
            1 => ways[0],
            of => ways[self.choose(of)],
        };
        if current.is_some_and(|current| current != next) {
            self.preemptions += 1;
        }
        Some(next)
    }
}

impl Walk for Reduced {
    fn advance(&mut self) -> bool {
        self.advance()
    }

    fn next(&mut self, ran: Option<usize>, goes_on: bool, others: &[usize]) -> Option<usize> {
        let (is_at_call, touched) = take_touched();
        let stop = match (goes_on, is_at_call) {
            (true, true) => Stop::Call,
            (true, false) => Stop::Lock,
            (false, _) => Stop::End,
        };
        let next = self.next(ran.map(|ran| (ran, stop)), touched, others);
        // Once all are done.
        if ran.is_some() && next.is_none() {
            let class = self.class();
            RUN.with_borrow_mut(|run| run.class = class);
        }
        next
    }
}

/// Whether a thread is at a call, and what it has touched until then.
fn take_touched() -> (bool, Vec<Touch>) {
    RUN.with_borrow_mut(|run| {
        let touched = std::mem::take(&mut run.touched);
        (std::mem::take(&mut run.is_at_call), touched)
    })
}

impl<W: Walk> Scheduler for Explorer<W> {
    fn new_execution(&mut self) -> Option<Schedule> {
        let goes_on = self.0.lock().unwrap().advance();
        goes_on.then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        let main = TaskId::from(MAIN);
        let goes_on = runnable.iter().any(|task| Some(task.id()) == current);
        // Until it waits for the others, and when they are done.
        if current == Some(main) && goes_on {
            return current;
        }
        let others = runnable.iter().map(|task| task.id());
        let others = others.filter(|id| *id != main && Some(*id) != current);
        let others: Vec<usize> = others.map(usize::from).collect();
        let ran = current.filter(|id| *id != main).map(usize::from);
        let next = self.0.lock().unwrap().next(ran, goes_on, &others);
        Some(next.map_or(main, TaskId::from))
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
