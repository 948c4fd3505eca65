//! Runs the agent for a conversation and stores its reply.
//!
//! Enqueued by `receive_message` for every accepted message, in the conversation's lane. It takes all unanswered messages into one
//! turn, so the jobs of messages that are in a turn already end at once. Enqueues a `send_chunk` for each chunk of the reply; when it
//! gives up, `apologise` follows. After a crash it runs again and finds its turn: the agent is called once more, visibly as the next
//! attempt, but only while no reply is stored.

use std::time::Duration;

use agent::error::AgentError;
use agent::turn::{Channel, Part, Reply, TurnRequest};
use chrono::{DateTime, Utc};
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use serde::{Deserialize, Serialize};
use store::messages::Message;
use store::turns::Turn;

use crate::app::App;
use crate::apologise::Apologise;
use crate::replies;

/// The conversation to answer, and the message that asked for it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// `channel_conversations.id`.
    pub conversation: i64,
    /// `channel_messages.id`.
    pub message: i64,
}

impl Job for Answer {
    type App = App;

    const KIND: &'static str = "answer";
    const POOL: &'static str = "conversation";
    const MAX_ATTEMPTS: u16 = 20;
    const ON_END: Option<(&'static str, &'static str)> = Some((Apologise::KIND, Apologise::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let Some((turn, messages)) = self.open_turn(&app).await? else { return Ok(()) };
        if turn.attempt > i32::from(app.settings.agent_attempts) {
            return Err(Failure::abort(format!("the agent failed {} times", app.settings.agent_attempts)));
        }
        match app.agent.send_to_openclaw(&request(&app, &turn, &messages)).await {
            Ok(Reply::Text(text)) => {
                let mut tx = app.begin().await?;
                replies::store(&app, &mut tx, &turn, &messages, &text).await?;
                claim.complete(&mut tx).await?;
                tx.commit().await?;
                tracing::info!(turn.id = turn.id, "Stored the reply of turn {}", turn.id);
                Ok(())
            }
            Ok(Reply::Silent) => {
                let mut tx = app.begin().await?;
                store::turns::finish_silent(&mut tx, turn.id).await?;
                claim.complete(&mut tx).await?;
                tx.commit().await?;
                tracing::info!(turn.id = turn.id, "The agent had nothing to say in turn {}", turn.id);
                Ok(())
            }
            Err(error) => Err(self.judge(&app, &turn, error).await?),
        }
    }
}

impl Answer {
    /// The turn to run: the one a crash left behind, or a new one with every unanswered message. `None`: somebody's turn has this
    /// message already. Committed before the agent is called, so that a second call is always seen as a second attempt.
    async fn open_turn(&self, app: &App) -> Result<Option<(Turn, Vec<Message>)>, Failure> {
        let mut tx = app.begin().await?;
        store::conversations::lock(&mut tx, self.conversation).await?;
        let turn = match store::turns::running(&mut tx, self.conversation).await? {
            Some(turn) => Some(store::turns::count_attempt(&mut tx, turn.id).await?),
            None => {
                let waiting = store::messages::unanswered(&mut tx, self.conversation).await?;
                if !waiting.iter().any(|message| message.id == self.message) {
                    return Ok(None);
                }
                if let Some(pause) = still_typing(&waiting, app, Utc::now()) {
                    return Err(Failure::Snooze(pause));
                }
                Some(store::turns::begin(&mut tx, self.conversation, app.agent.name(), &ids(&waiting)).await?)
            }
        };
        let Some(turn) = turn else { return Ok(None) };
        let messages = store::messages::of_turn(&mut tx, turn.id).await?;
        tx.commit().await?;
        Ok(Some((turn, messages)))
    }

    /// What an error of the agent means for the job; the attempt's end is stored with the turn.
    async fn judge(&self, app: &App, turn: &Turn, error: AgentError) -> Result<Failure, Failure> {
        let mut tx = app.begin().await?;
        store::turns::end_attempt(&mut tx, turn.id, turn.attempt, &error.to_string()).await?;
        tx.commit().await?;
        if turn.attempt >= i32::from(app.settings.agent_attempts) {
            return Ok(Failure::abort(error.to_string()));
        }
        Ok(match error {
            AgentError::RateLimited { retry_after: Some(delay), .. } => Failure::RetryAfter(delay, error.into()),
            error => error.into(),
        })
    }
}

/// How long to wait for a person who is still typing; `None`: they have stopped, or made us wait long enough.
fn still_typing(waiting: &[Message], app: &App, now: DateTime<Utc>) -> Option<Duration> {
    let (first, last) = (waiting.first()?.received_at, waiting.last()?.received_at);
    let until = (last + app.settings.debounce).min(first + app.settings.debounce_cap);
    (until - now).to_std().ok().filter(|pause| !pause.is_zero())
}

fn request(app: &App, turn: &Turn, messages: &[Message]) -> TurnRequest {
    TurnRequest {
        conversation_id: format!("whatsapp-{}", turn.conversation_id),
        channel: Channel::Whatsapp,
        parts: messages.iter().map(|message| Part::Text(message.body.clone())).collect(),
        agent_id: None,
        model: None,
        endpoint: None,
        timeout: app.settings.agent_timeout,
    }
}

fn ids(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.id).collect()
}
