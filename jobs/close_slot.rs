//! Ends a slot whose `run_duty` will never run again, as failed.
//!
//! Enqueued by the queue when a `run_duty` died or was cancelled. The tenth failed slot in a row switches the schedule off and raises an alert,
//! whose `post_alert` is enqueued. It may run twice: a slot that has ended is left alone.

use channel::app::App;
use channel::kinds::CloseSlot;
use channel::schedules::ending;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: CloseSlot, app: App, attempt: Attempt) -> Result<(), Failure> {
    let reason = job.0.reason.as_deref().unwrap_or("its duty ended");
    let mut tx = app.begin().await?;
    ending::end(&app, &mut tx, job.0.payload.slot, Some(reason)).await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
