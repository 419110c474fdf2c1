//! What is measured, and who is measured at it.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    job::Job,
    meter::{Check, Meter},
    prep::Prep,
    scale::Scale,
};

mod export;
mod gc;
mod import;
mod many;
mod open;
mod outboard;
mod read;
mod stream;
mod tags;

/// Something to be done, by several.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: fn(Scale) -> String,
    /// Who does it, the floor first: all others are set against that.
    pub(crate) contestants: &'static [Contestant],
    /// Whether it leaves or takes away so many files that removing them would slow down what follows: they are
    /// removed when everything has been measured.
    pub(crate) is_littering: bool,
    /// How many blobs there are in what is opened, if memory is told for each of them.
    pub(crate) entries: Option<fn(Scale) -> u64>,
}

/// Someone who does it.
#[derive(Clone, Copy)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// How many threads it may hash with; those that have no choice have no number.
    pub(crate) threads: Option<u32>,
    /// What it finds, made once.
    pub(crate) needs: &'static [Prep],
    /// What it finds in its own directory, made for each repetition, since the work uses it up.
    pub(crate) each_time: Option<fn(&Path, Scale) -> Result<()>>,
    pub(crate) work: fn(&Job, &mut Meter) -> Result<Check>,
}

impl Contestant {
    const fn new(name: &'static str, work: fn(&Job, &mut Meter) -> Result<Check>) -> Self {
        Self {
            name,
            threads: None,
            needs: &[],
            each_time: None,
            work,
        }
    }

    const fn threads(mut self, threads: u32) -> Self {
        self.threads = Some(threads);
        self
    }

    const fn needs(mut self, needs: &'static [Prep]) -> Self {
        self.needs = needs;
        self
    }

    const fn each_time(mut self, make: fn(&Path, Scale) -> Result<()>) -> Self {
        self.each_time = Some(make);
        self
    }
}

/// All of them, in the order in which they are measured: what removes many files comes last.
pub(crate) const ALL: &[Workload] = &[
    outboard::IN_MEMORY,
    import::COPY,
    import::COPY_UNSYNCED,
    import::REFERENCE,
    read::SEQUENTIAL,
    read::RANDOM,
    read::CONCURRENT,
    export::DURABLE,
    export::UNSYNCED,
    stream::SEND,
    stream::RECEIVE,
    many::SMALL_BLOBS,
    many::MEDIUM_BLOBS,
    open::MANY,
    open::VERY_MANY,
    tags::ALONE,
    tags::AT_ONCE,
    gc::HALF,
];

/// The workload of this name.
pub(crate) fn named(name: &str) -> Result<&'static Workload> {
    ALL.iter()
        .find(|workload| workload.name == name)
        .with_context(|| format!("there is no workload {name}"))
}

impl Workload {
    /// Who has this name.
    pub(crate) fn contestant(&self, name: &str) -> Result<&'static Contestant> {
        self.contestants
            .iter()
            .find(|contestant| contestant.name == name)
            .with_context(|| format!("{} has no contestant {name}", self.name))
    }
}
