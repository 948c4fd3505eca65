//! `cloudybot chunks …`: the parts of what left, and sends of which nobody knows whether they arrived, for an administrator at a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use channel::administration;
use channel::administration::chunks::{self, ChunkFilter, ListedChunk};
use channel::administration::in_doubt::InDoubt;
use channel::outbound::in_doubt;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use queue::Queue;
use store::chunk_place::ChunkPlace;
use store::chunks::ChunkState;
use store::ids::{ChunkId, UserId};
use store::in_doubt::AdminVerdict;

use super::choices;
use super::deliveries::{meanings, next};
use super::output::{UNANSWERED, actor, moment, print, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum ChunksCommand {
    /// The newest parts of deliveries, and what the codes of those that failed mean
    List {
        #[command(flatten)]
        filter: ChunkArgs,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
        limit: i64,
    },
    /// Sends in doubt, the oldest first: to whom, what, what has been tried, and what each verdict would do
    InDoubt {
        /// Also ask Twilio's list about each of them, at this moment; it changes no state
        #[arg(long)]
        ask_twilio: bool,
    },
    /// Say what became of a send in doubt
    Verdict {
        /// The chunk's number
        chunk: i64,
        /// What is known of it
        verdict: VerdictArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ChunkArgs {
    /// Of this user
    #[arg(long)]
    user: Option<UserId>,
    /// To this number, in any spelling with its country's code
    #[arg(long, conflicts_with = "user")]
    number: Option<String>,
    /// Where it stands
    #[arg(long, value_parser = choices::text_of::<ChunkState>())]
    state: Option<ChunkState>,
    /// With this error code of Twilio's
    #[arg(long, value_name = "CODE")]
    error_code: Option<i32>,
    /// Of a delivery that was planned at this moment or later, 2026-11-29T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Of a delivery that was planned before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Older than this place, as a list names that of its next page
    #[arg(long, value_name = "PLACE")]
    before: Option<ChunkPlace>,
}

impl From<ChunkArgs> for ChunkFilter {
    fn from(args: ChunkArgs) -> Self {
        let ChunkArgs { user, number, state, error_code, since, until, before } = args;
        Self { user, number, state, error_code, since, until, before }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum VerdictArg {
    /// The person has it; it is never sent again
    Arrived,
    /// The person does not have it; it is sent again
    SendAgain,
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: ChunksCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        ChunksCommand::List { filter, limit } => {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let list = chunks::list(&mut conn, &filter.into(), limit).await?;
            print(as_json, &list, || {
                let errors = list.chunks.iter().filter_map(|listed| listed.chunk.error.as_ref());
                table(&HEAD, list.chunks.iter().map(row))
                    + &meanings(errors)
                    + &next(list.next.clone(), list.chunks.len(), limit)
            })?;
        }
        ChunksCommand::InDoubt { ask_twilio } => {
            let settings =
                app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
            let mut chunks =
                administration::in_doubt::list(&mut *pg.acquire().await.context(UNANSWERED)?, &settings)
                    .await?;
            if ask_twilio {
                let twilio = app::client_of(config)?;
                administration::in_doubt::ask_twilio(&twilio, &pg, &settings, &mut chunks).await?;
            }
            print(as_json, &chunks, || {
                if chunks.is_empty() {
                    return "nothing is in doubt\n".to_owned();
                }
                chunks.iter().map(block).collect()
            })?;
        }
        ChunksCommand::Verdict { chunk, verdict } => {
            let verdict = match verdict {
                VerdictArg::Arrived => AdminVerdict::Arrived,
                VerdictArg::SendAgain => AdminVerdict::SendAgain,
            };
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let actor = actor();
            let state = in_doubt::give_verdict(&queue, &pg, ChunkId(chunk), verdict, &actor)
                .await?
                .with_context(|| {
                    format!("chunk {chunk} is not in doubt; `cloudybot chunks in-doubt` lists those that are")
                })?;
            queue.flush_notifications().await;
            let answer = serde_json::json!({ "chunk": chunk, "delivery": state });
            print(as_json, &answer, || format!("chunk {chunk}: noted; its delivery is {state}\n"))?;
        }
    }
    Ok(())
}

const HEAD: [&str; 9] = ["CHUNK", "PLANNED", "USER", "TO", "PURPOSE", "PART", "STATE", "CODE", "DELIVERY"];

fn row(listed: &ListedChunk) -> Vec<String> {
    let chunk = &listed.chunk;
    let dash = || "-".to_owned();
    vec![
        chunk.id.to_string(),
        moment(listed.planned_at),
        listed.user.as_ref().map_or_else(dash, ToString::to_string),
        listed.to.clone().unwrap_or_else(dash),
        listed.purpose.to_string(),
        (chunk.index + 1).to_string(),
        chunk.state.to_string(),
        chunk.error.as_ref().map_or_else(dash, |error| error.code.to_string()),
        listed.delivery.to_string(),
    ]
}

fn block(doubt: &InDoubt) -> String {
    let mut text = format!(
        "chunk {}: {}, part {} of {} {}\n",
        doubt.chunk,
        doubt.state,
        doubt.index + 1,
        doubt.purpose,
        doubt.delivery
    );
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<14} {value}");
    };
    line("user", doubt.user.as_ref().map_or("-", UserId::as_str));
    line("number", doubt.number.as_deref().unwrap_or("-"));
    line("text", doubt.text.as_deref().or(doubt.template.as_deref()).unwrap_or("-"));
    line("since", &doubt.since.map_or_else(|| "-".to_owned(), moment));
    line("until", &doubt.until.map_or_else(|| "a person or a callback decides".to_owned(), moment));
    line("reason", doubt.reason.as_deref().unwrap_or("its process died while it was being sent"));
    for attempt in &doubt.send_attempts {
        let outcome = attempt.outcome.map_or("no answer", |outcome| outcome.as_str());
        line("attempt", &format!("{} at {}: {outcome}", attempt.attempt, moment(attempt.started_at)));
    }
    for tried in &doubt.tried {
        line("tried", tried);
    }
    if let Some(twilio) = &doubt.twilio {
        line("Twilio", &twilio.says);
        for candidate in &twilio.candidates {
            let at = candidate.created_at.map_or_else(|| "-".to_owned(), moment);
            let sid = candidate.sid.as_deref().unwrap_or("-");
            line("", &format!("{sid} {} at {at}: {}", candidate.status, candidate.fits));
        }
    }
    line("if arrived", &doubt.verdicts.arrived);
    line("if send-again", &doubt.verdicts.send_again);
    line("to decide", &format!("`cloudybot chunks verdict {} arrived` or `send-again`", doubt.chunk));
    text
}
