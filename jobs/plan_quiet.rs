//! Plans what has waited for the end of quiet hours.
//!
//! Enqueued with the first delivery that waits for a moment, to run at that moment; by `upkeep` where such a job was lost. Enqueues the deliveries'
//! `send_chunk`s, or another one of itself where quiet hours have become longer. It may run twice: a delivery that waits no more is left alone.

use std::time::{Duration, Instant};

use channel::app::App;
use channel::kinds::PlanQuiet;
use channel::outbound::proactive;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::quiet_deliveries::{self, DueDelivery};

/// Deliveries that are looked up at once.
const PAGE: i64 = 200;

/// Another job has its turn after so long.
const STRETCH: Duration = Duration::from_secs(20);

/// Runs a job of this kind.
pub async fn run(_: PlanQuiet, app: App, _: Attempt) -> Result<(), Failure> {
    let end = Instant::now() + STRETCH;
    loop {
        let due = quiet_deliveries::due(&mut *app.pg.acquire().await?, PAGE).await?;
        if due.is_empty() {
            return Ok(());
        }
        for delivery in due {
            plan(&app, &delivery).await?;
        }
        if Instant::now() >= end {
            return Err(Failure::Snooze(Duration::ZERO));
        }
    }
}

/// Plans one, in a transaction of its own: a crash loses nothing, and nobody's phone is locked for long.
async fn plan(app: &App, due: &DueDelivery) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let users: Vec<_> = due.user_id.iter().collect();
    store::links::lock_of_users(&mut tx, &users).await?;
    if let Some(delivery) = quiet_deliveries::lock_due(&mut tx, due.id).await? {
        proactive::plan_after_wait(&mut tx, &app.settings, &delivery).await?;
    }
    Ok(tx.commit().await?)
}
