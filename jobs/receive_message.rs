//! Decides what an inbound message means.
//!
//! Enqueued by the receiver in the webhook's own transaction, in the sender's lane. Enqueues `answer` for a message that the agent
//! shall see. It may run twice after a crash: a message that has its outcome already is left alone.

use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::app::App;
use crate::lanes;

/// The message to decide on.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReceiveMessage {
    /// `channel_messages.id`.
    pub message: i64,
}

impl Job for ReceiveMessage {
    type App = App;

    const KIND: &'static str = "receive_message";
    const POOL: &'static str = "inbound";

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let mut tx = app.begin().await?;
        let Some(message) = store::messages::get(&mut tx, self.message).await? else { return Ok(()) };
        if message.outcome.is_some() {
            return Ok(());
        }
        // Until identity exists every sender is answered.
        store::conversations::lock(&mut tx, message.conversation_id).await?;
        store::messages::accept(&mut tx, message.id).await?;
        let answer = Answer { conversation: message.conversation_id, message: message.id };
        tx.enqueue(NewJob::of(&answer).lane(lanes::conversation(message.conversation_id))).await?;
        claim.complete(&mut tx).await?;
        tx.commit().await?;
        tracing::info!(message.id = message.id, "Accepted message {}", message.id);
        Ok(())
    }
}
