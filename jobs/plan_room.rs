//! Plans what has waited for a place among the people of a day.
//!
//! Enqueued with the first delivery that waits for one; by `upkeep` where that job was lost. Enqueues the deliveries' `send_chunk`s, and waits for the next
//! free place itself. It may run twice: a delivery that waits no more is left alone, and places are taken under their rows' locks.

use std::time::{Duration, Instant};

use channel::app::App;
use channel::kinds::PlanRoom;
use channel::outbound::proactive::{self, Settled, room};
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::people_per_day;
use store::quiet_deliveries::DueDelivery;

/// Deliveries that are looked up at once.
const PAGE: i64 = 200;

/// Another job has its turn after so long.
const STRETCH: Duration = Duration::from_secs(20);

/// Runs a job of this kind.
pub async fn run(_: PlanRoom, app: App, _: Attempt) -> Result<(), Failure> {
    let end = Instant::now() + STRETCH;
    loop {
        let waiting = people_per_day::waiting(&mut *app.pg.acquire().await?, PAGE).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        for delivery in waiting {
            if plan(&app, &delivery).await? == Settled::NoRoom {
                // Whoever comes behind has none either.
                let pause = room::pause(&mut *app.pg.acquire().await?).await?;
                return Err(Failure::Snooze(pause));
            }
        }
        if Instant::now() >= end {
            return Err(Failure::Snooze(Duration::ZERO));
        }
    }
}

/// Plans one, in a transaction of its own: a crash loses nothing, and nobody's phone is locked for long.
async fn plan(app: &App, due: &DueDelivery) -> Result<Settled, Failure> {
    let mut tx = app.begin().await?;
    let users: Vec<_> = due.user_id.iter().collect();
    store::links::lock_of_users(&mut tx, &users).await?;
    let settled = match people_per_day::lock_waiting(&mut tx, due.id).await? {
        Some(delivery) => proactive::plan_after_wait(&mut tx, &app.settings, &delivery).await?,
        None => Settled::Planned,
    };
    tx.commit().await?;
    Ok(settled)
}
