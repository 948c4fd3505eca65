//! Fires a schedule: for each moment that has fallen due, a slot and its job in one transaction with the note how far firing has come. Any number of
//! processes may do this at once; a row per moment, and a lock per schedule, make each moment happen once.
//!
//! Each moment belongs to the crontab expression that held when it came: an edit of the time parts the time at the moment of loading. What a slot
//! does is always what the file says now.

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use serde_json::Value;
use store::ids::SlotId;
use store::schedules::ScheduleRow;
use store::slots::{self, SkipReason, SlotBeginning};

use super::definition::{Definition, Misfire, Overlap, Schedule};
use super::moments;
use crate::kinds::RunDuty;
use crate::lanes;

/// With `misfire = "all"` no more than this are made good; with any rule no more are written down.
const AT_MOST: usize = 100;

/// A moment still counts as on time when the scheduler is this late.
const ON_TIME: TimeDelta = TimeDelta::seconds(30);

/// A file that is back within this time was never gone: whoever replaces a folder takes it away first.
const MOVED: TimeDelta = TimeDelta::minutes(1);

/// Why nothing was fired.
#[derive(Debug, thiserror::Error)]
pub enum FireError {
    /// The database refused or was away.
    #[error("cannot store the slot: {0}")]
    Database(#[from] sqlx::Error),
    /// Its job could not be enqueued.
    #[error("cannot enqueue the slot's duty: {0}")]
    Enqueue(#[from] EnqueueError),
    /// The definition cannot be kept.
    #[error("cannot write the definition down: {0}")]
    Definition(#[from] serde_json::Error),
}

/// Takes in a schedule's file. True: it is new or changed.
pub async fn load(tx: &mut Transaction, schedule: &Schedule) -> Result<bool, FireError> {
    let (name, hash) = (&schedule.name, &schedule.hash);
    let kept = serde_json::to_value(&schedule.definition)?;
    if store::schedules::create(tx, name, hash, &kept).await? {
        return Ok(true);
    }
    let Some(row) = store::schedules::lock(tx, name).await? else { return Ok(false) };
    if row.hash == *hash && row.removed_at.is_none() {
        return Ok(false);
    }
    let was_there = row.removed_at.is_none_or(|removed_at| row.now - removed_at < MOVED);
    let former: Option<Definition> = serde_json::from_value(row.definition.clone()).ok();
    let former = former.filter(|former| was_there && former.enabled && row.enabled);
    let keeps_time = former.as_ref().is_some_and(|former| {
        (&former.cron, &former.timezone) == (&schedule.definition.cron, &schedule.definition.timezone)
    });
    let mut fired_until = row.fired_until;
    if !keeps_time {
        fired_until = fired_until.max(row.now);
        let former = former.and_then(|former| Schedule::of(name, former).ok());
        if let Some(former) = former.filter(|_| schedule.definition.enabled) {
            part(tx, &row, &former, &kept).await?;
        }
    }
    store::schedules::replace(tx, name, hash, &kept, fired_until).await?;
    Ok(true)
}

/// What fell due by the former times is theirs, if it was just now; older moments are too late for a schedule that was moved meanwhile.
async fn part(
    tx: &mut Transaction,
    row: &ScheduleRow,
    former: &Schedule,
    definition: &Value,
) -> Result<(), FireError> {
    let (due, _) = moments::last(&former.cron, former.zone, row.fired_until, row.now, AT_MOST);
    for moment in due {
        let beginning = if row.now - moment <= ON_TIME {
            SlotBeginning::Open
        } else {
            SlotBeginning::Skipped(SkipReason::Edited)
        };
        open(tx, &row.name, definition, moment, false, beginning).await?;
    }
    Ok(())
}

/// Fires what has fallen due of a schedule whose row the caller has locked and which has this definition. Returns how many slots were opened.
pub async fn fire(tx: &mut Transaction, schedule: &Schedule, row: &ScheduleRow) -> Result<usize, FireError> {
    let definition = &schedule.definition;
    if !(definition.enabled && row.enabled) {
        return Ok(0);
    }
    let (due, more) = moments::last(&schedule.cron, schedule.zone, row.fired_until, row.now, AT_MOST);
    if more {
        tracing::warn!(
            schedule = row.name,
            "Schedule {} missed more than {AT_MOST} moments; those before the last {AT_MOST} are not written down",
            row.name
        );
    }
    // With `wait` a slot is opened in any case, and its duty lets the one before it end.
    let busy =
        !due.is_empty() && definition.overlap == Overlap::Skip && slots::is_busy(tx, &row.name).await?;
    let mut opened = 0;
    for (at, moment) in due.iter().enumerate() {
        let is_last = at + 1 == due.len();
        let late = row.now - *moment;
        let counts = match definition.misfire {
            Misfire::All => true,
            Misfire::Once => is_last && (late <= ON_TIME || *moment + definition.misfire_grace >= row.now),
            Misfire::Skip => late <= ON_TIME,
        };
        let beginning = match (counts, busy) {
            (false, _) => SlotBeginning::Skipped(SkipReason::Misfire),
            (true, true) => SlotBeginning::Skipped(SkipReason::Overlap),
            (true, false) => SlotBeginning::Open,
        };
        let slot = open(tx, &row.name, &row.definition, *moment, false, beginning).await?;
        opened += usize::from(slot.is_some());
    }
    if !due.is_empty() {
        store::schedules::advance(tx, &row.name, row.now).await?;
    }
    Ok(opened)
}

/// Fires a schedule by hand, now. Returns the slot.
pub async fn fire_now(tx: &mut Transaction, row: &ScheduleRow) -> Result<Option<SlotId>, FireError> {
    open(tx, &row.name, &row.definition, row.now, true, SlotBeginning::Open).await
}

async fn open(
    tx: &mut Transaction,
    name: &str,
    definition: &Value,
    moment: DateTime<Utc>,
    manual: bool,
    beginning: SlotBeginning,
) -> Result<Option<SlotId>, FireError> {
    let slot = slots::create(tx, name, moment, definition, manual, beginning).await?;
    match (slot, beginning) {
        (Some(slot), SlotBeginning::Open) => {
            tx.enqueue(NewJob::of(&RunDuty { slot }).lane(lanes::schedule(name))).await?;
            tracing::info!(slot.id = slot.0, schedule = name, "Fired schedule {name} of {moment}");
            Ok(Some(slot))
        }
        (Some(_), SlotBeginning::Skipped(reason)) => {
            tracing::warn!(schedule = name, "Left out {name} of {moment}: {reason}");
            Ok(None)
        }
        (None, _) => Ok(None),
    }
}
