//! What a user writes in the dashboard. A browser phrase ends the browser session there as on the phone. STOP does not opt out there, since the phone's
//! owner alone does that, and it stops no turn: the person is told what does stop something.

use queue::job::NewJob;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::dashboard_messages;
use store::entries;
use store::ids::{ConversationId, MessageId};
use store::messages::MessageOutcome;
use store::users::User;
use uuid::Uuid;

use super::debounce;
use crate::app::Settings;
use crate::inbound::commands::PersonCommand;
use crate::kinds::EndBrowserSession;
use crate::write_error::WriteError;
use crate::{lanes, texts};

/// The longest message, in characters.
pub const LONGEST_TEXT: usize = 20_000;

/// A message that a user has written.
#[derive(Debug)]
pub struct Written {
    /// Its number in the thread; `None`: it was taken in long before.
    pub number: Option<i64>,
    /// It was taken in before.
    pub is_duplicate: bool,
}

/// Why a message was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum WriteRefusal {
    /// Nobody can read it.
    #[error("it is blank; say what shall be sent")]
    Blank,
    /// It has more than [`LONGEST_TEXT`] characters, or one that no text may have.
    #[error("it has more than {LONGEST_TEXT} characters, or a NUL")]
    TooLong,
    /// The user's assistant is silent.
    #[error("the user's assistant is paused")]
    Paused,
    /// Its key is another message's.
    #[error("it was used for another message")]
    KeyUsed,
    /// It could not be stored.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<sqlx::Error> for WriteRefusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

/// Refuses words that nobody can send.
pub fn check_text(text: &str) -> Result<(), WriteRefusal> {
    if text.trim().is_empty() {
        return Err(WriteRefusal::Blank);
    }
    if text.chars().count() > LONGEST_TEXT || text.contains('\0') {
        return Err(WriteRefusal::TooLong);
    }
    Ok(())
}

/// Whether a user may write one more message on a page of ours, where people have the same pace as on the phone.
pub async fn admits(conn: &mut PgConnection, settings: &Settings, user: &User) -> sqlx::Result<bool> {
    let conversation = store::conversations::of_user(conn, &user.id).await?;
    settings.limits.admit_on_page(conn, conversation).await
}

/// Takes in what a user writes, in the caller's transaction. The same key is the same message.
pub async fn write(
    tx: &mut Transaction,
    settings: &Settings,
    user: &User,
    key: Option<&str>,
    text: &str,
) -> Result<Written, WriteRefusal> {
    check_text(text)?;
    if user.paused {
        return Err(WriteRefusal::Paused);
    }
    let conversation = store::conversations::of_user(tx, &user.id).await?;
    store::conversations::lock(tx, conversation).await?;
    // Of this conversation alone: a user who was erased and comes back has another one.
    let sid = key.map_or_else(
        || format!("dashboard:{}", Uuid::now_v7()),
        |key| format!("dashboard:{conversation}:{key}"),
    );
    let new = take_in(tx, settings, conversation, &sid, text).await?;
    if new.is_none() && store::messages::body_of(tx, &sid).await?.is_some_and(|body| body != text) {
        return Err(WriteRefusal::KeyUsed);
    }
    let number = entries::number_of(tx, conversation, &sid).await?;
    Ok(Written { number, is_duplicate: new.is_none() })
}

/// Takes a message in, with all that follows from it, in the caller's transaction. `None`: one with this key was taken in before. The caller holds the
/// conversation's lock.
async fn take_in(
    tx: &mut Transaction,
    settings: &Settings,
    conversation: ConversationId,
    key: &str,
    text: &str,
) -> Result<Option<MessageId>, WriteError> {
    let command = PersonCommand::of_dashboard(text);
    let outcome = match command {
        PersonCommand::EndBrowserSession => Some(MessageOutcome::Browser),
        PersonCommand::Stop(_) => Some(MessageOutcome::Keyword),
        _ => None,
    };
    let Some(message) = dashboard_messages::insert(tx, key, conversation, text, outcome).await? else {
        return Ok(None);
    };
    match command {
        PersonCommand::EndBrowserSession => {
            let job = NewJob::of(&EndBrowserSession { conversation, message });
            tx.enqueue(job.lane(lanes::dashboard_browser(conversation))).await?;
        }
        PersonCommand::Stop(_) => {
            let outcome = MessageOutcome::Keyword;
            dashboard_messages::answer(tx, conversation, message, outcome, texts::STOP_IN_DASHBOARD).await?;
        }
        _ => debounce::enqueue_answer(tx, &settings.agent, conversation, message).await?,
    }
    Ok(Some(message))
}
