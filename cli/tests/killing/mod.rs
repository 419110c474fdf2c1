//! What a store was told and said, so that it can be held to that whenever a command dies.
// A test reports by panicking, and so do its helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

mod commands;
mod model;
mod pool;

pub(crate) use self::{
    commands::Command,
    model::{Model, Outcome, STORE, abandoned, ephemeral},
    pool::Pool,
};

/// Numbers out of a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// Of one step of many: what came of the steps before has no part in what is drawn.
    pub(crate) fn of_step(seed: u64, step: u64) -> Self {
        Self(seed ^ step.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Whether it is one of so many.
    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// At least 0 and less than 1.
    pub(crate) fn part(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / 4_294_967_296.0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(of.len().max(1));
        of.get(at)
    }
}
