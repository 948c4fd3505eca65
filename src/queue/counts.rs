//! What a process has counted since its start, for whoever watches it. Counting takes no lock; the numbers end with the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often something has happened.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Never.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Once more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the classes into which durations are sorted, in seconds: from a webhook to a long run of the agent. Longer ones are in a last
/// class of their own.
pub const BOUNDS_SECS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Durations, sorted by their length.
#[derive(Debug)]
pub struct Durations {
    classes: [Count; BOUNDS_SECS.len() + 1],
    sum_micros: AtomicU64,
}

/// What durations have come to.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationCounts {
    /// The upper bound of each class in seconds, the last one infinite, with how many are in it and in no shorter one.
    pub classes: Vec<(f64, u64)>,
    /// All of them together, in seconds.
    pub sum_secs: f64,
}

impl DurationCounts {
    /// How many there are.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.classes.iter().map(|(_, number)| number).sum()
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

impl Durations {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { classes: [const { Count::new() }; BOUNDS_SECS.len() + 1], sum_micros: AtomicU64::new(0) }
    }

    /// One more.
    pub fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.classes[BOUNDS_SECS.partition_point(|bound| *bound < seconds)].add();
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// So far.
    #[must_use]
    pub fn read(&self) -> DurationCounts {
        let bounds = BOUNDS_SECS.into_iter().chain([f64::INFINITY]);
        let sum_micros = self.sum_micros.load(Ordering::Relaxed);
        DurationCounts {
            classes: bounds.zip(&self.classes).map(|(bound, count)| (bound, count.read())).collect(),
            sum_secs: Duration::from_micros(sum_micros).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_shortest_class_that_has_room_for_it() {
        let durations = Durations::new();
        for milliseconds in [0, 5, 6, 600_000, 600_001] {
            durations.add(Duration::from_millis(milliseconds));
        }

        let read = durations.read();

        let filled: Vec<(f64, u64)> =
            read.classes.iter().copied().filter(|(_, number)| *number > 0).collect();
        assert_eq!(filled, [(0.005, 2), (0.01, 1), (600.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(read.number(), 5);
        assert!((read.sum_secs - 1200.012).abs() < 1e-6, "{}", read.sum_secs);
    }
}
