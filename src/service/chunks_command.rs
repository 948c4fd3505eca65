//! `cloudybot chunks …`: sends of which nobody knows whether they arrived, for an administrator at a terminal.

use channel::outbound::in_doubt;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use queue::Queue;
use store::ids::ChunkId;
use store::in_doubt::AdminVerdict;

use crate::config::Config;
use crate::database::Database;
use crate::verdicts;

#[derive(Debug, Subcommand)]
pub(crate) enum ChunksCommand {
    /// Sends in doubt, the oldest first
    InDoubt,
    /// Say what became of a send in doubt
    Verdict {
        /// The chunk's number
        chunk: i64,
        /// What is known of it
        verdict: VerdictArg,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum VerdictArg {
    /// The person has it; it is never sent again
    Arrived,
    /// The person does not have it; it is sent again
    SendAgain,
}

const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// Does what was asked; prints lines, or JSON for a program.
#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
pub(crate) async fn run(config: &Config, command: ChunksCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        ChunksCommand::InDoubt => {
            let chunks = verdicts::in_doubt(&mut *pg.acquire().await.context(UNANSWERED)?).await?;
            if as_json {
                println!("{}", serde_json::to_string_pretty(&chunks)?);
            } else if chunks.is_empty() {
                println!("nothing is in doubt");
            }
            for chunk in chunks.iter().filter(|_| !as_json) {
                println!("{chunk}");
            }
        }
        ChunksCommand::Verdict { chunk, verdict } => {
            let verdict = match verdict {
                VerdictArg::Arrived => AdminVerdict::Arrived,
                VerdictArg::SendAgain => AdminVerdict::SendAgain,
            };
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let actor = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
            let state = in_doubt::give_verdict(&queue, &pg, ChunkId(chunk), verdict, &actor)
                .await?
                .with_context(|| {
                    format!("chunk {chunk} is not in doubt; `cloudybot chunks in-doubt` lists those that are")
                })?;
            queue.flush_notifications().await;
            if as_json {
                println!("{}", serde_json::json!({ "chunk": chunk, "delivery": state }));
            } else {
                println!("chunk {chunk}: noted; its delivery is {state}");
            }
        }
    }
    Ok(())
}
