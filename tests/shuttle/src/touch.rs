//! What a thread has to do with what others see, from one point to the next.

use std::{ffi::OsString, sync::Arc};

/// Something that is read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touch {
    /// A name is looked up.
    Looks(Place),
    /// A name is given, or taken away.
    Changes(Place),
    /// A directory is listed.
    Lists(Arc<str>),
    /// A directory is synced.
    Syncs(Arc<str>),
    /// Bytes or length of a file, by its number, are read.
    Reads(u64),
    /// They are changed.
    Writes(u64),
    /// They are synced.
    Keeps(u64),
    /// A lock is taken or given back, and whatever is in it may change. Which one is not told.
    Locks,
    /// Whatever there is.
    All,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: Arc<str>,
    pub(crate) name: OsString,
}

impl Touch {
    /// Whether it matters which of the two is first.
    ///
    /// Two syncs come to the same, and so do a sync and a look: that one sees what is not durable, too.
    fn meets(&self, other: &Self) -> bool {
        use Touch::{All, Changes, Keeps, Lists, Locks, Looks, Reads, Syncs, Writes};
        match (self, other) {
            (All, _) | (_, All) | (Locks, Locks) => true,
            (Changes(a), Changes(b) | Looks(b)) | (Looks(b), Changes(a)) => a == b,
            (Changes(place), Lists(dir) | Syncs(dir))
            | (Lists(dir) | Syncs(dir), Changes(place)) => place.dir == *dir,
            (Writes(a), Writes(b) | Reads(b) | Keeps(b)) | (Reads(b) | Keeps(b), Writes(a)) => {
                a == b
            }
            _ => false,
        }
    }
}

/// All that one thread does from a point up to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Segment(Vec<Touch>);

impl Segment {
    pub(crate) fn add(&mut self, touch: Touch) {
        if !self.0.contains(&touch) {
            self.0.push(touch);
        }
    }

    /// Whether it matters which of the two is first.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let is_all = |one: &Self| one.0.contains(&Touch::All);
        let mut pairs = self
            .0
            .iter()
            .flat_map(|a| other.0.iter().map(move |b| (a, b)));
        is_all(self) || is_all(other) || pairs.any(|(a, b)| a.meets(b))
    }
}
