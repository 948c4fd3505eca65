//! Runs the agent for a conversation and stores its reply.
//!
//! Enqueued by `receive_message` and by the dashboard for every accepted message, in the conversation's lane. It takes all unanswered messages into one
//! turn, so the jobs of messages that are in a turn already end at once. Enqueues a `send_chunk` for each chunk of the reply; when it
//! gives up, `apologise` follows. An administrator's retry enqueues one that answers a failed turn's messages once more. After a crash it runs again and finds its turn: the agent is called once more, visibly as the next
//! attempt, but only while no reply is stored and none is in hand.

use std::time::Duration;

use agent::error::{AgentError, ErrorClass};
use agent::turn::Reply;
use chrono::{DateTime, Utc};
use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{FollowUp, Job};
use serde::{Deserialize, Serialize};
use store::ids::{ConversationId, MessageId, TurnId};
use store::messages::Said;
use store::turns::Turn;

use crate::agents::{self, UsersAgent};
use crate::apologise::{Apologise, apologise};
use crate::app::App;
use crate::replies;
use crate::turns::in_hand::InHand;
use crate::turns::{self, in_hand, typing, words};

/// The conversation to answer, and the message that asked for it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// `channel_conversations.id`.
    pub conversation: ConversationId,
    /// `channel_messages.id`.
    pub message: MessageId,
    /// The failed turn whose messages are to be answered once more, by an administrator's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TurnId>,
}

/// A busy agent is not waited for any longer at a time, whatever it asks for: somebody waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// After the time for a run and this much more, a schedule's prompt has been left behind.
const PROMPT_GRACE: Duration = Duration::from_secs(30);

/// A schedule's prompt is waited for like this.
const PROMPT_PAUSE: Duration = Duration::from_millis(500);

/// What is known of a call of which nobody could store how it ended.
const CUT_SHORT: &str = "each call of the agent was cut short, and nobody could store how it ended";

impl Job for Answer {
    const KIND: &'static str = "answer";
    const POOL: &'static str = "conversation";
    /// Calls of the agent are counted by the turn; these also cover the database's absences.
    const MAX_ATTEMPTS: u16 = 20;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<Apologise>());
}

/// Does the work.
pub async fn run(job: Answer, app: App, claim: Claim) -> Result<(), Failure> {
    let Some(opened) = job.open_turn(&app).await? else { return Ok(()) };
    let Opened { turn, agent, messages, in_hand } = opened;
    let reply = match in_hand {
        Some(reply) => reply,
        None => {
            let _typing = typing::show(&app, &messages);
            let answered = match agent {
                Ok(agent) => agent.send_to_openclaw(&turns::request(&app, &turn, &messages).await?).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(reply) => reply,
                Err(error) => return Err(fail(&app, &turn, error).await?),
            }
        }
    };
    let in_hand = InHand::hold(&app, &turn, &reply);
    in_hand.settle(store(&app, &claim, &turn, &messages, reply).await)
}

/// A turn to run.
struct Opened {
    turn: Turn,
    agent: UsersAgent,
    messages: Vec<Said>,
    /// What the agent has said already, and nobody could store.
    in_hand: Option<Reply>,
}

/// Stores the reply, plans its delivery and ends the job, together.
async fn store(
    app: &App,
    claim: &Claim,
    turn: &Turn,
    messages: &[Said],
    reply: Reply,
) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    match reply {
        Reply::Text(text) => {
            if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                replies::plan(app, &mut tx, turn, messages, &text).await?;
            }
        }
        Reply::Silent => {
            store::turns::finish_silent(&mut tx, turn.id).await?;
            tracing::info!(turn.id = turn.id.0, "The agent chose to stay silent in turn {}", turn.id);
        }
    }
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// What a failed call means: again after a while, or, after the last one, the apology and the end.
async fn fail(app: &App, turn: &Turn, error: AgentError) -> Result<Failure, Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    store::turns::end_attempt(&mut tx, turn.id, turn.attempt, &error.to_string()).await?;
    // What another call cannot change is not called again.
    let hopeless = matches!(error.class(), ErrorClass::Configuration | ErrorClass::Permanent);
    let last = hopeless || turn.attempt >= app.settings.agent_attempts;
    if last {
        apologise(app, &mut tx, turn, &error.to_string()).await?;
    }
    tx.commit().await?;
    Ok(match error {
        error if last => Failure::abort(error.to_string()),
        AgentError::RateLimited { retry_after: Some(delay), .. } => {
            Failure::RetryAfter(delay.min(LONGEST_WAIT), error.into())
        }
        error => error.into(),
    })
}

impl Answer {
    /// The turn to run: the one that a crash or a failed call left behind, or a new one with every unanswered message. `None`:
    /// somebody's turn has this message already. It is committed before the agent is called, so that a second call is always seen as
    /// a second attempt.
    async fn open_turn(&self, app: &App) -> Result<Option<Opened>, Failure> {
        let mut tx = app.begin().await?;
        store::addresses::lock_of_conversation(&mut tx, self.conversation).await?;
        store::conversations::lock(&mut tx, self.conversation).await?;
        let user = store::conversations::user_of(&mut tx, self.conversation).await?;
        let agent = agents::of_user(app, &mut tx, user.as_deref()).await?;
        let running = store::turns::running(&mut tx, self.conversation).await?;
        if let Some(turn) = running.as_ref().filter(|turn| turn.slot_id.is_some()) {
            let at_most = app.settings.agent_timeout + PROMPT_GRACE;
            if !store::turns::is_left_behind(&mut tx, turn, at_most.as_secs_f64()).await? {
                // A schedule's prompt is at work; its own job ends it.
                tx.commit().await?;
                return Err(Failure::Snooze(PROMPT_PAUSE));
            }
            // Its job does not run: it waits to be tried again, or its pool is paused. It will begin anew.
            store::turns::fail(&mut tx, turn.id, "its job was held up, and somebody wrote").await?;
        }
        if let Some(turn) = running.filter(|turn| turn.slot_id.is_none()) {
            let in_hand = in_hand::of(app, &mut tx, &turn).await?;
            if in_hand.is_some() || turn.attempt < app.settings.agent_attempts {
                let turn = match in_hand {
                    Some(_) => turn,
                    None => store::turns::count_attempt(&mut tx, turn.id).await?,
                };
                let messages = store::messages::of_turn(&mut tx, turn.id).await?;
                tx.commit().await?;
                return Ok(Some(Opened { turn, agent, messages, in_hand }));
            }
            // Its last call was cut short, by a crash or a lost lease, before anybody could apologise.
            let reason = store::turns::last_error(&mut tx, turn.id).await?;
            let reason = reason.as_deref().unwrap_or(CUT_SHORT);
            apologise(app, &mut tx, &turn, reason).await?;
        }
        if let Some(failed) = self.retry_of {
            let turn = store::turns::begin_again(&mut tx, failed, &agents::name(&agent)).await?;
            let messages = match &turn {
                Some(turn) => store::messages::of_turn(&mut tx, turn.id).await?,
                None => Vec::new(),
            };
            tx.commit().await?;
            return Ok(turn.map(|turn| Opened { turn, agent, messages, in_hand: None }));
        }
        let messages = store::messages::unanswered(&mut tx, self.conversation).await?;
        if !messages.iter().any(|message| message.id == self.message) {
            tx.commit().await?;
            return Ok(None);
        }
        // The database's clock wrote when they came; this machine's own may be wrong.
        let now = store::clock::now(&mut tx).await?;
        if let Some(pause) = still_typing(&messages, app, now) {
            tx.commit().await?;
            return Err(Failure::Snooze(pause));
        }
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        let turn = store::turns::begin(&mut tx, self.conversation, &agents::name(&agent), &ids).await?;
        tx.commit().await?;
        Ok(Some(Opened { turn, agent, messages, in_hand: None }))
    }
}

/// How long to wait for a person who is still typing; `None`: they have stopped, or made us wait long enough.
fn still_typing(messages: &[Said], app: &App, now: DateTime<Utc>) -> Option<Duration> {
    // In the dashboard one sends when one has finished; a file, a place or a command is finished as it is.
    messages.last().filter(|said| said.address_id.is_some() && !words::is_whole(&said.body, &said.params))?;
    let (first, last) = (messages.first()?.received_at, messages.last()?.received_at);
    let until = (last + app.settings.debounce).min(first + app.settings.debounce_cap);
    (until - now).to_std().ok().filter(|pause| !pause.is_zero())
}
