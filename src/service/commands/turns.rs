//! `cloudybot turns …`: the agent's runs, and what people asked while their agent answered nobody, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::turns::{self, TurnFilter, TurnView};
use channel::retries;
use channel::retries::turns::Wish;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use queue::Queue;
use store::ids::{TurnId, UserId};
use store::turns::TurnState;

use super::choices;
use super::deliveries::{next, tell};
use super::output::{UNANSWERED, actor, moment, print, print_lines, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::turn_retries::{self, ChosenTurns, RetriedTurns};

#[derive(Debug, Subcommand)]
pub(crate) enum TurnsCommand {
    /// The agent's newest runs, and what became of the replies
    List(TurnArgs),
    /// One run of the agent with its calls
    Show {
        /// The turn's number
        id: i64,
    },
    /// Answer after all what an agent did not answer in an outage: each question once, in each conversation in order. Or one failed turn
    Retry {
        /// One turn, by its number
        #[arg(conflicts_with_all = ["since", "dry_run"], required_unless_present = "since")]
        id: Option<i64>,
        /// Turns that failed at this moment or later, 2026-11-29T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Also while the agent takes no turns. Without it that is tried out first, except for users' own gateways
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TurnArgs {
    /// Of this user
    #[arg(long)]
    user: Option<UserId>,
    /// Of the user who has this number, in any spelling with its country's code, or had it last
    #[arg(long, conflicts_with = "user")]
    number: Option<String>,
    /// Where it stands
    #[arg(long, value_parser = choices::text_of::<TurnState>())]
    state: Option<TurnState>,
    /// Begun at this moment or later, 2026-11-29T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Begun before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Of a lower number than this; the next page of a list
    #[arg(long, value_name = "TURN")]
    before: Option<i64>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
    limit: i64,
}

/// Does what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: TurnsCommand, as_json: bool) -> anyhow::Result<()> {
    match command {
        TurnsCommand::List(args) => list(config, args, as_json).await,
        TurnsCommand::Show { id } => show(config, TurnId(id), as_json).await,
        TurnsCommand::Retry { id: Some(id), force, .. } => {
            check(config, force).await?;
            retry_one(config, TurnId(id), as_json).await
        }
        TurnsCommand::Retry { since, dry_run, force, .. } => {
            check(config, dry_run || force).await?;
            let since = since.context("say which: a turn's number, or --since")?;
            retry_all(config, since, dry_run, as_json).await
        }
    }
}

async fn check(config: &Config, force: bool) -> anyhow::Result<()> {
    if force {
        return Ok(());
    }
    config.agent.check().await.context("the agent takes no turns yet; --force asks it all the same")
}

async fn list(config: &Config, args: TurnArgs, as_json: bool) -> anyhow::Result<()> {
    let TurnArgs { user, number, state, since, until, before, limit } = args;
    let filter = TurnFilter { user, number, state, since, until, before: before.map(TurnId) };
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let list = turns::list(&mut *pg.acquire().await.context(UNANSWERED)?, &filter, limit).await?;
    print(as_json, &list, || {
        let text = table(&HEAD, list.turns.iter().map(row));
        text + &next(list.next.map(|id| id.to_string()), list.turns.len(), limit)
    })
}

const HEAD: [&str; 8] = ["TURN", "BEGAN", "USER", "STATE", "CALLS", "TOOK", "ANSWER", "ERROR"];

fn row(turn: &TurnView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let what = if turn.state == TurnState::Failed { "apology " } else { "" };
    let answer = turn.delivery.as_ref().map(|delivery| match &delivery.error {
        Some(error) => format!("{what}{} ({})", delivery.state, error.code),
        None => format!("{what}{}", delivery.state),
    });
    vec![
        turn.id.to_string(),
        moment(turn.started_at),
        or_dash(turn.user.as_ref().map(ToString::to_string)),
        turn.state.to_string(),
        turn.runs.to_string(),
        or_dash(turn.latency_ms.map(|ms| format!("{ms} ms"))),
        or_dash(answer),
        or_dash(turn.error.clone()),
    ]
}

async fn show(config: &Config, id: TurnId, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let shown = turns::show(&mut *pg.acquire().await.context(UNANSWERED)?, id).await.context(UNANSWERED)?;
    print_lines(as_json, &shown.with_context(|| format!("there is no turn {id}"))?)
}

async fn retry_one(config: &Config, id: TurnId, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let wish = Wish { actor: &actor(), is_dry: false };
    let answered = retries::turns::retry_one(&queue, &pg, &settings, id, wish).await?;
    queue.flush_notifications().await;
    tell(as_json, answered.with_context(|| format!("there is no turn {id}"))?)
}

async fn retry_all(
    config: &Config,
    since: DateTime<Utc>,
    dry_run: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let actor = &actor();
    let turns = ChosenTurns { since, after: None, until: None };
    let mut retried = Vec::new();
    let wish = Wish { actor, is_dry: dry_run };
    let ended = turn_retries::retry_all(&queue, &pg, &settings, turns, wish, None, &mut retried).await;
    queue.flush_notifications().await;
    // What was done before an error is told all the same.
    if ended.is_ok() || !retried.is_empty() {
        let retried = RetriedTurns::of(retried, dry_run);
        print(as_json, &retried, || retried.to_string())?;
    }
    ended.context(UNANSWERED)?;
    Ok(())
}
