//! One job for each moment at which quiet hours end, however many deliveries wait for it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::proactive_deliveries::{Beginning, NewProactive};

use crate::kinds::PlanQuiet;
use crate::lanes;

/// Enqueues the job of this moment, unless it is there.
pub(crate) async fn enqueue(tx: &mut Transaction, end: DateTime<Utc>) -> Result<(), EnqueueError> {
    tx.enqueue(NewJob::of(&PlanQuiet {}).run_at(end).unique_key(lanes::quiet_key(end))).await?;
    Ok(())
}

/// Enqueues the jobs of all moments that these deliveries wait for.
pub(super) async fn enqueue_all(tx: &mut Transaction, new: &[NewProactive<'_>]) -> Result<(), EnqueueError> {
    let ends: BTreeSet<DateTime<Utc>> = new
        .iter()
        .filter_map(|new| match new.beginning {
            Beginning::WaitingUntil { end, .. } => Some(end),
            _ => None,
        })
        .collect();
    for end in ends {
        enqueue(tx, end).await?;
    }
    Ok(())
}

/// Enqueues a job at once if something waits whose quiet hours have ended: the job of that moment was lost.
pub async fn look_after(tx: &mut Transaction) -> Result<(), crate::write_error::WriteError> {
    let left_over = store::quiet_deliveries::due(tx, 1).await?;
    if !left_over.is_empty() {
        tx.enqueue(NewJob::of(&PlanQuiet {}).unique_key(lanes::QUIET_LEFT_OVER_KEY)).await?;
    }
    Ok(())
}
