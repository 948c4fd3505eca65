//! `cloudybot chunks …`: sends of which nobody knows whether they arrived, for an administrator at a terminal.

use channel::outbound::in_doubt;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use queue::Queue;
use store::ids::ChunkId;
use store::in_doubt::AdminVerdict;

use super::output::{UNANSWERED, actor, print};
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

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: ChunksCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        ChunksCommand::InDoubt => {
            let chunks = verdicts::in_doubt(&mut *pg.acquire().await.context(UNANSWERED)?).await?;
            print(as_json, &chunks, || {
                if chunks.is_empty() {
                    return "nothing is in doubt
"
                    .to_owned();
                }
                chunks
                    .iter()
                    .map(|chunk| {
                        format!(
                            "{chunk}
"
                        )
                    })
                    .collect()
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
            print(as_json, &answer, || {
                format!(
                    "chunk {chunk}: noted; its delivery is {state}
"
                )
            })?;
        }
    }
    Ok(())
}
