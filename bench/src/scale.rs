//! How much of everything there is.

use serde::{Deserialize, Serialize};

/// Sizes and counts of all workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// Bytes of the one large blob.
    pub(crate) blob: u64,
    /// How many blobs of [`SMALL`] bytes are imported in a batch.
    pub(crate) small: u64,
    /// How many of [`MEDIUM`] bytes.
    pub(crate) medium: u64,
    /// Blobs in a store that is opened, or half of which is collected; tags in one that is tagged.
    pub(crate) entries: u64,
    /// Blobs in a large store that is opened.
    pub(crate) many_entries: u64,
    /// Random reads.
    pub(crate) reads: u64,
}

/// Bytes of a small blob.
pub(crate) const SMALL: u64 = 4 << 10;
/// Bytes of one that is larger than a group, and has an outboard.
pub(crate) const MEDIUM: u64 = 64 << 10;
/// Bytes of the blobs that are only there to be listed or collected.
pub(crate) const TINY: u64 = 1 << 10;
/// Bytes of a random read: a group.
pub(crate) const PIECE: u64 = 16 << 10;
/// Bytes of a buffer that is read into.
pub(crate) const BUFFER: usize = 1 << 20;
/// Tag changes of one thread.
pub(crate) const CHANGES: u64 = 10;
/// Threads that change tags at once.
pub(crate) const TAGGERS: u64 = 16;

impl Scale {
    pub(crate) const FULL: Self = Self {
        blob: 1 << 30,
        small: 10_000,
        medium: 1_000,
        entries: 100_000,
        many_entries: 1_000_000,
        reads: 1_000,
    };

    /// To see that everything runs and that results are equal. It says nothing about speed.
    pub(crate) const QUICK: Self = Self {
        blob: 64 << 20,
        small: 1_000,
        medium: 100,
        entries: 1_000,
        many_entries: 10_000,
        reads: 100,
    };

    /// The scale of a run, quick or not.
    pub(crate) const fn of(is_quick: bool) -> Self {
        if is_quick { Self::QUICK } else { Self::FULL }
    }
}

/// A number of bytes in the largest unit that leaves it whole.
pub(crate) fn length(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    match whole {
        Some((bits, unit)) => format!("{} {unit}", bytes >> bits),
        None => format!("{bytes} bytes"),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", self::number(thousands), number % 1000),
    }
}
