//! Fires a schedule: for each moment that has fallen due, a slot and its job in one transaction with the note how far firing has come. Any number of
//! processes may do this at once; a row per zone and moment, and a lock per schedule, make each moment happen once. A schedule in users' own zones has a slot for
//! each zone of its audience; what was missed, and what is still at work, is judged for each of them.
//!
//! Each moment belongs to the crontab expression that held when it came: an edit of the time parts the time at the moment of loading. What a slot
//! does is always what the file says now.

use chrono::TimeDelta;
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use serde_json::Value;
use sqlx::PgConnection;
use store::audiences::{self, Who, ZonePart};
use store::ids::{ScheduleName, SlotId, UserId};
use store::schedules::ScheduleRow;
use store::slots::{self, NewSlot, SkipReason, SlotBeginning, SlotOrigin};

use super::audience_size::AudienceSize;
use super::definition::{AudienceKey, Definition, Misfire, Overlap};
use super::moments;
use super::schedule_file::Schedule;
use super::zone_choice::ZoneChoice;
use super::zones::tz::Tz;
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
    let keeps_time = former.as_ref().is_some_and(|former| former.keeps_time_of(&schedule.definition));
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
    for due_zone in due_zones(tx, former).await? {
        let (due, _) = moments::last(&former.timing, due_zone.zone, row.fired_until, row.now, AT_MOST);
        if due.is_empty() || !has_audience(tx, &former.definition, &due_zone).await? {
            continue;
        }
        for moment in due {
            let beginning = if moments::is_excepted(&former.timing, due_zone.zone, moment) {
                SlotBeginning::Skipped(SkipReason::ExceptedDay)
            } else if row.now - moment.at <= ON_TIME {
                SlotBeginning::Open
            } else {
                SlotBeginning::Skipped(SkipReason::Edited)
            };
            let slot = due_zone.slot(&row.name, definition, moment, beginning);
            open(tx, &slot).await?;
        }
    }
    Ok(())
}

/// Where a schedule falls due.
#[derive(Clone, Debug)]
pub struct DueZone {
    /// The zone.
    pub zone: Tz,
    /// Whose slots these are: the zone's name, or empty where the schedule has one zone.
    slot_zone: String,
}

impl DueZone {
    fn slot<'a>(
        &'a self,
        schedule: &'a ScheduleName,
        definition: &'a Value,
        moment: moments::Moment,
        beginning: SlotBeginning,
    ) -> NewSlot<'a> {
        NewSlot {
            schedule,
            zone: &self.slot_zone,
            moment: moment.at,
            local_time: (!self.slot_zone.is_empty()).then_some(moment.local),
            definition,
            origin: SlotOrigin::Due,
            beginning,
        }
    }
}

/// The zones in which a schedule may fall due: its one, or all that users live in.
pub async fn due_zones(conn: &mut PgConnection, schedule: &Schedule) -> sqlx::Result<Vec<DueZone>> {
    let default = match schedule.zone {
        ZoneChoice::One(zone) => return Ok(vec![DueZone { zone, slot_zone: String::new() }]),
        ZoneChoice::Users { default } => default,
    };
    let of = |zone: Tz| DueZone { zone, slot_zone: zone.to_string() };
    let names = audiences::zones(conn).await?;
    let others = names.iter().filter_map(|name| name.parse::<Tz>().ok()).map(of);
    let others = others.filter(|due_zone| due_zone.slot_zone != default.to_string());
    Ok(std::iter::once(of(default)).chain(others).collect())
}

/// The users of a slot with this zone; `None`: everybody of the audience.
pub(super) async fn part_of_slot(
    conn: &mut PgConnection,
    definition: &Definition,
    slot_zone: &str,
) -> sqlx::Result<Option<ZonePart>> {
    if slot_zone.is_empty() {
        return Ok(None);
    }
    let mut names = vec![slot_zone.to_owned()];
    let with_unknown = ZoneChoice::of(definition).is_ok_and(|choice| choice.main().to_string() == slot_zone);
    if with_unknown {
        // Whoever lives in a zone that the rules have no more is not forgotten.
        let others = audiences::zones(conn).await?;
        names.extend(others.into_iter().filter(|name| name.parse::<Tz>().is_err()));
    }
    Ok(Some(ZonePart { names, with_unknown }))
}

/// Whether there is somebody to write to there. A user who does not exist is looked for, and told of, in the slot.
async fn has_audience(
    conn: &mut PgConnection,
    definition: &Definition,
    due_zone: &DueZone,
) -> sqlx::Result<bool> {
    let Some(part) = part_of_slot(conn, definition, &due_zone.slot_zone).await? else { return Ok(true) };
    let audience = definition.audience.as_stored();
    if !audiences::page(conn, &audience, Some(&part), None, 1).await?.is_empty() {
        return Ok(true);
    }
    match audience.who {
        Who::User(user) if part.with_unknown => Ok(store::users::get(conn, user).await?.is_none()),
        _ => Ok(false),
    }
}

/// Fires what has fallen due of a schedule whose row the caller has locked and which has this definition. Returns how many slots were opened.
pub async fn fire(tx: &mut Transaction, schedule: &Schedule, row: &ScheduleRow) -> Result<usize, FireError> {
    let definition = &schedule.definition;
    if !(definition.enabled && row.enabled) {
        return Ok(0);
    }
    let (mut opened, mut has_moved) = (0, false);
    for due_zone in due_zones(tx, schedule).await? {
        let (due, more) = moments::last(&schedule.timing, due_zone.zone, row.fired_until, row.now, AT_MOST);
        // Users who come to live somewhere later are not owed what is past by then.
        has_moved |= !due.is_empty() || matches!(schedule.zone, ZoneChoice::Users { .. });
        if due.is_empty() || !has_audience(tx, definition, &due_zone).await? {
            continue;
        }
        if more {
            tracing::warn!(
                schedule = row.name.as_str(),
                "Schedule {} missed more than {AT_MOST} moments; those before the last {AT_MOST} are not written down",
                row.name
            );
        }
        opened += fire_in(tx, schedule, row, &due_zone, &due).await?;
    }
    if has_moved {
        store::schedules::advance(tx, &row.name, row.now).await?;
    }
    Ok(opened)
}

/// Fires what has fallen due in one zone.
async fn fire_in(
    tx: &mut Transaction,
    schedule: &Schedule,
    row: &ScheduleRow,
    due_zone: &DueZone,
    due: &[moments::Moment],
) -> Result<usize, FireError> {
    let definition = &schedule.definition;
    // With `wait` a slot is opened in any case, and its duty lets the one before it end.
    let busy =
        definition.overlap == Overlap::Skip && slots::is_busy(tx, &row.name, &due_zone.slot_zone).await?;
    let is_excepted =
        |moment: &moments::Moment| moments::is_excepted(&schedule.timing, due_zone.zone, *moment);
    let last = due.iter().rposition(|moment| !is_excepted(moment));
    let mut opened = 0;
    for (at, moment) in due.iter().enumerate() {
        let late = row.now - moment.at;
        let counts = match definition.misfire {
            Misfire::All => true,
            Misfire::Once => {
                last == Some(at) && (late <= ON_TIME || moment.at + definition.misfire_grace >= row.now)
            }
            Misfire::Skip => late <= ON_TIME,
        };
        let beginning = match (counts, busy) {
            _ if is_excepted(moment) => SlotBeginning::Skipped(SkipReason::ExceptedDay),
            (false, _) => SlotBeginning::Skipped(SkipReason::Misfire),
            (true, true) => SlotBeginning::Skipped(SkipReason::Overlap),
            (true, false) => SlotBeginning::Open,
        };
        let slot = open(tx, &due_zone.slot(&row.name, &row.definition, *moment, beginning)).await?;
        opened += usize::from(slot.is_some());
    }
    Ok(opened)
}

/// Fires a schedule by hand, now. Returns the slot.
pub async fn fire_now(tx: &mut Transaction, row: &ScheduleRow) -> Result<Option<SlotId>, FireError> {
    open(tx, &by_hand(row, &row.definition, SlotOrigin::Manual)).await
}

/// How many users a schedule's audience has.
pub async fn audience_size(conn: &mut PgConnection, row: &ScheduleRow) -> Result<AudienceSize, FireError> {
    let definition: Definition = serde_json::from_value(row.definition.clone())?;
    Ok(AudienceSize::of(conn, &definition.audience).await?)
}

/// Tries a schedule with one user, now, whoever its audience is. Returns the slot.
pub async fn fire_test(
    tx: &mut Transaction,
    row: &ScheduleRow,
    user: &UserId,
) -> Result<Option<SlotId>, FireError> {
    let mut definition: Definition = serde_json::from_value(row.definition.clone())?;
    definition.audience = AudienceKey { user: Some(user.clone()), ..AudienceKey::default() };
    let definition = serde_json::to_value(definition)?;
    open(tx, &by_hand(row, &definition, SlotOrigin::Test)).await
}

fn by_hand<'a>(row: &'a ScheduleRow, definition: &'a Value, origin: SlotOrigin) -> NewSlot<'a> {
    NewSlot {
        schedule: &row.name,
        zone: "",
        moment: row.now,
        local_time: None,
        definition,
        origin,
        beginning: SlotBeginning::Open,
    }
}

async fn open(tx: &mut Transaction, new: &NewSlot<'_>) -> Result<Option<SlotId>, FireError> {
    let NewSlot { schedule: name, zone, moment, .. } = new;
    let slot = slots::create(tx, new).await?;
    match (slot, new.beginning) {
        (Some(slot), SlotBeginning::Open) => {
            let job = NewJob::of(&RunDuty { slot });
            // What somebody tries waits for no broadcast.
            let job =
                if new.origin == SlotOrigin::Test { job } else { job.lane(lanes::schedule(name, zone)) };
            tx.enqueue(job).await?;
            tracing::info!(
                slot.id = slot.0,
                schedule = name.as_str(),
                "Fired schedule {name} of {moment} {zone}"
            );
            Ok(Some(slot))
        }
        (Some(_), SlotBeginning::Skipped(reason)) => {
            tracing::warn!(schedule = name.as_str(), "Left out {name} of {moment} {zone}: {reason}");
            Ok(None)
        }
        (None, _) => Ok(None),
    }
}
