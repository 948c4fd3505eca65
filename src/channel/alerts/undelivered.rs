//! Whether too many messages come to nothing: one rule for the alert and for `status`, by `alerts.undelivered_*`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::settings::AlertSettings;

/// Messages that failed of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// So many.
    pub(crate) failed: i64,
    /// Of so many; `None`: these are too few to be counted.
    pub(crate) of: Option<i64>,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// The commonest codes of Twilio's, and how many had each.
    pub(crate) errors: Vec<(Option<i32>, i64)>,
    /// So many that somebody must know.
    pub(crate) are_too_many: bool,
}

/// What failed within `alerts.undelivered_within`; `None`: nothing.
pub(crate) async fn lately(
    conn: &mut PgConnection,
    settings: &AlertSettings,
) -> sqlx::Result<Option<Undelivered>> {
    let within = settings.undelivered_within;
    let failed = store::undelivered::failed(conn, within.as_secs_f64()).await?;
    if failed == 0 {
        return Ok(None);
    }
    let least = i64::from(settings.undelivered_least.max(1));
    let (failed, of, since, are_too_many) = if failed < least {
        let span = TimeDelta::from_std(within).unwrap_or(TimeDelta::days(1));
        (failed, None, store::clock::now(conn).await? - span, false)
    } else {
        let recent = store::undelivered::recent(conn, within.as_secs_f64()).await?;
        let is_share = recent.percent() >= i64::from(settings.undelivered_percent);
        let of = recent.failed + recent.well;
        (recent.failed, Some(of), recent.since, recent.failed >= least && is_share)
    };
    let errors = store::undelivered::commonest_errors(conn, since).await?;
    Ok((failed > 0).then_some(Undelivered { failed, of, since, errors, are_too_many }))
}
