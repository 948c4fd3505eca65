//! What people asked while their agent answered nobody, answered after all by an administrator's wish, at a terminal or over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use channel::app::Settings;
use channel::retries::Answered;
use channel::retries::turns::{self, Wish};
use channel::write_error::WriteError;
use chrono::{DateTime, SecondsFormat, Utc};
use queue::Queue;
use queue::connections::Connections;
use serde::Serialize;
use store::ids::{TurnId, UserId};
use store::retries::FailedTurn;
use utoipa::ToSchema;

use crate::commands::output::table;

/// So many turns are read at a time.
const PAGE: i64 = 500;

/// Turns that failed in an outage of their agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChosenTurns {
    /// At this moment or later …
    pub(crate) since: DateTime<Utc>,
    /// … of those that failed at this very moment, the ones of a higher number …
    pub(crate) after: Option<TurnId>,
    /// … and before this moment; `None`: before now.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// The request that goes on where one has taken its time.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct NextTurns {
    /// `since` of it.
    since: DateTime<Utc>,
    /// `after` of it.
    #[schema(value_type = i64)]
    after: TurnId,
    /// `until` of it: what fails once more meanwhile is not tried again.
    until: DateTime<Utc>,
}

/// What came of answering after all what an agent did not answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetriedTurns {
    /// Nothing was done.
    dry_run: bool,
    /// Each turn, in the order in which they failed.
    turns: Vec<RetriedTurn>,
    /// How many will be answered, or would be without `dryRun`.
    retried: usize,
    /// How many will not.
    skipped: usize,
    /// Why, the most frequent reason first.
    reasons: Vec<SkippedTurns>,
}

/// A turn that failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetriedTurn {
    /// Its number.
    #[schema(value_type = i64)]
    turn: TurnId,
    /// Whose it is; null: the user was erased.
    #[schema(value_type = Option<String>)]
    user: Option<UserId>,
    /// When its agent had failed.
    failed_at: DateTime<Utc>,
    /// Whether it will be answered, or would be without `dryRun`.
    outcome: TurnOutcome,
    /// What answers it now, or why nothing does; null: it was only looked at.
    detail: Option<String>,
}

/// Whether a turn will be answered after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TurnOutcome {
    /// By a turn of its own.
    Retried,
    /// It will not.
    Skipped,
}

impl TurnOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Skipped => "skipped",
        }
    }
}

/// How often something stood in the way.
#[derive(Debug, Serialize, ToSchema)]
struct SkippedTurns {
    /// What.
    reason: String,
    /// Of how many turns.
    turns: usize,
}

/// Tries these turns again, in the order in which they failed, and adds to `retried` what came of each, also of those before an error. Returns where to go
/// on, if it began no further turn since it had taken so long.
pub(crate) async fn retry_all(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    chosen: ChosenTurns,
    wish: Wish<'_>,
    at_most: Option<Duration>,
    retried: &mut Vec<RetriedTurn>,
) -> Result<Option<NextTurns>, WriteError> {
    let begun = Instant::now();
    // What fails once more from here on is another retry's.
    let now = store::clock::now(&mut *pg.acquire().await?).await?;
    let until = chosen.until.map_or(now, |until| until.min(now));
    let mut after = (chosen.since, chosen.after.unwrap_or(TurnId(0)));
    loop {
        let mut conn = pg.acquire().await?;
        let page = store::retries::failed_in_outages(&mut conn, after, until, PAGE).await?;
        drop(conn);
        if page.is_empty() {
            return Ok(None);
        }
        for turn in page {
            if at_most.is_some_and(|at_most| begun.elapsed() >= at_most) {
                let (since, after) = after;
                return Ok(Some(NextTurns { since, after, until }));
            }
            after = (turn.finished_at, turn.id);
            let answered = turns::answer_again(queue, pg, settings, &turn, wish).await?;
            retried.push(RetriedTurn::of(turn, answered, wish.is_dry));
        }
    }
}

impl RetriedTurn {
    fn of(turn: FailedTurn, answered: Answered, is_dry: bool) -> Self {
        let (outcome, detail) = match answered {
            // What was enqueued is gone again.
            Answered::Retried(_) if is_dry => (TurnOutcome::Retried, None),
            Answered::Retried(detail) => (TurnOutcome::Retried, Some(detail)),
            Answered::Refused(detail) => (TurnOutcome::Skipped, Some(detail)),
        };
        Self { turn: turn.id, user: turn.user_id, failed_at: turn.finished_at, outcome, detail }
    }
}

impl RetriedTurns {
    pub(crate) fn of(turns: Vec<RetriedTurn>, dry_run: bool) -> Self {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for detail in
            turns.iter().filter(|turn| turn.outcome == TurnOutcome::Skipped).flat_map(|turn| &turn.detail)
        {
            // Which turn has answered it is told with each.
            *reasons.entry(detail.split(", ").next().unwrap_or_default()).or_default() += 1;
        }
        let skipped: usize = reasons.values().sum();
        let skipped_for = |(reason, turns): (&str, usize)| SkippedTurns { reason: reason.to_owned(), turns };
        let mut reasons: Vec<SkippedTurns> = reasons.into_iter().map(skipped_for).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.turns));
        Self { dry_run, retried: turns.len() - skipped, skipped, reasons, turns }
    }
}

impl RetriedTurns {
    /// Ahead of what becomes of a turn.
    fn would(&self) -> &'static str {
        if self.dry_run { "would be " } else { "" }
    }

    /// How many will be answered and how many not, and why.
    pub(crate) fn in_short(&self) -> String {
        let would = self.would();
        let counts = format!("{} {would}retried, {} {would}skipped", self.retried, self.skipped);
        let reasons: Vec<String> =
            self.reasons.iter().map(|why| format!("{} of them: {}", why.turns, why.reason)).collect();
        if reasons.is_empty() { counts } else { format!("{counts} ({})", reasons.join("; ")) }
    }
}

/// Each turn, and behind them a line with their numbers.
impl fmt::Display for RetriedTurns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.turns.is_empty() {
            return f.write_str("no turn has failed for its agent's sake since then\n");
        }
        let rows = self.turns.iter().map(|turn| {
            let failed_at = turn.failed_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let user = turn.user.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let detail = turn.detail.clone().unwrap_or_default();
            let outcome = format!("{}{}", self.would(), turn.outcome.as_str());
            vec![turn.turn.to_string(), user, failed_at, outcome, detail]
        });
        writeln!(f, "{}", table(&["TURN", "USER", "FAILED", "OUTCOME", "DETAIL"], rows))?;
        writeln!(f, "{}", self.in_short())
    }
}
