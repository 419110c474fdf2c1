//! Every moment of a run at which the process might die.

use crate::{Images, NameOrder, Op, SimDisk, machine::Machine};

/// A disk just before an operation.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The operation that was about to be done, as if it had gone well.
    pub next: Op,
    /// The disk before it.
    pub disk: SimDisk,
}

/// What a disk keeps of its own past.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) is_on: bool,
    pub(crate) kept: Vec<(Op, Machine)>,
}

impl Recorder {
    pub(crate) fn keep(&mut self, op: &Op, before: &Machine) {
        if self.is_on && (op.kind.is_change() || op.kind.is_sync()) {
            self.kept.push((op.clone(), before.clone()));
        }
    }
}

/// A run on a disk of which every moment is kept, each with what the run had been promised by then.
///
/// ```
/// use std::ffi::OsStr;
///
/// use flatbao_core::{Dir, DirFile};
/// use flatbao_mem::{Moments, NameOrder, SimDisk};
///
/// # fn main() -> std::io::Result<()> {
/// let disk = SimDisk::new();
/// let dir = disk.file_system("root");
/// let mut run = Moments::of(&disk, false);
///
/// let file = dir.create_new(OsStr::new("letter.temp"))?;
/// file.write_at(b"bytes", 0)?;
/// file.sync()?;
/// dir.rename(OsStr::new("letter.temp"), &dir, OsStr::new("letter"))?;
/// dir.sync()?;
/// run.say(true); // from here on, the letter is there
///
/// for past in run.end() {
///     for image in past.disk.images(NameOrder::Any) {
///         match image.file_system("root").content("letter") {
///             Some(bytes) => assert_eq!(bytes, b"bytes"),
///             None => assert!(!past.promise, "lost before: {}", past.next),
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Moments<P> {
    disk: SimDisk,
    promise: P,
    past: Vec<Past<P>>,
}

/// A [`Moment`] with what was promised by then.
#[derive(Debug, Clone)]
pub struct Past<P> {
    /// The disk before the operation.
    pub disk: SimDisk,
    /// What the run had been promised.
    pub promise: P,
    /// The operation that was next; `the end` after the last one.
    pub next: String,
}

impl<P> Past<P> {
    /// Every state in which a power loss at this moment may leave the disk.
    #[must_use]
    pub fn images(&self, order: NameOrder) -> Images {
        self.disk.images(order)
    }
}

impl<P: Clone> Moments<P> {
    /// Watches a disk from now on.
    #[must_use]
    pub fn of(disk: &SimDisk, promise: P) -> Self {
        disk.keep_moments(true);
        Self {
            disk: disk.clone(),
            promise,
            past: Vec::new(),
        }
    }

    /// What is promised from now on.
    pub fn say(&mut self, promise: P) {
        self.change(|before| *before = promise);
    }

    /// Changes what is promised from now on.
    pub fn change(&mut self, change: impl FnOnce(&mut P)) {
        self.gather();
        change(&mut self.promise);
    }

    /// All moments so far and the one that is now, after which no more are kept.
    #[must_use]
    pub fn end(mut self) -> Vec<Past<P>> {
        self.gather();
        self.disk.keep_moments(false);
        self.past.push(Past {
            disk: self.disk.fork(),
            promise: self.promise,
            next: "the end".to_owned(),
        });
        self.past
    }

    fn gather(&mut self) {
        let moments = self.disk.take_moments();
        let past = |moment: Moment| Past {
            disk: moment.disk,
            promise: self.promise.clone(),
            next: moment.next.to_string(),
        };
        self.past.extend(moments.into_iter().map(past));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use flatbao_core::{Dir, DirFile};

    use super::*;

    #[test]
    fn a_moment_is_before_each_call_that_changes_something() {
        let disk = SimDisk::new();
        let root = disk.file_system("a");
        root.plant_file("old", b"old").unwrap();
        let mut run = Moments::of(&disk, 0);
        let file = root.create_new(OsStr::new("x")).unwrap();
        file.write_at(b"abc", 0).unwrap();
        run.say(1);
        let mut seen = 0;
        root.list(&mut |_, _| seen += 1).unwrap();
        file.sync().unwrap();
        run.change(|promise| *promise += 1);
        let past = run.end();
        assert_eq!(seen, 2);
        let told: Vec<_> = past
            .iter()
            .map(|past| {
                (
                    past.next.as_str(),
                    past.promise,
                    past.disk.file_system("a").content("x"),
                )
            })
            .collect();
        let abc = Some(b"abc".to_vec());
        assert_eq!(
            told,
            [
                ("0 CreateNew a/x", 0, None),
                ("1 Write a/x 0+3 = 0", 0, Some(Vec::new())),
                ("3 SyncFile a/x", 1, abc.clone()),
                ("the end", 2, abc),
            ]
        );
        root.unlink(OsStr::new("x")).unwrap();
        assert!(disk.take_moments().is_empty());
    }
}
