//! Explores crashes: every story up to a length, then random ones, until the time is over.
#![forbid(unsafe_code)]

use std::{
    env,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flatbao_tests::explore::{Explorer, Failure, Layout, Production, Step, Story, Totals, replay};

const USAGE: &str = "\
usage: cargo xtask explore [--length N] [--seconds S] [--seed X] [--threads T]
       cargo xtask explore --replay 'STORY'

  --length N    tell every story of up to N steps in one directory, and of up to N - 1 over three file systems
                (default: 3)
  --seconds S   stop after so many seconds; what is left of them when all stories were told is for random ones
                (default: until all stories were told)
  --seed X      where random stories begin (default: 1)
  --threads T   how many look at once (default: as many as there are cores)
  --replay      tell one story again, as a failure printed it
";

/// So often a search says how far it has come.
const TELL_EVERY: Duration = Duration::from_secs(30);

struct Options {
    length: usize,
    time: Option<Duration>,
    seed: u64,
    threads: usize,
    replay: Option<Story>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        length: 3,
        time: None,
        seed: 1,
        threads: thread::available_parallelism().map_or(1, usize::from),
        replay: None,
    };
    let mut args = env::args().skip(1);
    while let Some(option) = args.next() {
        let value = args.next()?;
        match option.as_str() {
            "--length" => options.length = value.parse().ok()?,
            "--seconds" => options.time = Some(Duration::from_secs(value.parse().ok()?)),
            "--seed" => options.seed = value.parse().ok()?,
            "--threads" => options.threads = value.parse().ok().filter(|threads| *threads > 0)?,
            "--replay" => options.replay = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(story) = &options.replay {
        return match replay(&Production, story) {
            Ok(()) => {
                println!("nothing is wrong there");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                eprintln!("{violation}");
                ExitCode::FAILURE
            }
        };
    }
    let search = Search::new(&options);
    let failure = search.run();
    tell(&search.explorer.totals(), search.began.elapsed());
    if let Some(failure) = failure {
        eprintln!("{failure}");
        return ExitCode::FAILURE;
    }
    match search.is_exhausted.load(Ordering::Relaxed) {
        true => println!("every story of up to {} steps was told", options.length),
        false => println!(
            "the time was over before every story of up to {} steps was told",
            options.length
        ),
    }
    println!("0 violations");
    ExitCode::SUCCESS
}

fn tell(totals: &Totals, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = totals.states as f64 / seconds;
    println!(
        "{:.0} s: {} stories, {} moments, {} images, {} distinct states ({rate:.0} a second), {} checked with what they \
         promise, {} of them after a kill; {} moments in the order of the calls only",
        seconds,
        totals.stories,
        totals.moments,
        totals.images,
        totals.states,
        totals.checked,
        totals.killed,
        totals.bounded,
    );
}

/// A share of the stories: all that begin with these steps.
struct Task {
    layout: Layout,
    beginning: Vec<Step>,
    length: usize,
}

struct Search<'a> {
    options: &'a Options,
    explorer: Explorer<'static, Production>,
    tasks: Vec<Task>,
    next_task: AtomicUsize,
    next_seed: AtomicU64,
    is_exhausted: AtomicBool,
    failure: Mutex<Option<Box<Failure>>>,
    began: Instant,
}

impl<'a> Search<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            explorer: Explorer::production(),
            tasks: tasks(options.length),
            next_task: AtomicUsize::new(0),
            next_seed: AtomicU64::new(options.seed),
            is_exhausted: AtomicBool::new(true),
            failure: Mutex::default(),
            began: Instant::now(),
        }
    }

    fn run(&self) -> Option<Box<Failure>> {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.options.threads)
                .map(|_| scope.spawn(|| self.work()))
                .collect();
            // A long search says from time to time where it is.
            let mut told = Instant::now();
            while !workers.iter().all(|worker| worker.is_finished()) {
                thread::sleep(Duration::from_millis(50));
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    tell(&self.explorer.totals(), self.began.elapsed());
                }
            }
        });
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn work(&self) {
        let outcome = self.stories().and_then(|()| self.random());
        if let Err(failure) = outcome {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
    }

    fn is_over(&self) -> bool {
        let failed = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        failed
            || self
                .options
                .time
                .is_some_and(|time| self.began.elapsed() >= time)
    }

    fn stories(&self) -> Result<(), Box<Failure>> {
        while let Some(task) = self
            .tasks
            .get(self.next_task.fetch_add(1, Ordering::Relaxed))
        {
            let stop = || self.is_over();
            self.explorer
                .all(task.layout, &task.beginning, task.length, &stop)?;
            if self.is_over() {
                self.is_exhausted.store(false, Ordering::Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Until the time is over, where there is a time.
    fn random(&self) -> Result<(), Box<Failure>> {
        let stop = || self.is_over();
        while self.options.time.is_some() && !stop() {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            self.explorer.random(seed, &stop)?;
        }
        Ok(())
    }
}

/// All stories, in shares: the short ones first, so that a search that runs out of time has seen all of these.
fn tasks(length: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut add = |layout, beginning: &[Step], length| {
        tasks.push(Task {
            layout,
            beginning: beginning.to_vec(),
            length,
        });
    };
    for (layout, length) in Layout::ALL
        .into_iter()
        .zip([length, length.saturating_sub(1)])
    {
        add(layout, &[], 0);
        for one in Step::all() {
            add(layout, &[one], length.min(1));
            for two in Step::all().into_iter().filter(|_| length > 1) {
                add(layout, &[one, two], length);
            }
        }
    }
    tasks
}
