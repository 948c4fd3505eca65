//! When a suspect may start. A suspect is a job whose process died. Suspects are not started together, so that the next
//! death tells which of them kills its process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Admits suspects, one at a time, for all pools of a process.
pub(crate) struct Suspects {
    stagger: Duration,
    gate: Mutex<Gate>,
}

#[derive(Default)]
struct Gate {
    /// A claim of a suspect is under way.
    claiming: bool,
    running: usize,
    /// A grave suspect runs, and no other may start beside it.
    alone: bool,
    last_start: Option<Instant>,
}

impl Suspects {
    pub(crate) fn new(stagger: Duration) -> Arc<Self> {
        Arc::new(Self { stagger, gate: Mutex::default() })
    }

    /// Permission to claim one suspect; `None`: none may start now.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<SuspectPermit> {
        let mut gate = self.lock();
        let waited = gate.last_start.is_none_or(|start| start.elapsed() >= self.stagger);
        let max_suspicion = match gate.running {
            _ if gate.claiming || gate.alone => return None,
            0 => 2,
            _ if waited => 1,
            _ => return None,
        };
        gate.claiming = true;
        Some(SuspectPermit { suspects: self.clone(), max_suspicion })
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission to claim a suspect. Dropped without a start, it is given back.
pub(crate) struct SuspectPermit {
    suspects: Arc<Suspects>,
    /// The greatest suspicion that may start now.
    pub(crate) max_suspicion: i16,
}

impl SuspectPermit {
    /// Notes that a suspect was claimed. It runs until the guard is dropped.
    pub(crate) fn start(self, suspicion: i16) -> RunningSuspect {
        let mut gate = self.suspects.lock();
        gate.running += 1;
        gate.alone = suspicion >= 2;
        gate.last_start = Some(Instant::now());
        drop(gate);
        RunningSuspect(self.suspects.clone())
    }
}

impl Drop for SuspectPermit {
    fn drop(&mut self) {
        self.suspects.lock().claiming = false;
    }
}

/// A running suspect.
pub(crate) struct RunningSuspect(Arc<Suspects>);

impl Drop for RunningSuspect {
    fn drop(&mut self) {
        let mut gate = self.0.lock();
        gate.running -= 1;
        if gate.running == 0 {
            gate.alone = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_start_one_after_the_other() {
        let suspects = Suspects::new(Duration::from_secs(3600));

        let first = suspects.try_acquire().unwrap().start(1);

        assert!(suspects.try_acquire().is_none(), "the stagger has not passed");
        drop(first);
        assert_eq!(suspects.try_acquire().unwrap().max_suspicion, 2);
    }

    #[test]
    fn after_the_stagger_a_second_mild_suspect_may_start_beside_the_first() {
        let suspects = Suspects::new(Duration::ZERO);

        let _first = suspects.try_acquire().unwrap().start(1);

        assert_eq!(suspects.try_acquire().unwrap().max_suspicion, 1);
    }

    #[test]
    fn a_grave_suspect_runs_with_no_other_beside_it() {
        let suspects = Suspects::new(Duration::ZERO);

        let alone = suspects.try_acquire().unwrap().start(2);

        assert!(suspects.try_acquire().is_none());
        drop(alone);
        assert!(suspects.try_acquire().is_some());
    }

    #[test]
    fn a_claim_that_finds_nothing_gives_its_permit_back() {
        let suspects = Suspects::new(Duration::from_secs(3600));

        let permit = suspects.try_acquire().unwrap();
        assert!(suspects.try_acquire().is_none());
        drop(permit);

        assert!(suspects.try_acquire().is_some());
    }
}
