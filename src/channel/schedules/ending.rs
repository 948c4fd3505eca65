//! The end of a slot, and of a schedule that fails again and again.

use queue::failure::Failure;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::alerts::AlertCause;
use store::ids::SlotId;
use store::schedules::OffCause;

use crate::alerts;
use crate::app::App;

/// A schedule that fails so often one after the other is switched off.
const FAILURES: i32 = 10;

/// Whether a schedule is off because it has failed too often.
pub async fn any_switched_off(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let schedules = store::schedules::all(conn).await?;
    Ok(schedules.iter().any(|schedule| schedule.off_cause == Some(OffCause::FailedInRow)))
}

/// Ends a slot if nobody of its audience is left: as failed if there is a reason, or if the agent failed for everybody.
pub async fn close_if_done(
    app: &App,
    tx: &mut Transaction,
    slot_id: SlotId,
    failed: Option<&str>,
) -> Result<(), Failure> {
    store::slots::lock(tx, slot_id).await?;
    if !store::slot_users::is_worked_off(tx, slot_id).await? {
        return Ok(());
    }
    let agent_failed = store::slot_users::agent_failed_for_all(tx, slot_id).await?;
    end(app, tx, slot_id, failed.or(agent_failed.then_some("the agent failed for everybody"))).await
}

/// Ends a slot, as failed if there is a reason. One that has ended is left alone.
pub async fn end(
    app: &App,
    tx: &mut Transaction,
    slot_id: SlotId,
    failed: Option<&str>,
) -> Result<(), Failure> {
    let Some(slot) = store::slots::lock(tx, slot_id).await? else { return Ok(()) };
    if !store::slots::end(tx, slot_id, failed).await? {
        return Ok(());
    }
    if slot.is_test {
        return Ok(());
    }
    let in_row = store::schedules::count_end(tx, &slot.schedule, failed.is_some()).await?;
    if let Some(reason) = failed {
        tracing::warn!(
            slot.id = slot_id.0,
            schedule = slot.schedule.as_str(),
            "A slot of {} failed: {reason}",
            slot.schedule
        );
    }
    if in_row >= FAILURES {
        let why =
            format!("{in_row} slots in a row failed, the last one because {}", failed.unwrap_or_default());
        store::schedules::switch_off(tx, &slot.schedule, OffCause::FailedInRow, None, Some(&why)).await?;
        let detail = format!(
            "schedule {0} was switched off: {why}; mend it, then `cloudybot schedules enable {0}`",
            slot.schedule
        );
        alerts::raise(tx, &app.settings, AlertCause::ScheduleDisabled, &detail).await?;
    }
    Ok(())
}
