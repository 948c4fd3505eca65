//! The last look at quiet hours, before an attempt to send: a delivery may have been held up until they began, or the user has chosen others. What has
//! begun to leave is finished: half a message at night and half in the morning helps nobody.

use queue::failure::Failure;
use store::chunks::{Chunk, ChunkState, End};
use store::deliveries::Obstacle;

use super::{quiet_jobs, rule_of};
use crate::app::App;
use crate::outbound::quiet_rule::QuietVerdict;

/// Puts a planned chunk's delivery off, or drops it, if quiet hours say so. True: the chunk is not to be sent now.
pub async fn put_off_if_quiet(app: &App, chunk: &Chunk) -> Result<bool, Failure> {
    if !chunk.has_quiet_rule {
        return Ok(false);
    }
    let mut tx = app.begin().await?;
    store::addresses::lock(&mut tx, chunk.address_id).await?;
    let Some(locked) = store::chunks::lock(&mut tx, chunk.id).await? else { return Ok(true) };
    if locked.state != ChunkState::Planned {
        return Ok(true);
    }
    let Some(delivery) = store::deliveries::get(&mut tx, chunk.delivery_id).await? else { return Ok(true) };
    let user = match &delivery.user_id {
        Some(user_id) => store::users::get(&mut tx, user_id).await?,
        None => None,
    };
    // Who was erased is left to the look that follows.
    let Some((rule, user)) = rule_of(&delivery).zip(user) else { return Ok(false) };
    let verdict = rule.judge(&user, locked.now);
    if verdict == QuietVerdict::Speak || store::quiet_deliveries::has_begun(&mut tx, delivery.id).await? {
        return Ok(false);
    }
    match verdict {
        QuietVerdict::Speak => {}
        QuietVerdict::Wait(end) => {
            store::quiet_deliveries::put_off(&mut tx, delivery.id, end, rule.expires_at(end)).await?;
            quiet_jobs::enqueue(&mut tx, end).await?;
            tracing::info!(delivery.id = %delivery.id, "Delivery {} waits for the end of quiet hours, {end}", delivery.id);
        }
        QuietVerdict::Skip => {
            store::chunks::end(&mut tx, chunk.id, End::Blocked, None, Obstacle::QuietHours.as_str()).await?;
            store::deliveries::follow_chunks(&mut tx, delivery.id).await?;
            tracing::info!(delivery.id = %delivery.id, "Delivery {} is dropped: quiet hours", delivery.id);
        }
    }
    tx.commit().await?;
    Ok(true)
}
