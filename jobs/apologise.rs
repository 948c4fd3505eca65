//! Says sorry, once, for a turn that came to nothing.
//!
//! Enqueued by the queue when an `answer` died or was cancelled; an `answer` whose agent failed once too often has apologised already.
//! Enqueues the apology's `send_chunk`. It may run twice: a turn that has
//! ended is left alone, so a reply that was stored at the last moment stands.

use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{Ended, Job};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::turns::Turn;

use crate::answer::Answer;
use crate::app::App;
use crate::replies::{self, ReplyError};
use crate::texts;

/// The `answer` that ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Apologise(pub Ended<Answer>);

impl Job for Apologise {
    const KIND: &'static str = "apologise";
    const POOL: &'static str = "conversation";
}

/// Does the work.
pub async fn run(job: Apologise, app: App, claim: Claim) -> Result<(), Failure> {
    let Answer { conversation, message, .. } = job.0.payload;
    let reason = job.0.reason.as_deref().unwrap_or("the agent gave up");
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, conversation).await?;
    store::conversations::lock(&mut tx, conversation).await?;
    let turn = store::turns::running(&mut tx, conversation).await?;
    match turn {
        Some(turn) if store::messages::turn_of(&mut tx, message).await? == Some(turn.id) => {
            apologise(&app, &mut tx, &turn, reason).await?;
        }
        // It died before it had a turn: its message must not wait for ever.
        _ => {
            if store::messages::fail_unanswered(&mut tx, message, reason).await? {
                tracing::error!(message.id = message.0, "Message {message} was never answered: {reason}");
            }
        }
    }
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a turn as failed and plans the apology, in the caller's transaction. A turn that has ended is left alone. The caller holds the
/// address's lock.
pub(crate) async fn apologise(
    app: &App,
    tx: &mut Transaction,
    turn: &Turn,
    reason: &str,
) -> Result<(), ReplyError> {
    let messages = store::messages::of_turn(tx, turn.id).await?;
    if store::turns::fail(tx, turn.id, reason).await? {
        tracing::error!(turn.id = turn.id.0, "Gave up turn {}: {reason}", turn.id);
        // For a turn that was tried again by hand somebody has apologised already.
        if turn.retry_of.is_none() {
            replies::plan(app, tx, turn, &messages, texts::APOLOGY).await?;
        }
    }
    Ok(())
}
