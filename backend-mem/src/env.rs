//! A clock and randomness that are the same in every run.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use flatbao_core::{Clock, Entropy, Env};

use crate::SimDisk;

/// 2024-01-01T00:00:00Z, in milliseconds since 1970.
const START_MILLIS: i64 = 1_704_067_200_000;

/// An environment in which the same calls get the same answers whenever the seed is the same.
#[must_use]
pub fn seeded_env(seed: u64) -> Env {
    SeededEnv::new(seed).env()
}

/// Tells a story on a fresh disk, with an environment of this seed; returns what came of it, and the disk. The same story
/// with the same seed makes the same calls and leaves the same bytes, so that a seed is all that has to be written down.
///
/// ```
/// use flatbao_core::{FlatDir, Store};
/// use flatbao_mem::replay;
///
/// let story = |seed| {
///     replay(seed, |disk, env| {
///         let (store, _) = Store::open(FlatDir::new(disk.file_system("store")), env)?;
///         store.import_bytes(b"bytes").map(|imported| imported.hash)
///     })
/// };
/// let (once, again) = (story(7), story(7));
/// assert_eq!(once.0?, again.0?);
/// assert_eq!(once.1.trace(), again.1.trace());
/// # Ok::<(), flatbao_core::Error>(())
/// ```
pub fn replay<T>(seed: u64, story: impl FnOnce(&SimDisk, Env) -> T) -> (T, SimDisk) {
    let disk = SimDisk::new();
    let outcome = story(&disk, seeded_env(seed));
    (outcome, disk)
}

/// The two halves of a deterministic [`Env`], with a hand on each.
#[derive(Debug, Clone)]
pub struct SeededEnv {
    /// The time.
    pub clock: SimClock,
    /// Randomness.
    pub entropy: SimEntropy,
}

impl SeededEnv {
    /// Everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            clock: SimClock::new(),
            entropy: SimEntropy::new(seed),
        }
    }

    /// The environment to hand to a store; what is done to the halves here is felt there.
    #[must_use]
    pub fn env(&self) -> Env {
        Env::new(self.clock.clone(), self.entropy.clone())
    }
}

/// A clock that advances by one millisecond with every look at it, from 2024-01-01T00:00:00Z on. Copies
/// are the same clock.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<AtomicI64>);

impl SimClock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START_MILLIS)))
    }

    /// Sets what the next look says, in milliseconds since 1970: later, or earlier.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    /// Moves the clock by so many milliseconds: forth, or back.
    pub fn shift(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Bytes that look random and follow from a seed: the output of BLAKE3 on it. Copies draw from one stream.
#[derive(Clone)]
pub struct SimEntropy(Arc<Mutex<Draws>>);

struct Draws {
    stream: blake3::OutputReader,
    last: Vec<u8>,
    /// How many more times the last draw is the next one, too.
    repeats: u64,
    failure: Option<io::ErrorKind>,
}

impl SimEntropy {
    /// A stream that follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let stream = blake3::Hasher::new()
            .update(b"flatbao-mem entropy")
            .update(&seed.to_le_bytes())
            .finalize_xof();
        Self(Arc::new(Mutex::new(Draws {
            stream,
            last: Vec::new(),
            repeats: 0,
            failure: None,
        })))
    }

    /// The generator gets stuck: the next so many draws give the bytes of the one before (of the first
    /// one, if there was none), over and over where they are too few.
    pub fn stick(&self, draws: u64) {
        self.lock().repeats = draws;
    }

    /// Every draw fails with this error from now on; `None` mends it.
    pub fn fail_with(&self, kind: Option<io::ErrorKind>) {
        self.lock().failure = kind;
    }

    fn lock(&self) -> MutexGuard<'_, Draws> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimEntropy")
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let draws = &mut *self.lock();
        if let Some(kind) = draws.failure {
            return Err(kind.into());
        }
        if draws.repeats > 0 && !draws.last.is_empty() {
            draws.repeats -= 1;
            let again = draws.last.iter().cycle();
            bytes
                .iter_mut()
                .zip(again)
                .for_each(|(to, from)| *to = *from);
            return Ok(());
        }
        draws.stream.fill(bytes);
        draws.last = bytes.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &SimEntropy) -> [u8; 16] {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_seed_says_everything() {
        let (one, same, other) = (SimEntropy::new(1), SimEntropy::new(1), SimEntropy::new(2));
        let first = draw(&one);
        assert_eq!(draw(&same), first);
        assert_ne!(draw(&other), first);
        assert_ne!(draw(&one), first);
    }

    #[test]
    fn a_stuck_generator_repeats_itself_and_recovers() {
        let env = SeededEnv::new(3);
        let first = draw(&env.entropy);
        env.entropy.stick(2);
        assert_eq!(draw(&env.entropy), first);
        let mut long = [0; 20];
        env.env().entropy.fill(&mut long).unwrap();
        assert_eq!((&long[..16], &long[16..]), (&first[..], &first[..4]));
        assert_ne!(draw(&env.entropy), first);
        env.entropy.fail_with(Some(io::ErrorKind::NotFound));
        assert!(env.entropy.fill(&mut long).is_err());
        env.entropy.fail_with(None);
        draw(&env.entropy);
    }

    #[test]
    fn the_clock_goes_as_it_is_told() {
        let env = SeededEnv::new(0);
        let clock = env.env().clock;
        assert_eq!(clock.now_millis(), START_MILLIS);
        assert_eq!(clock.now_millis(), START_MILLIS + 1);
        env.clock.set(-5);
        env.clock.shift(-2);
        assert_eq!(clock.now_millis(), -7);
    }
}
