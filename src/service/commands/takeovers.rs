//! `cloudybot takeovers …`: a person answers instead of the agent, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::conversation::takeovers::{self, TakeoverView};
use clap::Subcommand;
use queue::Queue;
use serde_json::json;
use store::ids::UserId;
use uuid::Uuid;

use super::output::{UNANSWERED, actor, moment, print, print_lines, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum TakeoversCommand {
    /// Conversations in which a person answers, and what waits there
    List,
    /// Take a user's conversation over: the agent rests there, and what the user writes waits for an answer by hand
    Begin {
        /// CloudyBot's id
        user: UserId,
    },
    /// Answer by hand whatever waits there
    Answer {
        /// CloudyBot's id
        user: UserId,
        /// What is said, with WhatsApp's signs
        text: String,
    },
    /// Give a conversation back to the agent, which answers what waits
    End {
        /// CloudyBot's id
        user: UserId,
    },
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: TakeoversCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let mut tx = queue.begin(&pg).await.context(UNANSWERED)?;
    let answer = match command {
        TakeoversCommand::List => {
            let list = takeovers::list(&mut tx, None).await.context(UNANSWERED)?;
            return print(as_json, &json!({ "takeovers": list }), || match list.as_slice() {
                [] => "the agent answers everybody\n".to_owned(),
                list => table(&LIST_HEAD, list.iter().map(list_row)),
            });
        }
        TakeoversCommand::Begin { user } => {
            serde_json::to_value(takeovers::begin(&mut tx, &settings, &user, &actor()).await?)?
        }
        TakeoversCommand::Answer { user, text } => {
            let key = Uuid::now_v7().to_string();
            serde_json::to_value(takeovers::answer(&mut tx, &settings, &user, &actor(), &key, &text).await?)?
        }
        TakeoversCommand::End { user } => {
            let ended = takeovers::end(&mut tx, &settings, &user, &actor()).await?;
            anyhow::ensure!(ended, "nobody has taken the conversation of user {user:?} over");
            json!({ "user": user, "givenBack": true })
        }
    };
    tx.commit().await.context(UNANSWERED)?;
    queue.flush_notifications().await;
    print_lines(as_json, &answer)
}

const LIST_HEAD: [&str; 6] = ["USER", "BY", "SINCE", "ENDS", "WAITING", "SINCE"];

fn list_row(takeover: &TakeoverView) -> Vec<String> {
    let TakeoverView { user, by, since, ends_at, waiting, waiting_since } = takeover;
    vec![
        user.to_string(),
        by.clone(),
        moment(*since),
        moment(*ends_at),
        waiting.to_string(),
        waiting_since.map_or_else(|| "-".to_owned(), moment),
    ]
}
