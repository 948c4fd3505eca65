//! Alerts, for operators.

use chrono::{DateTime, Utc};
use queue::Queue;
use queue::audit::{self, Change};
use queue::connections::Connections;
use serde::Serialize;
use sqlx::PgConnection;
use store::alerts::{self, Alert, AlertCause, AlertState};
use store::ids::AlertId;
use utoipa::ToSchema;

use crate::alerts::causes;
use crate::app::Settings;
use crate::write_error::WriteError;

/// Which alerts are meant. A field that is empty matches all.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlertFilter {
    /// Where they stand.
    pub state: Option<AlertState>,
    /// What happened.
    pub cause: Option<AlertCause>,
    /// Seen at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Of a lower number: the next page of a list.
    pub before: Option<AlertId>,
}

impl AlertFilter {
    fn fits(&self, alert: &Alert) -> bool {
        self.state.is_none_or(|state| alert.state() == state)
            && self.cause.is_none_or(|cause| alert.cause == cause)
            && self.since.is_none_or(|since| alert.last_seen_at >= since)
            && self.before.is_none_or(|before| alert.id < before)
    }
}

/// An alert with what helps.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// What an administrator acknowledges.
    #[schema(value_type = i64)]
    pub id: AlertId,
    /// What happened.
    pub cause: AlertCause,
    /// Where it stands.
    pub state: AlertState,
    /// What happened the latest time.
    pub detail: String,
    /// What the cause means.
    pub means: &'static str,
    /// What helps.
    pub remedy: String,
    /// How it ends.
    pub ends: &'static str,
    /// How often it was raised.
    pub times: i32,
    /// The first time.
    pub opened_at: DateTime<Utc>,
    /// The latest time.
    pub last_seen_at: DateTime<Utc>,
    /// When a person had looked.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When it was seen to be over.
    pub closed_at: Option<DateTime<Utc>>,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        let causes::Meaning { means, ends, .. } = causes::meaning(alert.cause);
        let remedy = causes::remedy(alert.cause, alert.opened_at);
        let state = alert.state();
        let Alert { id, cause, detail, times, opened_at, last_seen_at, acknowledged_at, closed_at, .. } =
            alert;
        Self {
            id,
            cause,
            state,
            detail,
            means,
            remedy,
            ends,
            times,
            opened_at,
            last_seen_at,
            acknowledged_at,
            closed_at,
        }
    }
}

/// A page of alerts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AlertList {
    /// The newest first.
    pub alerts: Vec<AlertView>,
    /// `before` of the next page; null: there is none.
    #[schema(value_type = Option<i64>)]
    pub next: Option<AlertId>,
}

/// The newest alerts that fit.
pub async fn list(conn: &mut PgConnection, filter: AlertFilter, limit: i64) -> sqlx::Result<AlertList> {
    let since = filter.since.unwrap_or(DateTime::UNIX_EPOCH);
    let read = match (filter.state, filter.cause) {
        // One for each cause at most.
        (Some(AlertState::Open | AlertState::Acknowledged), _) => alerts::open(conn).await?,
        (_, Some(cause)) => alerts::page_of_cause(conn, cause, filter.before, since, limit).await?,
        (_, None) => alerts::page(conn, filter.before, since, limit).await?,
    };
    let is_full = i64::try_from(read.len()).is_ok_and(|found| found >= limit);
    let next = read.last().filter(|_| is_full).map(|alert| alert.id);
    let fitting = read.into_iter().filter(|alert| filter.fits(alert));
    Ok(AlertList { alerts: fitting.map(AlertView::from).collect(), next })
}

/// An alert by its number.
pub async fn show(conn: &mut PgConnection, id: AlertId) -> sqlx::Result<Option<AlertView>> {
    Ok(alerts::get(conn, id).await?.map(AlertView::from))
}

/// Notes that somebody has looked. False: no such alert waits for that.
pub async fn acknowledge(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: AlertId,
    actor: &str,
) -> Result<bool, WriteError> {
    let mut tx = queue.begin(pg).await?;
    if !crate::alerts::acknowledge(&mut tx, settings, id).await? {
        return Ok(false);
    }
    if let Some(alert) = alerts::get(&mut tx, id).await? {
        let target = format!("alert {id}: {}", alert.cause);
        let state = alert.state().to_string();
        let change = Change { before: Some(AlertState::Open.as_str()), after: Some(&state) };
        audit::note_change(&mut tx, actor, "acknowledge", &target, "looked at", change).await?;
    }
    tx.commit().await?;
    Ok(true)
}
