//! Turns a text into a delivery with its chunks and their jobs: the one place where a reply is planned.

use chrono::{DateTime, Utc};
use queue::transaction::Transaction;
use store::deliveries::{NewDelivery, Purpose};
use store::messages::Said;
use store::planned_chunks::NewChunk;
use store::turns::Turn;
use whatsapp_text::text::WhatsappText;

use crate::app::Settings;
use crate::kinds::SendChunk;
use crate::outbound::planning::{self, ChunkLimits, Origin};
use crate::outbound::send_jobs;
use crate::write_error::WriteError;

/// Plans what the agent said as the answer to a turn, with WhatsApp's signs. The agent's own text stays with the turn: the thread shows it.
pub async fn plan(
    settings: &Settings,
    tx: &mut Transaction,
    turn: &Turn,
    messages: &[Said],
    said: &str,
) -> Result<(), WriteError> {
    plan_converted(settings, tx, turn, messages, &WhatsappText::of(said, settings.agent.format)).await
}

/// Plans a text as the answer to a turn: the delivery, its chunks and their jobs, all in the caller's transaction. A turn is answered
/// once; the caller has just ended it.
pub(super) async fn plan_converted(
    settings: &Settings,
    tx: &mut Transaction,
    turn: &Turn,
    messages: &[Said],
    text: &WhatsappText,
) -> Result<(), WriteError> {
    let asked_at = messages.iter().rev().find(|said| said.address_id.is_some()).map(|said| said.written_at);
    // Who is answered by an administrator's wish is answered late.
    let since = asked_at.filter(|_| turn.retry_of.is_none()).unwrap_or(turn.started_at);
    plan_from(settings, tx, turn, messages, text, since).await
}

/// The same; the time for it counts from `since`.
pub(super) async fn plan_from(
    settings: &Settings,
    tx: &mut Transaction,
    turn: &Turn,
    messages: &[Said],
    text: &WhatsappText,
    since: DateTime<Utc>,
) -> Result<(), WriteError> {
    // What was asked in the dashboard alone is answered there: the thread has it.
    let Some(address_id) = messages.iter().rev().find_map(|said| said.address_id) else { return Ok(()) };
    let planned = planning::plan(text, Origin::Reply, &ChunkLimits::default()).chunks;
    if planned.is_empty() {
        tracing::info!(
            turn.id = turn.id.0,
            "The reply of turn {} has nothing that WhatsApp could show",
            turn.id
        );
        return Ok(());
    }
    let chunks = planned.iter().map(|chunk| NewChunk {
        body: &chunk.body,
        source: chunk.source.clone(),
        meter_proactive: chunk.meter_proactive,
        has_footer: chunk.has_footer,
        is_template: false,
    });
    // A number that changed hands meanwhile gets nothing of its former owner's.
    let link_id = store::links::latest_of_conversation(tx, turn.conversation_id, address_id).await?;
    let delivery = NewDelivery {
        address_id,
        conversation_id: Some(turn.conversation_id),
        turn_id: Some(turn.id),
        message_id: None,
        link_id,
        purpose: Purpose::Reply,
        text: text.as_str(),
        expires_at: since + settings.deliveries.reply_expires,
        chunks: chunks.collect(),
    };
    let (delivery_id, chunk_ids) = store::deliveries::create(tx, delivery).await?;
    let jobs = chunk_ids.iter().zip(&planned).map(|(id, chunk)| {
        let job =
            SendChunk { chunk: *id, meter_proactive: chunk.meter_proactive, has_footer: chunk.has_footer };
        send_jobs::job(&job, false, address_id)
    });
    tx.enqueue_batch(jobs.collect()).await?;
    tracing::info!(turn.id = turn.id.0, delivery.id = %delivery_id, "Planned the reply of turn {} in {} chunks", turn.id, chunk_ids.len());
    Ok(())
}
