//! The channel's own word to a person about a message of theirs: a confirmation, a hint. It is one delivery, not metered, without a
//! footer, and allowed after STOP.

use chrono::{DateTime, Utc};
use queue::transaction::Transaction;
use store::deliveries::{NewDelivery, Purpose};
use store::ids::{AddressId, ConversationId, MessageId};
use store::planned_chunks::NewChunk;

use crate::kinds::SendChunk;
use crate::outbound::send_jobs;
use crate::write_error::WriteError;

/// A notice to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice<'a> {
    /// To whom.
    pub address_id: AddressId,
    /// About which message, which gets one notice; `None`: about one that got its notice before it was tried again.
    pub message_id: Option<MessageId>,
    /// Within which conversation, whose present owner alone may read it; `None`: whoever has the number.
    pub conversation_id: Option<ConversationId>,
    /// When it is not worth sending any more.
    pub expires_at: DateTime<Utc>,
    /// What is said.
    pub text: &'a str,
    /// Ahead of all that waits in the lane and the pool.
    pub urgent: bool,
}

/// Higher than any reply's.
const URGENT: i16 = 100;

/// Plans a notice in the caller's transaction, which holds the address's lock.
pub(crate) async fn tell(tx: &mut Transaction, notice: Notice<'_>) -> Result<(), WriteError> {
    let Notice { address_id, conversation_id, .. } = notice;
    let link_id = match conversation_id {
        Some(conversation_id) => {
            store::links::latest_of_conversation(tx, conversation_id, address_id).await?
        }
        None => None,
    };
    let chunk = NewChunk {
        body: notice.text,
        source: 0..notice.text.len(),
        meter_proactive: false,
        has_footer: false,
        is_template: false,
    };
    let delivery = NewDelivery {
        address_id,
        conversation_id,
        turn_id: None,
        message_id: notice.message_id,
        link_id,
        purpose: Purpose::Notice,
        text: notice.text,
        expires_at: notice.expires_at,
        chunks: vec![chunk],
    };
    let (_, chunk_ids) = store::deliveries::create(tx, delivery).await?;
    for chunk in chunk_ids {
        let chunk = SendChunk { chunk, meter_proactive: false, has_footer: false };
        let job = send_jobs::job(&chunk, false, address_id);
        tx.enqueue(if notice.urgent { job.priority(URGENT) } else { job }).await?;
    }
    Ok(())
}
