//! The last look at quiet hours, before an attempt to send: a delivery may have been held up until they began, or the user has chosen others. What has
//! begun to leave is finished: half a message at night and half in the morning helps nobody.

use queue::failure::Failure;
use sqlx::PgConnection;
use store::chunks::{Chunk, ChunkState, End};
use store::deliveries::Obstacle;

use super::{quiet_jobs, rule_of};
use crate::app::App;
use crate::outbound::quiet_rule::{QuietRule, QuietVerdict};

/// Puts a planned chunk's delivery off, or drops it, if quiet hours say so. True: the chunk is not to be sent now.
pub async fn put_off_if_quiet(app: &App, chunk: &Chunk) -> Result<bool, Failure> {
    if !chunk.has_quiet_rule {
        return Ok(false);
    }
    let (rule, verdict) = match judge(&mut *app.pg.acquire().await?, chunk).await? {
        None | Some((_, QuietVerdict::Speak)) => return Ok(false),
        Some(judged) => judged,
    };
    let mut tx = app.begin().await?;
    store::addresses::lock(&mut tx, chunk.address_id).await?;
    let locked = store::chunks::lock(&mut tx, chunk.id).await?;
    if locked.is_none_or(|locked| locked.state != ChunkState::Planned) {
        tx.rollback().await?;
        return Ok(true);
    }
    if store::quiet_deliveries::has_begun(&mut tx, chunk.delivery_id).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    let id = chunk.delivery_id;
    if let QuietVerdict::Wait(end) = verdict {
        store::quiet_deliveries::put_off(&mut tx, id, end, rule.expires_at(end)).await?;
        quiet_jobs::enqueue(&mut tx, end).await?;
        tracing::info!(delivery.id = %id, "Delivery {id} waits for the end of quiet hours, {end}");
    } else {
        store::chunks::end(&mut tx, chunk.id, End::Blocked, None, Obstacle::QuietHours.as_str()).await?;
        store::deliveries::follow_chunks(&mut tx, id).await?;
        tracing::info!(delivery.id = %id, "Delivery {id} is dropped: quiet hours");
    }
    tx.commit().await?;
    Ok(true)
}

/// What quiet hours say of a chunk's delivery now. `None`: it has no rule, or no user any more, which is left to the look that follows.
async fn judge(conn: &mut PgConnection, chunk: &Chunk) -> sqlx::Result<Option<(QuietRule, QuietVerdict)>> {
    let delivery = store::deliveries::get(conn, chunk.delivery_id).await?;
    let Some(rule) = delivery.as_ref().and_then(rule_of) else { return Ok(None) };
    let Some(user_id) = delivery.and_then(|delivery| delivery.user_id) else { return Ok(None) };
    let Some(user) = store::users::get(conn, &user_id).await? else { return Ok(None) };
    let verdict = rule.judge(&user, chunk.now);
    Ok(Some((rule, verdict)))
}
