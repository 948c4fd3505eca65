//! `cloudybot messages …` and `cloudybot story`: what people wrote and what became of it, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::messages::{self, MessageFilter, MessageView};
use channel::administration::story::{self, Story, StorySubject};
use channel::retries;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use queue::Queue;
use store::ids::{MessageId, UserId};
use store::message_records::MessageState;

use super::choices;
use super::deliveries::{next, tell};
use super::output::{UNANSWERED, actor, moment, print, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum MessagesCommand {
    /// What people wrote last, what it came to, and what became of the answer
    List(MessageArgs),
    /// Take the stored webhook of a message in anew that has neither an outcome nor a job: under all checks, without a second effect
    Replay {
        /// The message's number
        id: i64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MessageArgs {
    /// In the thread of this user
    #[arg(long)]
    user: Option<UserId>,
    /// From this number, in any spelling with its country's code, linked or not
    #[arg(long, conflicts_with = "user")]
    number: Option<String>,
    /// What it came to
    #[arg(long, value_parser = choices::one_of(choices::with_meanings(MessageState::meanings()), str::parse::<MessageState>))]
    state: Option<MessageState>,
    /// Received at this moment or later, 2026-11-29T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Received before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Of a lower number than this; the next page of a list
    #[arg(long, value_name = "MESSAGE")]
    before: Option<i64>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
    limit: i64,
}

/// Does what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: MessagesCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        MessagesCommand::List(args) => {
            let MessageArgs { user, number, state, since, until, before, limit } = args;
            let filter = MessageFilter { user, number, state, since, until, before: before.map(MessageId) };
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let list = messages::list(&mut conn, &filter, limit).await?;
            print(as_json, &list, || {
                let text = table(&HEAD, list.messages.iter().map(row));
                text + &next(list.next.map(|id| id.to_string()), list.messages.len(), limit)
            })
        }
        MessagesCommand::Replay { id } => {
            let settings =
                app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let answered = retries::replays::replay(&queue, &pg, &settings, MessageId(id), &actor()).await?;
            queue.flush_notifications().await;
            tell(as_json, answered.with_context(|| format!("there is no message {id}"))?)
        }
    }
}

const HEAD: [&str; 8] = ["MESSAGE", "RECEIVED", "USER", "FROM", "STATE", "TURN", "ANSWER", "REASON"];

fn row(message: &MessageView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let answer = message.delivery.as_ref().map(|delivery| match &delivery.error {
        Some(error) => format!("{} ({})", delivery.state, error.code),
        None => delivery.state.to_string(),
    });
    vec![
        message.id.to_string(),
        moment(message.received_at),
        or_dash(message.user.as_ref().map(ToString::to_string)),
        or_dash(message.from.clone()),
        message.state().as_str().to_owned(),
        or_dash(message.turn.map(|turn| turn.to_string())),
        or_dash(answer),
        or_dash(message.reason.clone()),
    ]
}

/// Tells what happened with a message, a delivery or a turn.
pub(crate) async fn tell_story(config: &Config, subject: &str, as_json: bool) -> anyhow::Result<()> {
    let subject: StorySubject = subject.parse()?;
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let told = story::tell(&mut conn, &subject).await.context(UNANSWERED)?;
    let told = told.context("nothing is known of it")?;
    print(as_json, &told, || lines(&told))
}

fn lines(story: &Story) -> String {
    let mut text = format!("{}\n", story.verdict);
    text += &story.remedy.as_deref().map(|remedy| format!("{remedy}\n")).unwrap_or_default();
    text.push('\n');
    for step in &story.steps {
        let took = step.took_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        let at = step.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        text += &format!("{at} {took:>10}  {:<8} {}: {}\n", step.part.as_str(), step.id, step.what);
    }
    text + &story.forgotten.iter().map(|forgotten| format!("({forgotten})\n")).collect::<String>()
}
