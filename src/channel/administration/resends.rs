//! Sending anew all that did not arrive and fits, the oldest first, so that each person reads it in order.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use queue::Queue;
use queue::connections::Connections;
use serde::Serialize;
use sqlx::PgConnection;
use store::delivery_records;
use store::ids::DeliveryId;
use utoipa::ToSchema;

use super::deliveries::{self, DeliveryFilter, ListError, UNDELIVERED};
use crate::app::Settings;
use crate::retries::{self, Answered};
use crate::write_error::WriteError;

/// What is older than this is sent anew only where somebody says so: nobody waits for it any more.
pub const USUAL_AGE: TimeDelta = TimeDelta::days(1);

/// Deliveries that are looked up at a time.
const PAGE: i64 = 1_000;

/// Why nothing is sent anew.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// An empty filter by mistake must not mean everything.
    #[error(
        "say which deliveries: user, number, state, reason, purpose, error code, since 2026-11-30T02:00:00Z or until"
    )]
    Everything,
    /// What arrived, or may still arrive, is not sent again.
    #[error("state: only what did not arrive is sent anew: failed, expired, unknown or undelivered")]
    Arrived,
    /// The person is not to be found, or the database does not answer.
    #[error(transparent)]
    List(#[from] ListError),
}

/// What fits a filter and nobody has sent anew.
#[derive(Debug)]
pub struct Undelivered {
    /// Planned at this moment or later.
    pub since: DateTime<Utc>,
    /// Planned before this moment: what fails once more from here on is another resend's.
    pub until: DateTime<Utc>,
    /// The oldest first.
    pub ids: Vec<DeliveryId>,
}

/// What is sent anew by a filter that names a field at least; without `since` it is of the last day. `after`: younger than this one.
pub async fn undelivered(
    conn: &mut PgConnection,
    mut filter: DeliveryFilter,
    after: Option<DeliveryId>,
) -> Result<Undelivered, ResendError> {
    if !filter.is_narrowed() {
        return Err(ResendError::Everything);
    }
    if filter.states.is_empty() {
        filter.states = UNDELIVERED.to_vec();
    }
    if !filter.states.iter().all(|state| UNDELIVERED.contains(state)) {
        return Err(ResendError::Arrived);
    }
    let now = store::clock::now(&mut *conn).await.map_err(ListError::from)?;
    let since = filter.since.unwrap_or(now - USUAL_AGE);
    let until = filter.until.map_or(now, |until| until.min(now));
    (filter.since, filter.until, filter.before) = (Some(since), Some(until), None);
    let mut ids = Vec::new();
    loop {
        let page = deliveries::ids(conn, &filter, PAGE).await?;
        let younger: Vec<DeliveryId> =
            page.ids.into_iter().filter(|id| after.is_none_or(|after| *id > after)).collect();
        ids.extend(delivery_records::not_resent(conn, &younger).await.map_err(ListError::from)?);
        match page.next {
            Some(next) if after.is_none_or(|after| next > after) => filter.before = Some(next),
            _ => break,
        }
    }
    ids.sort_unstable();
    Ok(Undelivered { since, until, ids })
}

/// What came of sending one delivery anew.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Resent {
    #[schema(value_type = Uuid)]
    pub delivery: DeliveryId,
    /// Whether it is.
    pub outcome: ResendOutcome,
    /// What sends it, or why nothing does.
    pub detail: String,
}

/// Whether a delivery is sent anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResendOutcome {
    /// By a delivery of its own.
    Resent,
    /// It is not.
    Refused,
}

/// What came of sending many deliveries anew.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Resends {
    /// Each delivery, the oldest first.
    pub outcomes: Vec<Resent>,
    /// How many are sent anew.
    pub resent: usize,
    /// How many are not.
    pub refused: usize,
    /// Why, the most frequent reason first.
    pub reasons: Vec<RefusedDeliveries>,
}

/// How often something stood in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusedDeliveries {
    /// What.
    pub reason: String,
    /// Of how many deliveries.
    pub deliveries: usize,
}

impl From<Vec<Resent>> for Resends {
    fn from(outcomes: Vec<Resent>) -> Self {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for refused in outcomes.iter().filter(|outcome| outcome.outcome == ResendOutcome::Refused) {
            *reasons.entry(&refused.detail).or_default() += 1;
        }
        let refused = reasons.values().sum();
        let counted =
            |(reason, deliveries): (&str, usize)| RefusedDeliveries { reason: reason.to_owned(), deliveries };
        let mut reasons: Vec<RefusedDeliveries> = reasons.into_iter().map(counted).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.deliveries));
        Self { resent: outcomes.len() - refused, refused, reasons, outcomes }
    }
}

/// Sends one of them anew, under all checks. `None`: it is gone. What the database refuses about this one alone keeps nobody from those behind it.
pub async fn resend(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: DeliveryId,
    actor: &str,
) -> Result<Option<Resent>, WriteError> {
    let answered = match retries::deliveries::resend(queue, pg, settings, id, actor).await {
        Ok(None) => return Ok(None),
        Ok(Some(answered)) => answered,
        Err(error) => {
            let code = error.of_this_row_alone().ok_or(error)?;
            tracing::warn!(delivery.id = %id, code, "Delivery {id} is not sent anew, since the database refused its successor");
            Answered::Refused(format!("the database refused its successor (SQLSTATE {code})"))
        }
    };
    let (outcome, detail) = match answered {
        Answered::Retried(detail) => (ResendOutcome::Resent, detail),
        Answered::Refused(detail) => (ResendOutcome::Refused, detail),
    };
    Ok(Some(Resent { delivery: id, outcome, detail }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_the_most_frequent_first() {
        let resent = |outcome, detail: &str| Resent {
            delivery: serde_json::from_str("\"00000000-0000-7000-8000-000000000001\"").unwrap(),
            outcome,
            detail: detail.to_owned(),
        };
        let outcomes = vec![
            resent(ResendOutcome::Refused, "a limit"),
            resent(ResendOutcome::Refused, "the window"),
            resent(ResendOutcome::Resent, "delivery 1"),
            resent(ResendOutcome::Refused, "the window"),
        ];

        let resends = Resends::from(outcomes);

        assert_eq!((resends.resent, resends.refused), (1, 3));
        let counted = |reason: &str, deliveries| RefusedDeliveries { reason: reason.to_owned(), deliveries };
        assert_eq!(resends.reasons, [counted("the window", 2), counted("a limit", 1)]);
    }
}
