//! Plans what has waited for a person's next message.
//!
//! Enqueued by the intake of a message whose sender's user has deliveries that wait, in the person's proactive lane. Enqueues their
//! `send_chunk`s. It may run twice: a delivery that waits no more is left alone.

use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::{lanes, proactive};

/// The user whose deliveries wait.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlanWaiting {
    /// `channel_users.id`.
    pub user: String,
}

impl Job for PlanWaiting {
    const KIND: &'static str = "plan_waiting";
    const POOL: &'static str = lanes::PROACTIVE_POOL;
}

/// Does the work.
pub async fn run(job: PlanWaiting, app: App, claim: Claim) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::links::lock_of_users(&mut tx, &[&job.user]).await?;
    for delivery in store::proactive_deliveries::lock_waiting(&mut tx, &job.user).await? {
        proactive::plan_waiting(&mut tx, &app.settings, &delivery).await?;
    }
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
