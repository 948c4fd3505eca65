//! `/admin/api/turns/retry`: what an agent did not answer in an outage is answered after all.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use channel::retries::turns::Wish;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::ids::TurnId;
use utoipa::ToSchema;

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::turn_retries::{self, ChosenTurns, NextTurns, RetriedTurns};

/// A request begins no further turn after this.
const AT_MOST: Duration = Duration::from_secs(5);

/// Which turns, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TurnRetryRequest {
    /// Turns that failed at this moment or later.
    since: DateTime<Utc>,
    /// Of those that failed at this very moment, only the ones of a higher number: of `next` of the request before.
    #[schema(value_type = Option<i64>, minimum = 0)]
    after: Option<TurnId>,
    /// Turns that failed before this moment; left out: before now.
    until: Option<DateTime<Utc>>,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
    /// Also while the agent takes no turns. Without it that is tried out first, except for users' own gateways.
    #[serde(default)]
    force: bool,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct TurnRetries {
    #[serde(flatten)]
    retried: RetriedTurns,
    /// The request that goes on, once this one has taken its time; null: all is done.
    next: Option<NextRequest>,
}

/// The whole of a request that goes on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NextRequest {
    #[serde(flatten)]
    turns: NextTurns,
    /// As in this request.
    dry_run: bool,
    /// As in this request.
    force: bool,
}

/// Answers after all what an agent did not answer in an outage: each question once, in each conversation in order. It goes on for some seconds; `next` says
/// where the following request goes on. 409: the agent takes no turns yet.
#[utoipa::path(post, path = "/turns/retry", operation_id = "retryTurns", tag = "turns", request_body = TurnRetryRequest, responses((status = 200, body = TurnRetries), (status = 409, description = "The agent takes no turns yet (`agent_takes_no_turns`).")))]
pub(super) async fn retry(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<TurnRetryRequest>,
) -> Result<Json<TurnRetries>, Problem> {
    let TurnRetryRequest { since, after, until, dry_run, force } = request;
    let Admin { pg, queue, settings, agent, .. } = &admin;
    if !dry_run && !force {
        agent.check().await.map_err(|error| {
            let detail =
                format!("the agent takes no turns yet; \"force\": true asks it all the same: {error}");
            Problem::conflict("agent_takes_no_turns", detail)
        })?;
    }
    let turns = ChosenTurns { since, after, until };
    let wish = Wish { actor: &administrator.name, is_dry: dry_run };
    let mut retried = Vec::new();
    let next = turn_retries::retry_all(queue, pg, settings, turns, wish, Some(AT_MOST), &mut retried).await?;
    let next = next.map(|turns| NextRequest { turns, dry_run, force });
    Ok(Json(TurnRetries { retried: RetriedTurns::of(retried, dry_run), next }))
}
