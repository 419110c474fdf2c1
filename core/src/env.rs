//! Time and randomness, as values that are handed in: with the same seed a store makes the same calls
//! and writes the same bytes.

use std::{io, sync::Arc};

/// A source of the time.
pub trait Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump and may go backwards: nothing but the names of
    /// automatic tags depends on it, and those are kept unique without it.
    fn now_millis(&self) -> i64;
}

/// A source of random bytes.
pub trait Entropy {
    /// Fills `bytes`. May repeat itself: names that are taken are tried anew a bounded number of times.
    ///
    /// # Errors
    /// When the system has none to give.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// What a store needs to know of the world besides its directory.
#[derive(Clone)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy + Send + Sync>,
}

impl Env {
    /// An environment of these two.
    pub fn new(
        clock: impl Clock + Send + Sync + 'static,
        entropy: impl Entropy + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock: Arc::new(clock),
            entropy: Arc::new(entropy),
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
