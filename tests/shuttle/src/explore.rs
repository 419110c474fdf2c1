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
    /// How many schedules, no two the same.
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
    trace: Vec<String>,
}

/// Another thread may be let run here, before this is done.
pub(crate) fn call(what: impl FnOnce() -> String) {
    // A thread that ends with a panic makes calls as well.
    if std::thread::panicking() {
        return;
    }
    RUN.with_borrow_mut(|run| run.is_at_call = true);
    // A hint to yield would make schedulers prefer other threads.
    shuttle::thread::sleep(std::time::Duration::ZERO);
    let task = shuttle::current::me();
    if task != MAIN.into() {
        RUN.with_borrow_mut(|run| {
            run.trace.push(format!("{}: {}", usize::from(task), what()));
        });
    }
}

/// The calls of this run until now, by thread.
pub fn trace() -> String {
    RUN.with_borrow(|run| run.trace.join("\n  "))
}

/// Runs `body` under every schedule, as long as there are at most about `most`: otherwise under every one with at most
/// so many preemptions, for the largest number with which there are not more.
///
/// # Panics
/// When `body` does, or waits for ever; what led there is printed.
pub fn explore(points: Points, most: usize, body: impl Fn() + Send + Sync + 'static) -> Explored {
    let body = Arc::new(body);
    let mut before = 1;
    for bound in 0.. {
        let search = Arc::new(Mutex::new(Search::new(points, bound)));
        let scheduler = Explorer(Arc::clone(&search));
        run(scheduler, &body);
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

struct Explorer(Arc<Mutex<Search>>);

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

    /// Goes on to the next schedule, if there is one.
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

impl Scheduler for Explorer {
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
        let mut search = self.0.lock().unwrap();
        let is_at_call = RUN.with_borrow_mut(|run| std::mem::take(&mut run.is_at_call));
        let main = TaskId::from(MAIN);
        let current = current.filter(|id| runnable.iter().any(|task| task.id() == *id));
        let mut ways: Vec<TaskId> = current.into_iter().collect();
        let may_switch = search.points == Points::Locks || is_at_call;
        if current.is_none() || current != Some(main) && may_switch {
            let others = runnable.iter().map(|task| task.id());
            ways.extend(others.filter(|id| *id != main && Some(*id) != current));
        }
        if current.is_some() && ways.len() > 1 && search.preemptions == search.bound {
            search.is_bounded = true;
            ways.truncate(1);
        }
        let next = match ways.len() {
            0 => main,
            1 => ways[0],
            of => ways[search.choose(of)],
        };
        if current.is_some_and(|current| current != next) {
            search.preemptions += 1;
        }
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
