//! `cloudybot turns …`: what people asked while their agent answered nobody, for an administrator at a terminal.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use channel::app::Settings;
use channel::retries::Answered;
use channel::retries::turns::{self, Wish};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use queue::Queue;
use queue::connections::Connections;
use serde::Serialize;
use store::ids::TurnId;
use store::retries::FailedTurn;

use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::jobs_command::table;

#[derive(Debug, Subcommand)]
pub(crate) enum TurnsCommand {
    /// Answer after all what an agent did not answer in an outage: each question once, in each conversation in order
    Retry {
        /// Turns that failed at this moment or later, 2026-11-29T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: DateTime<Utc>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Also while the agent takes no turns. Without it that is tried out first, except for users' own gateways
        #[arg(long)]
        force: bool,
    },
}

/// So many turns are read at a time.
const PAGE: i64 = 500;

const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RetriedTurns {
    /// Nothing was done.
    dry_run: bool,
    /// Each turn, in the order in which they failed.
    turns: Vec<RetriedTurn>,
    /// Will be answered.
    retried: usize,
    /// Will not.
    skipped: usize,
    /// Why, the most frequent reason first.
    reasons: Vec<Reason>,
}

/// A turn that failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RetriedTurn {
    turn: TurnId,
    /// null: the user was erased.
    user: Option<String>,
    failed_at: DateTime<Utc>,
    /// `retried` or `skipped`.
    outcome: &'static str,
    /// What answers it now, or why nothing does; null: it was only looked at.
    detail: Option<String>,
}

/// How often something stood in the way.
#[derive(Debug, Serialize)]
struct Reason {
    /// What.
    reason: String,
    /// Of how many turns.
    turns: usize,
}

/// Does what was asked; prints a table, or JSON for a program.
#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
pub(crate) async fn run(config: &Config, command: TurnsCommand, as_json: bool) -> anyhow::Result<()> {
    let TurnsCommand::Retry { since, dry_run, force } = command;
    if !dry_run && !force {
        config.agent.check().await.context("the agent takes no turns yet; --force asks it all the same")?;
    }
    let database = Database::open(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let mut turns = Vec::new();
    let ended = retry_all(&queue, &pg, &settings, since, dry_run, &mut turns).await;
    queue.flush_notifications().await;
    // What was done before an error is told all the same.
    if ended.is_ok() || !turns.is_empty() {
        let retried = RetriedTurns::of(turns, dry_run);
        if as_json {
            println!("{}", serde_json::to_string_pretty(&retried)?);
        } else {
            print!("{retried}");
        }
    }
    ended
}

async fn retry_all(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    since: DateTime<Utc>,
    is_dry: bool,
    retried: &mut Vec<RetriedTurn>,
) -> anyhow::Result<()> {
    let actor = &std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    // What fails once more from here on is another retry's.
    let before =
        store::clock::now(&mut *pg.acquire().await.context(UNANSWERED)?).await.context(UNANSWERED)?;
    let mut after = (since, TurnId(0));
    loop {
        let mut conn = pg.acquire().await.context(UNANSWERED)?;
        let page =
            store::retries::failed_in_outages(&mut conn, after, before, PAGE).await.context(UNANSWERED)?;
        drop(conn);
        let Some(last) = page.last() else { return Ok(()) };
        after = (last.finished_at, last.id);
        for turn in page {
            let answered = turns::answer_again(queue, pg, settings, &turn, Wish { actor, is_dry }).await;
            retried.push(RetriedTurn::of(turn, answered.context(UNANSWERED)?, is_dry));
        }
    }
}

impl RetriedTurn {
    fn of(turn: FailedTurn, answered: Answered, is_dry: bool) -> Self {
        let (outcome, detail) = match answered {
            // What was enqueued is gone again.
            Answered::Retried(_) if is_dry => ("retried", None),
            Answered::Retried(detail) => ("retried", Some(detail)),
            Answered::Refused(detail) => ("skipped", Some(detail)),
        };
        Self { turn: turn.id, user: turn.user_id, failed_at: turn.finished_at, outcome, detail }
    }
}

impl RetriedTurns {
    fn of(turns: Vec<RetriedTurn>, dry_run: bool) -> Self {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for detail in turns.iter().filter(|turn| turn.outcome == "skipped").flat_map(|turn| &turn.detail) {
            // Which turn has answered it is told with each.
            *reasons.entry(detail.split(", ").next().unwrap_or_default()).or_default() += 1;
        }
        let skipped: usize = reasons.values().sum();
        let mut reasons: Vec<Reason> =
            reasons.into_iter().map(|(reason, turns)| Reason { reason: reason.to_owned(), turns }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.turns));
        Self { dry_run, retried: turns.len() - skipped, skipped, reasons, turns }
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
            let user = turn.user.clone().unwrap_or_else(|| "-".to_owned());
            let detail = turn.detail.clone().unwrap_or_default();
            vec![turn.turn.to_string(), user, failed_at, turn.outcome.to_owned(), detail]
        });
        writeln!(f, "{}", table(&["TURN", "USER", "FAILED", "OUTCOME", "DETAIL"], rows))?;
        let would = if self.dry_run { "would be " } else { "" };
        write!(f, "{} {would}retried, {} {would}skipped", self.retried, self.skipped)?;
        let reasons: Vec<String> =
            self.reasons.iter().map(|why| format!("{} of them: {}", why.turns, why.reason)).collect();
        if reasons.is_empty() { writeln!(f) } else { writeln!(f, " ({})", reasons.join("; ")) }
    }
}
