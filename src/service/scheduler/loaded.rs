//! What a process has loaded, and when each schedule falls due next by the stopwatch.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use channel::schedules::schedule_file::Schedule;
use chrono::{DateTime, Utc};
use store::ids::ScheduleName;

use super::READ_EVERY;

/// What this process has loaded.
#[derive(Default)]
pub(super) struct Loaded {
    /// Each with the moment at which it falls due next.
    pub(super) schedules: BTreeMap<ScheduleName, (Schedule, Option<DateTime<Utc>>)>,
    pub(super) watch: Option<Watch>,
}

/// The database's clock when it was last read.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    pub(super) shown: DateTime<Utc>,
    pub(super) at: Instant,
}

impl Watch {
    pub(super) fn now(self) -> DateTime<Utc> {
        self.shown + self.at.elapsed()
    }
}

impl Loaded {
    /// How long nothing falls due; zero if something is.
    pub(super) fn idle(&self) -> Duration {
        let soonest = self.schedules.values().filter_map(|(_, next)| *next).min();
        match (soonest, self.watch) {
            (Some(soonest), Some(watch)) => (soonest - watch.now()).to_std().unwrap_or(Duration::ZERO),
            _ => READ_EVERY,
        }
    }

    /// What is due by the stopwatch, or everything.
    pub(super) fn due(&self, all: bool) -> Vec<Schedule> {
        let now = self.watch.map(Watch::now);
        let is_due = |next: &Option<DateTime<Utc>>| all || *next <= now && next.is_some();
        let due = self.schedules.values().filter(|(_, next)| is_due(next));
        due.map(|(schedule, _)| schedule.clone()).collect()
    }

    /// The hash of each, by name.
    pub(super) fn hashes(&self) -> BTreeMap<ScheduleName, String> {
        let hashes = self.schedules.iter().map(|(name, (schedule, _))| (name.clone(), schedule.hash.clone()));
        hashes.collect()
    }
}

/// A poisoned lock is usable: the guarded value is valid after every statement.
pub(super) fn of(loaded: &Mutex<Loaded>) -> MutexGuard<'_, Loaded> {
    loaded.lock().unwrap_or_else(PoisonError::into_inner)
}
