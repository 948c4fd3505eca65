//! A delivery that did not leave or arrive as a whole, by its own id: what was left of it is sent by another one.

use queue::connections::Connections;
use queue::job::Job as _;
use queue::{Queue, audit, dead_jobs};
use store::chunks::ChunkState;
use store::ids::{ChunkId, DeliveryId};

use super::{Answered, Result, chunks};
use crate::app::Settings;
use crate::kinds::SendChunk;
use crate::lanes;

/// Sends anew what a delivery did not bring: its first part that Twilio does not have or that failed there, and those behind it. `None`: there is no such delivery.
pub async fn resend(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: DeliveryId,
    actor: &str,
) -> Result<Option<Answered>> {
    let mut tx = queue.begin(pg).await?;
    let Some(delivery) = store::deliveries::get(&mut tx, id).await? else { return Ok(None) };
    let parts = store::deliveries::chunks(&mut tx, id).await?;
    let left = parts.iter().find(|part| !is_with_twilio(part.state));
    let answered = match (left, delivery.address_id) {
        (None, _) if parts.is_empty() => {
            Answered::Refused(format!("nothing of it was planned: it is {}", delivery.state))
        }
        (None, _) => Answered::Refused("Twilio has taken all of it".to_owned()),
        (Some(_), None) => Answered::Refused("it goes to nobody".to_owned()),
        (Some(part), Some(address)) => {
            // Before everything else, as whoever tries one of them again does.
            let mut dead = Vec::new();
            for lane in [lanes::replies(address), lanes::proactive(address)] {
                dead.extend(dead_jobs::lock_of_lane(&mut tx, &lane, SendChunk::KIND).await?);
            }
            let answered = chunks::send_again(&mut tx, settings, part.id).await?;
            if let Answered::Retried(successor) = &answered {
                for job in dead.into_iter().filter(|job| is_about(&job.payload, part.id)) {
                    dead_jobs::put_away(&mut tx, job.id, &format!("retried by {actor} as {successor}"))
                        .await?;
                    dead_jobs::note(&mut tx, actor, job.id, &format!("retried as {successor}")).await?;
                }
            }
            answered
        }
    };
    let outcome = match &answered {
        Answered::Retried(successor) => format!("resent as {successor}"),
        Answered::Refused(reason) => format!("refused: {reason}"),
    };
    audit::note(&mut tx, actor, "resend", &format!("delivery {id}"), &outcome).await?;
    tx.commit().await?;
    Ok(Some(answered))
}

fn is_about(payload: &serde_json::Value, chunk: ChunkId) -> bool {
    serde_json::from_value::<SendChunk>(payload.clone()).is_ok_and(|job| job.chunk == chunk)
}

fn is_with_twilio(state: ChunkState) -> bool {
    matches!(state, ChunkState::Accepted | ChunkState::Sent | ChunkState::Delivered | ChunkState::Read)
}
