//! Plans what has waited for a person's next message.
//!
//! Enqueued by the intake of a message whose writer's user has deliveries that wait, in the person's proactive lane. Enqueues their
//! `send_chunk`s. It may run twice: a delivery that waits no more is left alone.

use channel::app::App;
use channel::kinds::PlanWaiting;
use channel::outbound::proactive;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: PlanWaiting, app: App, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::links::lock_of_users(&mut tx, &[&job.user]).await?;
    for delivery in store::proactive_deliveries::lock_waiting(&mut tx, &job.user).await? {
        proactive::plan_after_wait(&mut tx, &app.settings, &delivery).await?;
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
