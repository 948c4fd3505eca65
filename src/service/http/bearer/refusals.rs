//! Wrong tokens wait for their answer, the longer the more there are, and are told of in a line now and then. Right ones never wait: whoever sends wrong
//! ones must not be able to keep others out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between the answers to two wrong tokens, while none waits too long.
const PACE: Duration = Duration::from_millis(250);

/// No answer comes later than this.
const LONGEST: Duration = Duration::from_secs(5);

/// Between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The wrong tokens of a part of the interface.
pub(super) struct Refusals {
    part: &'static str,
    state: Arc<Mutex<WrongTokens>>,
}

#[derive(Default)]
struct WrongTokens {
    /// The next wrong token is not answered before.
    free_at: Option<Instant>,
    /// How many came since the last line; `None`: none is due, and the next one is told at once.
    untold: Option<u64>,
}

impl WrongTokens {
    /// How long a wrong token that comes now waits for its answer.
    fn wait(&mut self, now: Instant) -> Duration {
        let free_at = self.free_at.map_or(now, |free_at| free_at.max(now)) + PACE;
        let free_at = free_at.min(now + LONGEST);
        self.free_at = Some(free_at);
        free_at - now
    }

    /// Counts a wrong token. True: it is the first after an interval without any.
    fn count(&mut self) -> bool {
        match &mut self.untold {
            Some(untold) => {
                *untold += 1;
                false
            }
            None => {
                self.untold = Some(0);
                true
            }
        }
    }

    /// What is to be told at the end of an interval; `None`: there was none, and so the next one is told at once.
    fn tell(&mut self) -> Option<u64> {
        let told = self.untold.filter(|untold| *untold > 0);
        self.untold = told.map(|_| 0);
        told
    }
}

impl Refusals {
    pub(super) fn new(part: &'static str) -> Self {
        Self { part, state: Arc::default() }
    }

    /// Returns when a wrong token may be answered.
    pub(super) async fn refuse(&self) {
        let (wait, is_first) = {
            let mut state = of(&self.state);
            (state.wait(Instant::now()), state.count())
        };
        if is_first {
            let part = self.part;
            tracing::warn!(part, "Refused a wrong bearer token at {part}; others are counted");
            tokio::spawn(tell(part, self.state.clone()));
        }
        tokio::time::sleep(wait).await;
    }
}

/// A line for each interval until one had none.
async fn tell(part: &'static str, state: Arc<Mutex<WrongTokens>>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let Some(number) = of(&state).tell() else { return };
        tracing::warn!(
            part,
            number,
            "Refused {number} more wrong bearer tokens at {part} within {TELL_EVERY:?}"
        );
    }
}

fn of(state: &Mutex<WrongTokens>) -> std::sync::MutexGuard<'_, WrongTokens> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_wrong_tokens_come_the_longer_they_wait_and_never_too_long() {
        let (mut state, now) = (WrongTokens::default(), Instant::now());

        let waits: Vec<Duration> = (0..100).map(|_| state.wait(now)).collect();

        assert_eq!((waits[0], waits[1], waits[3]), (PACE, PACE * 2, PACE * 4));
        assert!(waits.is_sorted());
        assert_eq!(waits[99], LONGEST);
        assert_eq!(state.wait(now + LONGEST), PACE, "after a while without any all is forgotten");
    }

    #[test]
    fn the_first_is_told_and_the_rest_of_an_interval_is_counted() {
        let mut state = WrongTokens::default();

        let first: Vec<bool> = (0..4).map(|_| state.count()).collect();

        assert_eq!(first, [true, false, false, false]);
        assert_eq!((state.tell(), state.tell()), (Some(3), None));
        assert!(state.count(), "after an interval without any the next one is told at once");
    }
}
