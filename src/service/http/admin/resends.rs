//! `/admin/api/deliveries/resend`: all that did not arrive and fits a filter is sent anew. A request goes on for some seconds, and says where the next one does.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use channel::administration::deliveries::DeliveryFilter;
use channel::administration::resends::{self, Resends};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::deliveries::Purpose;
use store::ids::{DeliveryId, UserId};
use utoipa::ToSchema;

use super::Admin;
use super::bulk::check_expected;
use super::deliveries::{WantedState, wanted_purpose, wanted_states};
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// A request begins no further delivery after this.
const AT_MOST: Duration = Duration::from_secs(5);

/// The deliveries that are sent anew: at least one of `user`, `number`, `state`, `reason`, `purpose`, `errorCode`, `since` and `until` is needed. What was
/// sent anew already is left out.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResendRequest {
    /// This user's: what counts against the allowance, and what was said in the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    user: Option<String>,
    /// To this number, in any spelling with its country's code; or to this opaque id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    number: Option<String>,
    /// `failed`, `expired` or `unknown`; without it, and by `undelivered`, all three.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, value_type = Option<WantedState>)]
    state: Option<String>,
    /// The reason begins like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    reason: Option<String>,
    /// Sent for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Purpose>)]
    purpose: Option<String>,
    /// A part of it has this error code of Twilio's, 63010 say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    error_code: Option<i32>,
    /// Planned at this moment or later; without it, within the last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// Planned before this moment; without it, before now.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
    /// Younger than this one: of `next` of the request before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    after: Option<DeliveryId>,
    /// How many deliveries at most; without it, as many as some seconds allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    limit: Option<i64>,
    /// How many deliveries were seen to fit, by `dryRun` say: if others fit now, nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    expected: Option<i64>,
    /// Do nothing; `rest` says how many deliveries fit.
    #[serde(default)]
    dry_run: bool,
}

/// What came of sending many deliveries anew.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkResends {
    #[serde(flatten)]
    resends: Resends,
    /// The deliveries were planned at this moment or later.
    since: DateTime<Utc>,
    /// How many are left that fit, once a request has taken its time.
    rest: usize,
    /// The whole of the request that takes them, behind a dry run with their number as `expected`; null: all is done.
    next: Option<ResendRequest>,
}

/// Sends every delivery anew that did not arrive, fits and was not sent anew yet, the oldest first, and says what became of each; at least one field of the
/// filter must be given, and without `since` it is of the last day. It goes on for some seconds; `rest` says how many deliveries are left, and `next` is the
/// request that goes on.
#[utoipa::path(post, path = "/deliveries/resend", operation_id = "resendDeliveries", tag = "deliveries", request_body = ResendRequest, responses((status = 200, body = BulkResends), (status = 409, description = "As many do not fit as were expected (`unexpected_number`); `fitting` is how many do. Nothing was done.")))]
pub(super) async fn resend_fitting(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<ResendRequest>,
) -> Result<Json<BulkResends>, Problem> {
    let begun = Instant::now();
    let Admin { pg, queue, settings, .. } = &admin;
    let found = resends::undelivered(&mut *pg.acquire().await?, request.filter()?, request.after).await?;
    let all = found.ids.len();
    check_expected(request.expected, i64::try_from(all).unwrap_or(i64::MAX))?;
    let limit = request.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let limit = if request.dry_run { 0 } else { limit };
    let mut outcomes = Vec::new();
    let mut after = request.after;
    let mut touched = 0;
    for id in found.ids.into_iter().take(limit) {
        if begun.elapsed() >= AT_MOST {
            break;
        }
        outcomes.extend(resends::resend(queue, pg, settings, id, &administrator.name).await?);
        touched += 1;
        after = Some(id);
    }
    let rest = all - touched;
    let next = (rest > 0).then(|| ResendRequest {
        since: Some(found.since),
        until: Some(found.until),
        after,
        expected: request.dry_run.then(|| i64::try_from(rest).unwrap_or(i64::MAX)),
        dry_run: false,
        ..request
    });
    Ok(Json(BulkResends { resends: outcomes.into(), since: found.since, rest, next }))
}

impl ResendRequest {
    fn filter(&self) -> Result<DeliveryFilter, Problem> {
        Ok(DeliveryFilter {
            user: self.user.clone().map(UserId::try_from).transpose()?,
            number: self.number.clone(),
            states: wanted_states(self.state.as_deref())?,
            reason: self.reason.clone(),
            purpose: wanted_purpose(self.purpose.as_deref())?,
            error_code: self.error_code,
            since: self.since,
            until: self.until,
            before: None,
        })
    }
}
