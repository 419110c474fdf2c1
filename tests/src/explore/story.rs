//! What leads to one state, as a value and as a line of text.

use std::{fmt, str::FromStr};

use flatbao_mem::{Images, NameOrder, SimDisk};

use super::{
    check::{Check, Scene, Violation, broken},
    promise::Promise,
    run::Run,
    step::{NoStep, Step},
    world::{self, Layout, Subject},
};

/// How a process ended, and what that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The process was killed: the cache stays.
    Cache,
    /// The power failed: the image of this number, names in this order.
    Image(NameOrder, usize),
}

impl Left {
    /// The disk that is left, and what it still has to hold. A number beyond the last image means one of them as well.
    pub(super) fn of(self, disk: &SimDisk, mut promise: Promise) -> (SimDisk, Promise) {
        let left = match self {
            Self::Cache => disk.fork(),
            Self::Image(order, number) => {
                let count = images(disk, order).count().max(1);
                let mut images = images(disk, order);
                let image = images.nth(number % count);
                promise.is_jumbled |= !images.is_in_order();
                // There is one at least: that in which nothing reached the disk.
                image.unwrap_or_else(|| disk.fork().crash())
            }
        };
        left.keep_trace(false);
        (left, promise)
    }
}

/// A moment of what is under way, and how it ended there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// The number of the moment; the one behind the last is the end.
    pub moment: usize,
    /// What is left.
    pub left: Left,
}

/// A step that happens, or happens up to some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// The step.
    pub step: Step,
    /// Where the process ended in the midst of it.
    pub cut: Option<Crash>,
}

impl From<Step> for Act {
    fn from(step: Step) -> Self {
        Self { step, cut: None }
    }
}

/// Everything that leads to one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Where the store is.
    pub layout: Layout,
    /// What happens.
    pub acts: Vec<Act>,
    /// The crash in the last act, and those in the openings that followed it.
    pub crashes: Vec<Crash>,
}

/// A promise that was broken, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{violation}\n  to see it again: cargo xtask explore --replay '{story}'")]
pub struct Failure {
    /// What was broken.
    #[source]
    pub violation: Violation,
    /// By what.
    pub story: Story,
}

/// What leaves the disk of a moment, but for the bytes of files that are never read.
pub(super) fn images(disk: &SimDisk, order: NameOrder) -> Images {
    disk.images(order).ignoring(world::is_scratch)
}

/// Tells one story again, and looks at the one state that it leads to.
///
/// # Errors
/// The promise that is broken there.
pub fn replay<S: Subject>(subject: &S, story: &Story) -> Result<(), Violation> {
    let mut run = Run::new(subject, story.layout)?;
    let mut done = None;
    for act in &story.acts {
        done = run.tell(*act, true)?;
    }
    let Some(done) = done.filter(|_| !story.crashes.is_empty()) else {
        return Ok(());
    };
    let mut disks: Vec<SimDisk> = done.moments.into_iter().map(|moment| moment.disk).collect();
    let mut promise = done.flight;
    let end = disks.len();
    disks.push(run.disk.fork());
    for (depth, crash) in story.crashes.iter().enumerate() {
        let none = || broken(Check::Works, format!("there is no moment {}", crash.moment));
        let disk = disks.get(crash.moment).ok_or_else(none)?;
        if depth == 0 && crash.moment == end {
            promise = run.promise;
        }
        let (disk, still) = crash.left.of(disk, promise);
        promise = still;
        let scene = Scene {
            subject,
            layout: story.layout,
            disk,
            promise,
        };
        let moments = scene.check(crash.left == Left::Cache)?;
        disks = moments.into_iter().map(|moment| moment.disk).collect();
    }
    Ok(())
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.moment)?;
        match self.left {
            Left::Cache => f.write_str("k"),
            Left::Image(NameOrder::Journal, number) => write!(f, "j{number}"),
            Left::Image(NameOrder::Any, number) => write!(f, "a{number}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)?;
        self.cut.map_or(Ok(()), |crash| crash.fmt(f))
    }
}

/// On one line: `one: import-l tag-x-l@3k untag-x @5j2 @0k`.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.layout)?;
        self.acts.iter().try_for_each(|act| write!(f, " {act}"))?;
        self.crashes
            .iter()
            .try_for_each(|crash| write!(f, " {crash}"))
    }
}

impl FromStr for Crash {
    type Err = NoStep;

    fn from_str(text: &str) -> Result<Self, NoStep> {
        let none = || NoStep(text.to_owned());
        let number = |text: &str| text.parse::<usize>().map_err(|_| none());
        let at = text.find(['k', 'j', 'a']).ok_or_else(none)?;
        let (moment, left) = (number(&text[..at])?, &text[at + 1..]);
        let left = match &text[at..=at] {
            "k" if left.is_empty() => Left::Cache,
            "j" => Left::Image(NameOrder::Journal, number(left)?),
            "a" => Left::Image(NameOrder::Any, number(left)?),
            _ => return Err(none()),
        };
        Ok(Self { moment, left })
    }
}

impl FromStr for Story {
    type Err = NoStep;

    fn from_str(text: &str) -> Result<Self, NoStep> {
        let none = || NoStep(text.to_owned());
        let (layout, rest) = text.split_once(':').ok_or_else(none)?;
        let mut all = Layout::ALL.into_iter();
        let layout = all
            .find(|known| known.to_string() == layout)
            .ok_or_else(none)?;
        let mut story = Self {
            layout,
            acts: Vec::new(),
            crashes: Vec::new(),
        };
        for word in rest.split_whitespace() {
            match word.split_once('@') {
                None => story.acts.push(word.parse::<Step>()?.into()),
                Some(("", crash)) => story.crashes.push(crash.parse()?),
                Some((step, crash)) => story.acts.push(Act {
                    step: step.parse()?,
                    cut: Some(crash.parse()?),
                }),
            }
        }
        Ok(story)
    }
}
