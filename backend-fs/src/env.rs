//! The system's clock and randomness.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use flatbao_core::{Clock, Entropy, Env};

/// The environment of a program that runs on the operating system: its clock and its random bytes.
#[must_use]
pub fn system_env() -> Env {
    Env::new(SystemClock, SystemEntropy)
}

/// The system's clock. A time before 1970 is negative; what no `i64` holds is its limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_millis(&self) -> i64 {
        millis(SystemTime::now())
    }
}

/// The system's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        Ok(getrandom::fill(bytes)?)
    }
}

fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(e) => i64::try_from(e.duration().as_millis()).map_or(i64::MIN, |before| -before),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// BI-089.
    #[test]
    fn odd_years_are_times_like_any_other() {
        assert_eq!(millis(UNIX_EPOCH), 0);
        assert_eq!(millis(UNIX_EPOCH - Duration::from_millis(1500)), -1500);
        let year_2554 = Duration::from_secs(18_446_744_073);
        assert_eq!(millis(UNIX_EPOCH + year_2554), 18_446_744_073_000);
    }

    #[test]
    fn the_system_has_a_time_and_random_bytes() {
        let env = system_env();
        // 2020-01-01: a clock of seconds, or of another epoch, would be far off.
        assert!(env.clock.now_millis() > 1_577_836_800_000);
        assert!(env.clock.now_millis() < 10 * 1_577_836_800_000);
        let (mut one, mut two) = ([0; 32], [0; 32]);
        env.entropy.fill(&mut one).unwrap();
        env.entropy.fill(&mut two).unwrap();
        assert_ne!(one, two);
        assert_ne!(one, [0; 32]);
    }
}
