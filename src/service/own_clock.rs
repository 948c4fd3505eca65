//! This machine's clock beside the database's, which alone decides. Nothing goes wrong where they differ, but certificates are judged and log lines are
//! dated by this one, so a person is told.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// How far this machine's clock is ahead of the database's; negative: behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lead(TimeDelta);

/// What the last look at both clocks has shown; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastLead(Arc<Mutex<Option<Lead>>>);

impl LastLead {
    pub(crate) fn note(&self, lead: Lead) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lead);
    }

    /// In seconds; `None`: nobody has looked yet.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|lead| lead.0.as_seconds_f64())
    }
}

/// No more than this is worth telling.
const TOLERATED: TimeDelta = TimeDelta::seconds(1);

/// Reads both clocks. The way to the database and back may lie on either side, so it is no difference.
#[expect(clippy::disallowed_methods, reason = "what is compared is this machine's own clock")]
pub(crate) async fn read(conn: &mut PgConnection) -> sqlx::Result<(DateTime<Utc>, Lead)> {
    let (asked_at, begun) = (DateTime::<Utc>::from(SystemTime::now()), Instant::now());
    let shown = store::clock::now(conn).await?;
    Ok((shown, lead(asked_at, TimeDelta::from_std(begun.elapsed()).unwrap_or_default(), shown)))
}

/// The database's clock was read at some time within `took` after `asked_at`.
fn lead(asked_at: DateTime<Utc>, took: TimeDelta, shown: DateTime<Utc>) -> Lead {
    let (least, most) = (asked_at - shown, asked_at + took - shown);
    Lead(if least > TimeDelta::zero() { least } else { most.min(TimeDelta::zero()) })
}

impl Lead {
    /// Whether a person should mend it.
    pub(crate) fn is_too_large(self) -> bool {
        self.0.abs() > TOLERATED
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.abs().as_seconds_f64();
        let side = if self.0 < TimeDelta::zero() { "behind" } else { "ahead of" };
        write!(
            f,
            "this machine's clock is {seconds:.1} s {side} the database's: let it be set by NTP on both"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_database_is_no_difference() {
        let at = |seconds: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let took = TimeDelta::seconds(3);

        for (shown, seconds) in [(100, 0), (102, 0), (103, 0), (105, -2), (98, 2)] {
            assert_eq!(lead(at(100), took, at(shown)), Lead(TimeDelta::seconds(seconds)), "{shown}");
        }
    }

    #[test]
    fn it_is_told_from_more_than_a_second_on() {
        let lead = |milliseconds| Lead(TimeDelta::milliseconds(milliseconds));

        assert!(!lead(1000).is_too_large() && !lead(-1000).is_too_large());
        assert!(lead(1001).is_too_large() && lead(-1001).is_too_large());
        assert!(lead(-3000).to_string().starts_with("this machine's clock is 3.0 s behind the database's"));
    }
}
