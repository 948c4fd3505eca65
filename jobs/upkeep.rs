//! What must be looked after every few minutes, by one process of all: messages whose webhook never came, sends whose callbacks were lost or that
//! stay in doubt, deliveries that waited too long, what was sent in the month, what WhatsApp says of templates, a pause without a probe, what hangs on a
//! former secret key, erasures, takeovers that have lasted their time, what is too old, and alerts: what has begun, goes on or is over.
//!
//! Enqueued by every process at its start and every `alerts.look_every`, once for all by its key; Twilio's list is searched every `backfill.every`.
//! Enqueues what an inbound message enqueues, the `send_chunk`s that a status gives leave to go on, `plan_quiet`, `plan_room`, `probe_sender`,
//! `erase_people` and `post_alert`. It may run twice: everything it does is looked up first. What fails is left to the next round.

use channel::alerts::watch;
use channel::app::App;
use channel::conversation::takeovers;
use channel::costs;
use channel::erasure;
use channel::inbound::backfill;
use channel::kinds::Upkeep;
use channel::outbound::proactive::{quiet_jobs, room};
use channel::outbound::{in_doubt, sender, status_look_ups, template_changes};
use channel::retention;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(Upkeep { at_start }: Upkeep, app: App, _: Attempt) -> Result<(), Failure> {
    // After a crash the round of the process that died is done here, and messages may have been missed since.
    let at_once = app.is_first_round() || at_start;
    // One that fails must not keep the others from their turn.
    let done = [
        backfill::backfill(&app, at_once).await,
        tidy(&app).await,
        hash_anew(&app).await,
        erase(&app).await,
        plan_left_over(&app).await,
        sender::look_after(&app).await,
        costs::look_after(&app).await,
        template_changes::look_after(&app).await,
        takeovers::look_after(&app).await,
        // After an outage of callbacks it may take all the time that a round has.
        status_look_ups::run(&app).await,
        // After all of these, so that it sees what they have mended.
        watch::round(&app).await,
        // It may take some seconds, which nobody waits for.
        retention::look_after(&app).await,
    ];
    for failure in done.into_iter().filter_map(Result::err) {
        tracing::warn!("The next round of the upkeep will try again: {failure:?}");
    }
    Ok(())
}

/// After a rotation of the secret keys, what still has its number comes off the former ones.
async fn hash_anew(app: &App) -> Result<(), Failure> {
    let mut conn = app.pg.acquire().await?;
    let rows = store::keys_in_use::hash_anew_when_due(&mut conn, &app.settings.secret_keys).await?;
    if rows > 0 {
        tracing::info!("Hashed {rows} rows anew with the newest secret key");
    }
    Ok(())
}

/// What waits for the end of quiet hours, or for a place, is not forgotten with a job that was lost.
async fn plan_left_over(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    quiet_jobs::look_after(&mut tx).await?;
    room::look_after(&mut tx).await?;
    Ok(tx.commit().await?)
}

/// An erasure whose job was lost goes on, and so does what had to wait for a send in doubt.
async fn erase(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    erasure::enqueue(&mut tx).await?;
    Ok(tx.commit().await?)
}

async fn tidy(app: &App) -> Result<(), Failure> {
    let mut conn = app.pg.acquire().await?;
    let expired = store::proactive_deliveries::expire_waiting(&mut conn).await?;
    if expired > 0 {
        tracing::info!(
            "{expired} deliveries waited in vain: for their person's next message, for quiet hours to end, or for a place among the people of a day"
        );
    }
    store::gateways::forget_unused(&mut conn).await?;
    let give_up = app.settings.sending.in_doubt_give_up;
    let doubts = store::in_doubt::given_up(&mut conn, give_up.as_secs_f64()).await?;
    drop(conn);
    for chunk_id in doubts {
        let mut tx = app.begin().await?;
        let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { continue };
        in_doubt::end_as_unknown(&mut tx, &app.settings, &chunk).await?;
        tx.commit().await?;
    }
    Ok(())
}
