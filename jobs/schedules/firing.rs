//! Fires a schedule: for each moment that has fallen due, a slot and its job in one transaction with the note how far firing has come. Any number of
//! processes may do this at once; a row per moment, and a lock per schedule, make each moment happen once.

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::schedules::Row;
use store::slots::{self, Beginning};

use super::definition::{Misfire, Overlap, Schedule};
use super::moments;
use crate::lanes;
use crate::run_duty::RunDuty;

/// With `misfire = "all"` no more than this are made good; with any rule no more are written down.
const AT_MOST: usize = 100;

/// With `misfire = "skip"` a moment still counts as on time when the scheduler is this late.
const ON_TIME: TimeDelta = TimeDelta::seconds(30);

/// Why nothing was fired.
#[derive(Debug, thiserror::Error)]
pub enum FireError {
    /// The database refused or was away.
    #[error("cannot store the slot: {0}")]
    Database(#[from] sqlx::Error),
    /// Its job could not be enqueued.
    #[error("cannot enqueue the slot's duty: {0}")]
    Enqueue(#[from] EnqueueError),
}

/// Fires what has fallen due of a schedule whose row the caller has locked and which has this definition. Returns how many slots were opened.
pub async fn fire(tx: &mut Transaction, schedule: &Schedule, row: &Row) -> Result<usize, FireError> {
    let definition = &schedule.definition;
    if !(definition.enabled && row.enabled) {
        store::schedules::advance(tx, &row.name, row.now).await?;
        return Ok(0);
    }
    let mut due = moments::between(&schedule.cron, schedule.zone, row.fired_until, row.now);
    let surplus = due.len().saturating_sub(AT_MOST);
    due.drain(..surplus);
    let busy = !due.is_empty() && slots::is_busy(tx, &row.name).await?;
    let mut opened = 0;
    for (at, moment) in due.iter().enumerate() {
        let is_last = at + 1 == due.len();
        let late = row.now - *moment;
        let counts = match definition.misfire {
            Misfire::All => true,
            Misfire::Once => {
                is_last
                    && late <= TimeDelta::minutes(i64::from(definition.misfire_grace_minutes)).max(ON_TIME)
            }
            Misfire::Skip => late <= ON_TIME,
        };
        if counts && busy && definition.overlap == Overlap::Wait {
            // This moment and those behind it are looked at again.
            store::schedules::advance(tx, &row.name, *moment - TimeDelta::microseconds(1)).await?;
            return Ok(opened);
        }
        let beginning = match (counts, busy) {
            (false, _) => Beginning::Skipped("misfire"),
            (true, true) => Beginning::Skipped("overlap"),
            (true, false) => Beginning::Open,
        };
        opened += usize::from(open(tx, row, *moment, false, beginning).await?.is_some());
    }
    store::schedules::advance(tx, &row.name, row.now).await?;
    Ok(opened)
}

/// Fires a schedule by hand, now. Returns the slot.
pub async fn fire_now(tx: &mut Transaction, row: &Row) -> Result<Option<i64>, FireError> {
    open(tx, row, row.now, true, Beginning::Open).await
}

async fn open(
    tx: &mut Transaction,
    row: &Row,
    moment: DateTime<Utc>,
    manual: bool,
    beginning: Beginning<'_>,
) -> Result<Option<i64>, FireError> {
    let slot = slots::create(tx, &row.name, moment, &row.definition, manual, beginning).await?;
    match (slot, beginning) {
        (Some(slot), Beginning::Open) => {
            tx.enqueue(NewJob::of(&RunDuty { slot }).lane(lanes::schedule(&row.name))).await?;
            tracing::info!(slot.id = slot, schedule = row.name, "Fired schedule {} of {moment}", row.name);
            Ok(Some(slot))
        }
        (Some(_), Beginning::Skipped(reason)) => {
            tracing::warn!(schedule = row.name, "Left out {} of {moment}: {reason}", row.name);
            Ok(None)
        }
        (None, _) => Ok(None),
    }
}
