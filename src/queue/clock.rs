//! A clock that wakes its caller at given moments. It is apalis-cron's stream of ticks, fed by a function instead of a
//! fixed expression, so that the moments may change while it runs.
//!
//! A tick is a full second of this process's clock, never later than its moment; the caller sleeps the rest.
//! apalis-cron's stream ends with an error when a tick is polled too late. The clock then starts a new stream. That
//! loses nothing as long as the caller keeps its progress in the database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apalis_cron::timezone::Utc;
use apalis_cron::{CronScheduler, Error, Schedule, Tick};
use futures::StreamExt as _;
use futures::stream::BoxStream;

/// The longest time between two ticks.
const LONGEST: Duration = Duration::from_secs(5);

/// Ticks less than a second before each moment that a function names. The function is called before the caller has done
/// the work of the tick, so it must name moments after now.
pub struct Clock<N> {
    next: N,
    longest: Duration,
    ticks: BoxStream<'static, Result<Tick<Utc>, Error>>,
}

impl<N: Fn() -> SystemTime + Clone + Send + 'static> Clock<N> {
    /// A clock that sleeps until the moment that `next` names.
    pub fn new(next: N) -> Self {
        Self::sleeping_at_most(LONGEST, next)
    }

    fn sleeping_at_most(longest: Duration, next: N) -> Self {
        Self { ticks: CronScheduler::new(Moments(next.clone())).into_stream().boxed(), longest, next }
    }

    /// Waits for the next tick, at most for `LONGEST`: this process's clock may have been set back while the stream
    /// slept.
    pub async fn tick(&mut self) {
        let ticking = async {
            while !matches!(self.ticks.next().await, Some(Ok(_))) {
                tracing::debug!("A tick was polled too late; the clock starts a new stream");
                self.ticks = CronScheduler::new(Moments(self.next.clone())).into_stream().boxed();
            }
        };
        if tokio::time::timeout(self.longest, ticking).await.is_err() {
            self.ticks = CronScheduler::new(Moments(self.next.clone())).into_stream().boxed();
        }
    }
}

impl<N> std::fmt::Debug for Clock<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

struct Moments<N>(N);

impl<N: Fn() -> SystemTime> Schedule<Utc> for Moments<N> {
    fn next_tick(&mut self, _: &Utc) -> Option<Tick<Utc>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "apalis-cron sleeps until a second of this same clock; what is due is not decided by it"
        )]
        let now = SystemTime::now();
        Some(Tick::new(second_before(self.0(), now)))
    }
}

/// The second in which the moment lies, or the next one if that has passed: a past second would end the stream.
fn second_before(moment: SystemTime, now: SystemTime) -> u64 {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    seconds(moment).max(seconds(now) + 1)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the clock under test ticks by this machine's")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_tick_is_a_second_that_has_not_passed_and_not_later_than_its_moment() {
        assert_eq!(second_before(at(9_000), at(5_300)), 9);
        assert_eq!(second_before(at(9_700), at(5_300)), 9);
        assert_eq!(second_before(at(5_400), at(5_300)), 6, "the caller slept until that one already");
        assert_eq!(second_before(at(0), at(5_300)), 6);
    }

    #[tokio::test]
    async fn a_moment_that_a_wrong_clock_puts_far_away_is_looked_up_again() {
        let (asked, far_away) = (Arc::new(AtomicU32::new(0)), Duration::from_secs(3600));
        let counts = asked.clone();
        // As long as the clock is wrong, an hour is left; when it has been mended, nothing is.
        let next = move || {
            let wrong = counts.fetch_add(1, Ordering::Relaxed) < 3;
            SystemTime::now() + if wrong { far_away } else { Duration::ZERO }
        };
        let mut clock = Clock::sleeping_at_most(Duration::from_millis(50), next);

        let ticks = async {
            while asked.load(Ordering::Relaxed) <= 3 {
                clock.tick().await;
            }
        };

        tokio::time::timeout(Duration::from_secs(30), ticks)
            .await
            .expect("no sleep lasts until a wrong moment");
    }

    #[tokio::test]
    async fn work_that_outlasts_its_tick_does_not_end_the_clock() {
        let mut clock = Clock::new(SystemTime::now);

        clock.tick().await;
        // Over the next second, which is the next tick's.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        clock.tick().await;
        clock.tick().await;
    }
}
