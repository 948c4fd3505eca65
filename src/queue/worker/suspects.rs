//! When a suspect may start: a job whose process died is not started together with others like it, so that the next death can
//! be held against the right one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The gate that all pools of a process share.
pub(crate) struct Suspects {
    stagger: Duration,
    gate: Mutex<Gate>,
}

#[derive(Default)]
struct Gate {
    /// A claim of a suspect is under way; its outcome is not known yet.
    claiming: bool,
    running: usize,
    /// One of those that run must be the only one.
    alone: bool,
    last_start: Option<Instant>,
}

impl Suspects {
    pub(crate) fn new(stagger: Duration) -> Arc<Self> {
        Arc::new(Self { stagger, gate: Mutex::default() })
    }

    /// Leave to claim one suspect, with the highest suspicion that may start now; `None`: not now.
    pub(crate) fn ask(self: &Arc<Self>) -> Option<Leave> {
        let mut gate = self.lock();
        let waited = gate.last_start.is_none_or(|start| start.elapsed() >= self.stagger);
        let worst = match gate.running {
            _ if gate.claiming || gate.alone => return None,
            0 => 2,
            _ if waited => 1,
            _ => return None,
        };
        gate.claiming = true;
        Some(Leave { suspects: self.clone(), worst })
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to claim. Dropped without a start, it is given back.
pub(crate) struct Leave {
    suspects: Arc<Suspects>,
    pub(crate) worst: i16,
}

impl Leave {
    /// A suspect was claimed: it runs until the guard is dropped.
    pub(crate) fn start(self, suspicion: i16) -> Running {
        let mut gate = self.suspects.lock();
        gate.running += 1;
        gate.alone = suspicion >= 2;
        gate.last_start = Some(Instant::now());
        drop(gate);
        Running(self.suspects.clone())
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.suspects.lock().claiming = false;
    }
}

/// A suspect that runs.
pub(crate) struct Running(Arc<Suspects>);

impl Drop for Running {
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

        let first = suspects.ask().unwrap().start(1);

        assert!(suspects.ask().is_none(), "the stagger has not passed");
        drop(first);
        assert_eq!(suspects.ask().unwrap().worst, 2);
    }

    #[test]
    fn after_the_stagger_a_second_mild_suspect_may_start_beside_the_first() {
        let suspects = Suspects::new(Duration::ZERO);

        let _first = suspects.ask().unwrap().start(1);

        assert_eq!(suspects.ask().unwrap().worst, 1);
    }

    #[test]
    fn a_grave_suspect_runs_with_no_other_beside_it() {
        let suspects = Suspects::new(Duration::ZERO);

        let alone = suspects.ask().unwrap().start(2);

        assert!(suspects.ask().is_none());
        drop(alone);
        assert!(suspects.ask().is_some());
    }

    #[test]
    fn a_claim_that_finds_nothing_gives_its_leave_back() {
        let suspects = Suspects::new(Duration::from_secs(3600));

        let leave = suspects.ask().unwrap();
        assert!(suspects.ask().is_none());
        drop(leave);

        assert!(suspects.ask().is_some());
    }
}
