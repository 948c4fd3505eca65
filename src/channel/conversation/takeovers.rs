//! Takeovers: a person of the operator's answers in a conversation, and the agent rests there. What is written meanwhile waits unanswered; an answer by hand
//! answers all of it, on the way that replies take. A takeover ends by hand, or by itself when nobody has answered for `takeovers.lasts`; then the agent
//! answers what is left.

use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::audit;
use queue::failure::Failure;
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use store::ids::{ConversationId, TurnId, UserId};
use store::messages::{ChannelName, Said};
use store::takeovers::{self, Takeover};
use utoipa::ToSchema;
use whatsapp_text::text::{Format, WhatsappText};

use super::dashboard::{self, WriteRefusal};
use super::{debounce, replies};
use crate::app::{App, Settings};
use crate::write_error::WriteError;

/// `[takeovers]`
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Takeovers {
    /// How long one lasts without an answer.
    #[serde(with = "humantime_serde")]
    pub lasts: Duration,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Nobody of this name is known, or has ever written or been written to.
    #[error("user {0:?} has no conversation here: there is one from the first message on")]
    NoConversation(UserId),
    /// The agent answers there.
    #[error("nobody has taken the conversation of user {0:?} over: do that first")]
    NotTakenOver(UserId),
    /// The key was used for another text.
    #[error("Idempotency-Key: it was used for another answer")]
    OtherText,
    /// Nobody can send these words.
    #[error(transparent)]
    Text(#[from] WriteRefusal),
    /// The database refused or was away.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<sqlx::Error> for TakeoverError {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

/// A conversation that a person of the operator's has taken over.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeoverView {
    /// Whose conversation.
    #[schema(value_type = String)]
    pub user: UserId,
    /// Which administrator has it.
    pub by: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The agent answers again from then on; each answer by hand puts it off.
    pub ends_at: DateTime<Utc>,
    /// Messages that nobody has answered.
    #[schema(minimum = 0)]
    pub waiting: i64,
    /// When the first of them came; null: none waits.
    pub waiting_since: Option<DateTime<Utc>>,
}

impl From<Takeover> for TakeoverView {
    fn from(takeover: Takeover) -> Self {
        let Takeover { user_id, begun_by, begun_at, ends_at, waiting, waiting_since } = takeover;
        Self { user: user_id, by: begun_by, since: begun_at, ends_at, waiting, waiting_since }
    }
}

/// An answer by hand.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerByHandView {
    /// The turn that it is.
    #[schema(value_type = i64, minimum = 1)]
    pub turn: TurnId,
    /// Messages that it answers.
    pub answered: usize,
    /// It had been sent before, under the same key; nothing was done.
    pub duplicate: bool,
}

/// Takeovers that last, of one user or of all, the one that ends first at the head; two hundred at most.
pub async fn list(conn: &mut PgConnection, user: Option<&UserId>) -> sqlx::Result<Vec<TakeoverView>> {
    Ok(takeovers::list(conn, user).await?.into_iter().map(TakeoverView::from).collect())
}

/// Takes a conversation over: a run of the agent that is under way there comes to nothing, and its messages wait. Done again, it lasts from now on.
pub async fn begin(
    tx: &mut Transaction,
    settings: &Settings,
    user: &UserId,
    by: &str,
) -> Result<TakeoverView, TakeoverError> {
    let conversation = lock(tx, user).await?;
    // One that lasted its time and was not ended yet is another one's.
    if !takeovers::lasts(tx, conversation).await? {
        takeovers::end(tx, conversation).await?;
    }
    let is_new = takeovers::begin(tx, conversation, by, settings.takeovers.lasts).await?;
    if is_new {
        audit::note(tx, by, "take over", &format!("user {user}"), "the agent rests").await?;
    } else {
        takeovers::prolong(tx, conversation, settings.takeovers.lasts).await?;
    }
    let running = store::turns::running(tx, conversation).await?;
    // A schedule's prompt is no answer to anybody.
    if let Some(turn) = running.filter(|turn| turn.slot_id.is_none()) {
        store::turns::release(tx, turn.id, "a person took over").await?;
    }
    let view = list(tx, Some(user)).await?.into_iter().next();
    view.ok_or_else(|| TakeoverError::NotTakenOver(user.clone()))
}

/// Answers by hand what waits; where nothing does, it is said all the same, where the person wrote last.
pub async fn answer(
    tx: &mut Transaction,
    settings: &Settings,
    user: &UserId,
    by: &str,
    key: &str,
    text: &str,
) -> Result<AnswerByHandView, TakeoverError> {
    dashboard::check_text(text)?;
    let conversation = lock(tx, user).await?;
    if let Some(turn) = takeovers::answered(tx, conversation, key).await? {
        let said = store::turns::reply(tx, turn).await?;
        return match said.as_deref() == Some(text) {
            true => Ok(AnswerByHandView { turn, answered: 0, duplicate: true }),
            false => Err(TakeoverError::OtherText),
        };
    }
    if !takeovers::lasts(tx, conversation).await? {
        return Err(TakeoverError::NotTakenOver(user.clone()));
    }
    let waiting = store::messages::unanswered(tx, conversation).await?;
    let asked: Vec<Said> = match waiting.is_empty() {
        true => takeovers::last_said(tx, conversation).await?.into_iter().collect(),
        false => waiting.clone(),
    };
    let on_phone = asked.iter().any(|said| said.address_id.is_some());
    let channel = if on_phone { ChannelName::Whatsapp } else { ChannelName::Dashboard };
    let ids: Vec<_> = waiting.iter().map(|said| said.id).collect();
    let turn = takeovers::answer(tx, conversation, channel, key, text, &ids).await?;
    let words = WhatsappText::of(text, Format::Whatsapp);
    replies::plan_from(settings, tx, &turn, &asked, &words, turn.started_at).await?;
    takeovers::prolong(tx, conversation, settings.takeovers.lasts).await?;
    let outcome = format!("turn {}, {} messages answered", turn.id, ids.len());
    audit::note(tx, by, "answer by hand", &format!("user {user}"), &outcome).await?;
    tracing::info!(turn.id = turn.id.0, "A person has answered in turn {}", turn.id);
    Ok(AnswerByHandView { turn: turn.id, answered: ids.len(), duplicate: false })
}

/// Gives a conversation back to the agent, which answers what waits. False: nobody had it.
pub async fn end(
    tx: &mut Transaction,
    settings: &Settings,
    user: &UserId,
    by: &str,
) -> Result<bool, TakeoverError> {
    let conversation = lock(tx, user).await?;
    if !takeovers::end(tx, conversation).await? {
        return Ok(false);
    }
    audit::note(tx, by, "give back", &format!("user {user}"), "the agent answers again").await?;
    wake_agent(tx, settings, conversation).await?;
    Ok(true)
}

/// Ends what has lasted its time.
pub async fn look_after(app: &App) -> Result<(), Failure> {
    let over = takeovers::over(&mut *app.pg.acquire().await?).await?;
    for conversation in over {
        let mut tx = app.begin().await?;
        store::conversations::lock(&mut tx, conversation).await?;
        // Somebody may have answered just now.
        if takeovers::lasts(&mut tx, conversation).await? || !takeovers::end(&mut tx, conversation).await? {
            continue;
        }
        wake_agent(&mut tx, &app.settings, conversation).await?;
        tx.commit().await?;
        tracing::info!(
            conversation.id = conversation.0,
            "A takeover has lasted its time: the agent answers again"
        );
    }
    Ok(())
}

async fn wake_agent(
    tx: &mut Transaction,
    settings: &Settings,
    conversation: ConversationId,
) -> Result<(), WriteError> {
    if let Some(last) = store::messages::unanswered(tx, conversation).await?.last() {
        debounce::enqueue_answer(tx, &settings.agent, conversation, last.id).await?;
    }
    Ok(())
}

/// The conversation of a user, locked; the person before it, as everywhere.
async fn lock(tx: &mut Transaction, user: &UserId) -> Result<ConversationId, TakeoverError> {
    let conversation = store::conversations::find(tx, user).await?;
    let conversation = conversation.ok_or_else(|| TakeoverError::NoConversation(user.clone()))?;
    store::addresses::lock_of_conversation(tx, conversation).await?;
    store::conversations::lock(tx, conversation).await?;
    // Erased meanwhile.
    match store::conversations::user_of(tx, conversation).await? {
        Some(_) => Ok(conversation),
        None => Err(TakeoverError::NoConversation(user.clone())),
    }
}
