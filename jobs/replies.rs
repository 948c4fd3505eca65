//! Turns a text into a delivery with its chunks and their jobs: the one place where a reply is planned.

use chrono::Utc;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::deliveries::{NewChunk, NewDelivery, Purpose};
use store::messages::Message;
use store::turns::Turn;

use crate::app::App;
use crate::planning::{self, Kind, Limits};
use crate::send_chunk::SendChunk;
use crate::lanes;
use queue::failure::Failure;

/// Stores the reply of a turn: the turn's end, the delivery, its chunks and their jobs, all in the caller's transaction.
pub async fn store(app: &App, tx: &mut Transaction, turn: &Turn, messages: &[Message], text: &str) -> Result<(), Failure> {
    let Some(asked) = messages.last() else { return Ok(()) };
    let address = store::addresses::lock(tx, asked.address_id).await?;
    if !store::turns::finish_with_reply(tx, turn.id, text).await? {
        return Ok(());
    }
    let plan = planning::plan(text, Kind::Reply, &Limits::default());
    let chunks = plan.chunks.iter().map(|chunk| NewChunk {
        body: &chunk.body,
        source: chunk.source.clone(),
        meter_proactive: chunk.meter_proactive,
        proactive: chunk.proactive,
    });
    let delivery = NewDelivery {
        address_id: address.id,
        conversation_id: Some(turn.conversation_id),
        turn_id: Some(turn.id),
        purpose: Purpose::Reply,
        text,
        expires_at: Utc::now() + app.settings.reply_expires,
        chunks: chunks.collect(),
    };
    let (_, chunk_ids) = store::deliveries::create(tx, delivery).await?;
    let jobs = chunk_ids.iter().zip(&plan.chunks).map(|(id, chunk)| {
        let job = SendChunk { chunk: *id, meter_proactive: chunk.meter_proactive, proactive: chunk.proactive };
        NewJob::of(&job).lane(lanes::replies(address.id)).unique_key(lanes::chunk_key(*id))
    });
    tx.enqueue_batch(jobs.collect()).await?;
    Ok(())
}
