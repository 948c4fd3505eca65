//! Whether a process's scheduler still looks after the schedules, for health checks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A look may wait so long for a connection, and so long again for its statements.
const STUCK_AFTER: Duration = Duration::from_secs(75);

/// How the last look ended; clones tell of the same scheduler.
#[derive(Clone, Default)]
pub(crate) struct SchedulerPulse(Arc<Mutex<Option<Look>>>);

#[derive(Clone, Copy)]
struct Look {
    ended_at: Instant,
    went_well: bool,
}

impl SchedulerPulse {
    pub(super) fn note(&self, went_well: bool) {
        *self.last() = Some(Look { ended_at: Instant::now(), went_well });
    }

    /// What is wrong with it, in words; `None`: the last look went well, a moment ago.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        match *self.last() {
            None => Some("has not looked after the schedules yet"),
            Some(look) if look.ended_at.elapsed() >= STUCK_AFTER => {
                Some("is stuck in a look after the schedules")
            }
            Some(Look { went_well: false, .. }) => {
                Some("could not look after the schedules; the log says why")
            }
            Some(_) => None,
        }
    }

    /// A poisoned lock is usable: the guarded value is valid after every statement.
    fn last(&self) -> MutexGuard<'_, Option<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_while_looks_go_well_and_end() {
        let pulse = SchedulerPulse::default();
        let of_the_process = pulse.clone();
        assert!(of_the_process.trouble().unwrap().contains("not looked"));

        pulse.note(true);
        assert_eq!(of_the_process.trouble(), None);
        pulse.note(false);
        assert!(of_the_process.trouble().unwrap().contains("could not look"));
        *pulse.last() =
            Instant::now().checked_sub(STUCK_AFTER).map(|ended_at| Look { ended_at, went_well: true });
        assert!(of_the_process.trouble().unwrap().contains("stuck"));
    }
}
