//! How long a failed job waits before its next attempt.

use std::time::Duration;

/// An exponential backoff with jitter; one per kind. The wait is stored as the row's `run_at`, so it survives every
/// crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The wait after the first failed attempt.
    pub base: Duration,
    /// The wait grows by this factor with each failed attempt.
    pub factor: f64,
    /// No wait is longer.
    pub cap: Duration,
    /// The share of the wait that is left to chance, 0 to 1: with 0.5 a wait of 8 s becomes 4 to 8 s.
    /// Jobs that failed together must not come back together.
    pub jitter: f64,
}

impl Backoff {
    /// 2 s, 4 s, 8 s … up to 15 min, half of each left to chance.
    pub const DEFAULT: Self = Self::exponential(Duration::from_secs(2), Duration::from_secs(900));

    /// Doubles from `base` up to `cap`, half of each wait left to chance.
    #[must_use]
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self { base, factor: 2.0, cap, jitter: 0.5 }
    }

    /// The wait after `failed` failed attempts (from 1). `chance` is uniform in 0 to 1.
    #[must_use]
    pub fn delay(&self, failed: u16, chance: f64) -> Duration {
        let exponent = i32::from(failed.max(1)) - 1;
        let full = (self.base.as_secs_f64() * self.factor.powi(exponent)).min(self.cap.as_secs_f64());
        Duration::from_secs_f64(full * (1.0 - self.jitter * chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(10));

        let waits: Vec<u64> = (1..=5).map(|failed| backoff.delay(failed, 0.0).as_secs()).collect();

        assert_eq!(waits, [2, 4, 8, 10, 10]);
    }

    #[test]
    fn jitter_takes_away_half_at_most_and_huge_attempts_do_not_overflow() {
        assert_eq!(Backoff::DEFAULT.delay(3, 1.0), Duration::from_secs(4));
        assert_eq!(Backoff::DEFAULT.delay(u16::MAX, 0.0), Duration::from_secs(900));
    }
}
