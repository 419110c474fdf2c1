//! What was seen before, and chance that is the same every time.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use flatbao_mem::NameOrder;

use super::{
    story::{Crash, Left},
    world,
};

/// A value by its hash, which is the same in every run.
pub(super) fn short(value: &impl Hash) -> u128 {
    let mut hasher = Blake(blake3::Hasher::new());
    value.hash(&mut hasher);
    world::short(&hasher.0)
}

struct Blake(blake3::Hasher);

impl Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        first_half(world::short(&self.0))
    }
}

/// Fingerprints that were seen, for many threads.
pub(super) struct Seen([Mutex<HashSet<u128, BuildHasherDefault<AsIs>>>; 16]);

/// A fingerprint is its own hash.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = first_half(value);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn first_half(value: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = value.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Default for Seen {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Seen {
    /// Whether it is new.
    pub(super) fn insert(&self, value: u128) -> bool {
        let shard = &self.0[(value >> 124) as usize];
        shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(value)
    }

    pub(super) fn len(&self) -> u64 {
        let len = |shard: &Mutex<HashSet<_, _>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
        };
        self.0.iter().map(len).sum()
    }
}

/// Random numbers that follow from a seed: SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        // It is below `end`, which is one.
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    /// Every fourth step is cut short.
    pub(super) fn cut(&mut self) -> Option<Crash> {
        if self.below(4) > 0 {
            return None;
        }
        let left = match self.below(4) {
            0 | 1 => Left::Cache,
            2 => Left::Image(NameOrder::Journal, self.below(1000)),
            _ => Left::Image(NameOrder::Any, self.below(1000)),
        };
        let moment = self.below(40);
        Some(Crash { moment, left })
    }
}
