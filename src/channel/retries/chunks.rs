//! A chunk that was not sent or did not arrive: a delivery of its own says it and what was to follow.

use queue::transaction::Transaction;
use store::chunks::{Chunk, ChunkState};
use store::deliveries::{EARLIER_PART_NOT_SENT, Obstacle};
use store::ids::{AddressId, ChunkId, DeliveryId};
use store::retries::{self, Resent, UnsentChunk};

use super::{Answered, NOT_CLOSED, Result, WORDS_GONE, refused};
use crate::app::Settings;
use crate::kinds::SendChunk;
use crate::outbound::obstacles::{Standing, told};
use crate::outbound::proactive::reservations;
use crate::outbound::send_jobs;

/// Plans a delivery that begins with this chunk.
pub(super) async fn send_again(
    tx: &mut Transaction,
    settings: &Settings,
    chunk_id: ChunkId,
) -> Result<Answered> {
    let Some(seen) = store::chunks::get(tx, chunk_id).await? else { return refused("its chunk is gone") };
    let address = store::addresses::lock(tx, seen.address_id).await?;
    let Some(chunk) = store::chunks::lock(tx, chunk_id).await? else { return refused("its chunk is gone") };
    let parts = retries::parts_from(tx, chunk_id).await?;
    let unsent = retries::delivery_of(tx, chunk_id).await?;
    if let Some(successor) = unsent.successor {
        return refused(format!("it was resent already, as delivery {successor}"));
    }
    if unsent.text.is_empty() && parts.iter().any(|part| part.source_end > part.source_start) {
        return refused(WORDS_GONE);
    }
    let stands_in_the_way = parts.iter().enumerate().find_map(|(place, part)| in_the_way(part, place == 0));
    if let Some(reason) = stands_in_the_way {
        return refused(reason);
    }
    let names = store::addresses::names(tx, address.id).await?;
    let standing = Standing::for_chunk(tx, settings, &chunk, &address, &names).await?;
    if let Some(obstacle) = standing.obstacle(chunk.content_sid.is_some(), || None) {
        return refused(told(obstacle));
    }
    let metered = parts.iter().filter(|part| part.meter_proactive).count();
    let mut period_start = None;
    if let Some(user_id) = unsent.user_id.as_ref().filter(|_| metered > 0) {
        period_start = reservations::reserve_for(tx, settings, user_id, metered).await?;
        if period_start.is_none() {
            return refused(told(Obstacle::Quota));
        }
    }
    let text = usize::try_from(parts[0].source_start).ok().and_then(|start| unsent.text.get(start..));
    let id = DeliveryId::generate();
    let resent =
        Resent { id, chunk_id, address_id: address.id, text: text.unwrap_or_default(), period_start };
    let chunk_ids = retries::resend(tx, &resent).await?;
    if let (Some(start), Some(user_id)) = (period_start, unsent.user_id.as_ref()) {
        let reserved: Vec<ChunkId> = chunk_ids
            .iter()
            .zip(&parts)
            .filter(|(_, part)| part.meter_proactive)
            .map(|(id, _)| *id)
            .collect();
        store::allowances::note_reserved(tx, &[(user_id, start, &reserved)]).await?;
    }
    enqueue(tx, &chunk, address.id, &chunk_ids, &parts).await?;
    let chunks =
        if chunk_ids.len() == 1 { "1 chunk".to_owned() } else { format!("{} chunks", chunk_ids.len()) };
    Ok(Answered::Retried(format!("delivery {id} in {chunks}")))
}

async fn enqueue(
    tx: &mut Transaction,
    chunk: &Chunk,
    address_id: AddressId,
    chunk_ids: &[ChunkId],
    parts: &[UnsentChunk],
) -> Result<()> {
    let jobs = chunk_ids.iter().zip(parts).map(|(id, part)| {
        let job =
            SendChunk { chunk: *id, meter_proactive: part.meter_proactive, has_footer: part.has_footer };
        send_jobs::job(&job, chunk.of_own_accord, address_id)
    });
    tx.enqueue_batch(jobs.collect()).await?;
    Ok(())
}

/// Why a part is not sent again: what Twilio has or may have, unless it said that it did not arrive, is not, nor what somebody has cancelled.
fn in_the_way(part: &UnsentChunk, is_first: bool) -> Option<String> {
    let reason = part.error_message.as_deref().unwrap_or_default();
    match (part.state, is_first) {
        // Of what failed, Twilio has said that it did not arrive, whether it took it in before or not.
        (ChunkState::Failed | ChunkState::Blocked | ChunkState::Expired, _) => None,
        (ChunkState::Cancelled, false) if reason == EARLIER_PART_NOT_SENT => None,
        (ChunkState::Cancelled, _) => Some(format!("it was cancelled: {reason}")),
        (ChunkState::Sending | ChunkState::Unknown, _) => Some(format!(
            "nobody knows whether Twilio has chunk {0}: `cloudybot chunks verdict {0} arrived|send-again` decides",
            part.id
        )),
        (ChunkState::Planned, _) => Some(NOT_CLOSED.to_owned()),
        (_, true) => Some("Twilio has taken it".to_owned()),
        (_, false) => Some("a later part was sent already: the person would get it twice".to_owned()),
    }
}
