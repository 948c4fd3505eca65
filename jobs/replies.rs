//! Turns a text into a delivery with its chunks and their jobs: the one place where a reply is planned.

use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::deliveries::{NewChunk, NewDelivery, Purpose};
use store::messages::Message;
use store::turns::Turn;

use crate::app::App;
use crate::lanes;
use crate::send_chunk::SendChunk;
use crate::splitting::{CHUNK_LIMIT_UTF16, split};

/// Why a reply could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The database refused or was away.
    #[error("cannot store the reply")]
    Database(#[from] sqlx::Error),
    /// Its jobs could not be enqueued.
    #[error("cannot enqueue the reply's chunks")]
    Enqueue(#[from] EnqueueError),
}

/// Plans a text as the answer to a turn: the delivery, its chunks and their jobs, all in the caller's transaction. A turn is answered
/// once; the caller has just ended it.
pub(crate) async fn plan(
    app: &App,
    tx: &mut Transaction,
    turn: &Turn,
    messages: &[Message],
    text: &str,
) -> Result<(), ReplyError> {
    let Some(asked) = messages.last() else { return Ok(()) };
    let pieces = split(text, CHUNK_LIMIT_UTF16);
    if pieces.is_empty() {
        return Ok(());
    }
    let chunks = pieces.iter().map(|piece| NewChunk {
        body: &piece.body,
        source: piece.source.clone(),
        meter_proactive: false,
        proactive: false,
    });
    let delivery = NewDelivery {
        address_id: asked.address_id,
        conversation_id: Some(turn.conversation_id),
        turn_id: Some(turn.id),
        purpose: Purpose::Reply,
        text,
        expires_at: asked.received_at + app.settings.reply_expires,
        chunks: chunks.collect(),
    };
    let (delivery_id, chunk_ids) = store::deliveries::create(tx, delivery).await?;
    let jobs = chunk_ids.iter().map(|chunk| {
        let job = SendChunk { chunk: *chunk, meter_proactive: false, proactive: false };
        NewJob::of(&job).lane(lanes::replies(asked.address_id)).unique_key(lanes::chunk_key(*chunk))
    });
    tx.enqueue_batch(jobs.collect()).await?;
    tracing::info!(turn.id = turn.id, delivery.id = %delivery_id, "Planned the reply of turn {} in {} chunks", turn.id, chunk_ids.len());
    Ok(())
}
