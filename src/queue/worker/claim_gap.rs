//! The gap between the claims of a pool that is nearly full while more jobs wait.
//!
//! A claim passes all jobs that run. A claim for each few jobs that end would take the server longer than those jobs do.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// How long little room stays free at most.
const GAP: Duration = Duration::from_millis(10);

/// Room is little below this part of the pool's.
const LITTLE: usize = 16;

/// Holds back claims for little room, for a moment after each claim that was full.
#[derive(Default)]
pub(crate) struct ClaimGap(Option<Pin<Box<Sleep>>>);

impl ClaimGap {
    /// Notes that a claim has ended. After one that was not full no jobs wait, and the next claim is held back by nothing.
    pub(crate) fn note_claim(&mut self, was_full: bool) {
        self.0 = was_full.then(|| Box::pin(tokio::time::sleep(GAP)));
    }

    /// Whether to wait before a claim for so much room of a pool. The end of the gap wakes the caller.
    pub(crate) fn holds_back(&mut self, room: usize, concurrency: usize, cx: &mut Context<'_>) -> bool {
        if room * LITTLE >= concurrency {
            return false;
        }
        match self.0.as_mut().map(|gap| gap.as_mut().poll(cx)) {
            Some(Poll::Pending) => true,
            Some(Poll::Ready(())) | None => {
                self.0 = None;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Whether claims of a pool with room for 100 are held back for this much.
    async fn holds_back(gap: &mut ClaimGap, room: usize) -> bool {
        poll_fn(|cx| Poll::Ready(gap.holds_back(room, 100, cx))).await
    }

    #[tokio::test]
    async fn little_room_waits_after_a_full_claim_and_much_does_not() {
        let mut gap = ClaimGap(Some(Box::pin(tokio::time::sleep(Duration::from_secs(3600)))));

        assert!(holds_back(&mut gap, 6).await);
        assert!(!holds_back(&mut gap, 7).await);

        gap.note_claim(false);
        assert!(!holds_back(&mut gap, 1).await, "no more jobs wait");
    }

    #[tokio::test]
    async fn the_end_of_the_gap_wakes_the_pool() {
        let mut gap = ClaimGap::default();
        gap.note_claim(true);

        let over = poll_fn(|cx| if gap.holds_back(1, 100, cx) { Poll::Pending } else { Poll::Ready(()) });

        tokio::time::timeout(Duration::from_secs(30), over).await.expect("it ends by itself");
    }

    #[tokio::test]
    async fn a_small_pool_claims_for_each_job_that_ends() {
        let mut gap = ClaimGap(Some(Box::pin(tokio::time::sleep(Duration::from_secs(3600)))));

        let held_back = poll_fn(|cx| Poll::Ready(gap.holds_back(1, 16, cx))).await;

        assert!(!held_back);
    }
}
