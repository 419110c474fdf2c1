//! What a piece of work took: time, processor time, memory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde::{Deserialize, Serialize};

/// What one repetition took, and what came out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds.
    pub(crate) wall: f64,
    /// Processor seconds in the program, with those of the programs that it ran.
    pub(crate) user: f64,
    /// Processor seconds in the kernel, likewise.
    pub(crate) sys: f64,
    /// Bytes of memory at the most, while the time ran. Missing where the system does not tell.
    pub(crate) peak: Option<u64>,
    /// Bytes of memory when the time began.
    pub(crate) base: Option<u64>,
    /// What has to be the same for everyone who does this work.
    pub(crate) check: String,
    /// What has to be the same for those who have it at all.
    pub(crate) detail: Option<String>,
}

impl Sample {
    /// Bytes of memory that came on top while the time ran.
    pub(crate) fn growth(&self) -> Option<u64> {
        Some(self.peak?.saturating_sub(self.base?))
    }
}

/// Takes the time of one section of a work.
#[derive(Debug)]
pub(crate) struct Meter {
    /// A directory on the file system that is worked on.
    place: PathBuf,
    taken: Option<Taken>,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    wall: Duration,
    used: Usage,
    peak: Option<u64>,
    base: Option<u64>,
}

impl Meter {
    pub(crate) fn new(place: &Path) -> Self {
        let place = place.to_owned();
        Self { place, taken: None }
    }

    /// Runs the part of a work that counts. What was written before is on the disk by then, so that nobody pays for
    /// it; and what was needed before is not in the peak of memory, unless it is still there.
    pub(crate) fn section<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        sync_file_system(&self.place)?;
        reset_peak();
        let base = status("VmRSS:");
        let before = Usage::now()?;
        let started = Instant::now();
        let outcome = work()?;
        let wall = started.elapsed();
        let after = Usage::now()?;
        let peak = match (status("VmHWM:"), after.peak_of_programs) {
            (Some(own), 0) => Some(own),
            // A program was run for the work: what it took is what counts.
            (_, program) => (program > 0).then_some(program),
        };
        self.taken = Some(Taken {
            wall,
            used: after.since(before),
            peak,
            base,
        });
        Ok(outcome)
    }

    /// Says what the section really took, where a clock outside of the work would have counted a pause as well.
    pub(crate) fn correct(&mut self, wall: Duration) {
        if let Some(taken) = &mut self.taken {
            taken.wall = wall;
        }
    }

    pub(crate) fn finish(self, check: Check) -> Result<Sample> {
        let taken = self.taken.context("nothing was measured")?;
        Ok(Sample {
            wall: taken.wall.as_secs_f64(),
            user: taken.used.user,
            sys: taken.used.sys,
            peak: taken.peak,
            base: taken.base,
            check: check.main,
            detail: check.detail,
        })
    }
}

/// What came out of a work, in words that are compared.
#[derive(Debug)]
pub(crate) struct Check {
    main: String,
    detail: Option<String>,
}

impl Check {
    pub(crate) fn new(main: impl ToString) -> Self {
        Self {
            main: main.to_string(),
            detail: None,
        }
    }

    /// Also compares this, among those who have it.
    pub(crate) fn with(mut self, detail: impl ToString) -> Self {
        self.detail = Some(detail.to_string());
        self
    }
}

/// Everything written to the file system that `place` is on reaches the disk.
pub(crate) fn sync_file_system(place: &Path) -> Result<()> {
    let dir = File::open(place).with_context(|| place.display().to_string())?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    nix::unistd::syncfs(&dir)?;
    // Elsewhere only all of them can be synced at once.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    nix::unistd::sync();
    drop(dir);
    Ok(())
}

/// Lets the peak of memory begin anew; where that cannot be told to the kernel it is that of the whole process.
fn reset_peak() {
    let _: io::Result<()> = fs::write("/proc/self/clear_refs", "5");
}

/// A line of the kernel's account of this process, in bytes.
fn status(line: &str) -> Option<u64> {
    let account = fs::read_to_string("/proc/self/status").ok()?;
    let value = account.lines().find_map(|text| text.strip_prefix(line))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[derive(Debug, Clone, Copy)]
struct Usage {
    user: f64,
    sys: f64,
    /// Bytes, of the largest program that was run and has ended.
    peak_of_programs: u64,
}

impl Usage {
    fn now() -> Result<Self> {
        let own = getrusage(UsageWho::RUSAGE_SELF)?;
        let programs = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        Ok(Self {
            user: seconds(own.user_time()) + seconds(programs.user_time()),
            sys: seconds(own.system_time()) + seconds(programs.system_time()),
            // In kilobytes everywhere but on Apple's systems.
            peak_of_programs: u64::try_from(programs.max_rss())?
                * if cfg!(target_vendor = "apple") {
                    1
                } else {
                    1024
                },
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            sys: self.sys - before.sys,
            ..self
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds of a process, not of an age"
)]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
