//! `cloudybot turns …`: what people asked while their agent answered nobody, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::retries::turns::Wish;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::Queue;

use super::output::{UNANSWERED, actor, print};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::turn_retries::{self, ChosenTurns, RetriedTurns};

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

/// Does what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: TurnsCommand, as_json: bool) -> anyhow::Result<()> {
    let TurnsCommand::Retry { since, dry_run, force } = command;
    if !dry_run && !force {
        config.agent.check().await.context("the agent takes no turns yet; --force asks it all the same")?;
    }
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
