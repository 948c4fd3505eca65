//! Ends a slot whose `run_duty` will never run again, as failed.
//!
//! Enqueued by the queue when a `run_duty` died or was cancelled. It enqueues nothing. It may run twice: a slot that has ended is left alone.

use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{Ended, Job};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::alerts::AlertCause;
use store::ids::SlotId;

use crate::app::App;
use crate::post_alert;
use crate::run_duty::RunDuty;

/// The `run_duty` that ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseSlot(pub Ended<RunDuty>);

impl Job for CloseSlot {
    const KIND: &'static str = "close_slot";
    const POOL: &'static str = "upkeep";
}

/// Does the work.
pub async fn run(job: CloseSlot, app: App, claim: Claim) -> Result<(), Failure> {
    let reason = job.0.reason.as_deref().unwrap_or("its duty ended");
    let mut tx = app.begin().await?;
    end(&app, &mut tx, job.0.payload.slot, Some(reason)).await?;
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// A schedule that fails so often one after the other is switched off.
const FAILURES: i32 = 10;

/// Ends a slot if nobody of its audience is left: as failed if there is a reason, or if the agent failed for everybody.
pub(crate) async fn close_if_done(
    app: &App,
    tx: &mut Transaction,
    slot_id: SlotId,
    failed: Option<&str>,
) -> Result<(), Failure> {
    store::slots::lock(tx, slot_id).await?;
    if !store::slots::is_worked_off(tx, slot_id).await? {
        return Ok(());
    }
    let agent_failed = store::slots::agent_failed_for_all(tx, slot_id).await?;
    end(app, tx, slot_id, failed.or(agent_failed.then_some("the agent failed for everybody"))).await
}

async fn end(app: &App, tx: &mut Transaction, slot_id: SlotId, failed: Option<&str>) -> Result<(), Failure> {
    let Some(slot) = store::slots::lock(tx, slot_id).await? else { return Ok(()) };
    if !store::slots::end(tx, slot_id, failed).await? {
        return Ok(());
    }
    let in_row = store::schedules::count_end(tx, &slot.schedule, failed.is_some()).await?;
    if let Some(reason) = failed {
        tracing::warn!(
            slot.id = slot_id.0,
            schedule = slot.schedule,
            "A slot of {} failed: {reason}",
            slot.schedule
        );
    }
    if in_row >= FAILURES {
        let why =
            format!("{in_row} slots in a row failed, the last one because {}", failed.unwrap_or_default());
        store::schedules::switch(tx, &slot.schedule, false, Some(&why)).await?;
        let detail = format!(
            "schedule {0} was switched off: {why}; mend it, then `cloudybot schedules enable {0}`",
            slot.schedule
        );
        post_alert::raise(tx, &app.settings, AlertCause::ScheduleDisabled, &detail).await?;
    }
    Ok(())
}
