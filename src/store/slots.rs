//! `channel_slots`: the moments at which schedules fell due, each once, and what they came to for each user.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::ids::{ScheduleName, SlotId, UserId};
use crate::text_enum::text_enum;

text_enum! {
    /// How far a slot is.
    pub enum SlotState in ["channel_slots.state"] {
        /// Until the last user is planned or given up.
        Open = "open",
        /// Everybody was dealt with.
        Done = "done",
        /// It gave up, or the agent failed for everybody.
        Failed = "failed",
        /// It was left out.
        Skipped = "skipped",
    }
}

/// A slot.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Slot {
    /// Its number.
    pub id: SlotId,
    /// Of which schedule.
    pub schedule: ScheduleName,
    /// Whose users it is for; empty: everybody of the audience.
    pub zone: String,
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// What stands for the moment in each user's zone; `None`: one zone, or by hand.
    pub local_time: Option<NaiveDateTime>,
    /// Somebody tried the schedule with one user.
    pub is_test: bool,
    /// What it does.
    pub definition: Value,
    /// How far it is.
    pub state: SlotState,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// The last one of the audience that was dealt with.
    pub last_user: Option<UserId>,
}

text_enum! {
    /// Why a slot is left out.
    pub enum SkipReason in [] {
        /// It fell due while nothing ran, and its schedule's rule lets it go.
        Misfire = "misfire",
        /// The one before it was still at work.
        Overlap = "overlap",
        /// It belonged to the schedule as it was before an edit.
        Edited = "edited",
        /// Its schedule says nothing on that day.
        ExceptedDay = "excepted_day",
    }
}

/// How a slot begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotBeginning {
    /// It is to be done.
    Open,
    /// It is left out, for this reason.
    Skipped(SkipReason),
}

/// A slot that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSlot<'a> {
    /// Of which schedule.
    pub schedule: &'a ScheduleName,
    /// Whose users it is for; empty: everybody of the audience.
    pub zone: &'a str,
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// What stands for the moment in each user's zone; `None`: one zone, or by hand.
    pub local_time: Option<NaiveDateTime>,
    /// What it does.
    pub definition: &'a Value,
    /// How it came about.
    pub origin: SlotOrigin,
    /// How it begins.
    pub beginning: SlotBeginning,
}

/// How a slot came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOrigin {
    /// It fell due.
    Due,
    /// Somebody fired it by hand.
    Manual,
    /// Somebody tried the schedule with one user.
    Test,
}

/// Makes a slot unless there is one of this schedule, zone and moment. Returns its number if it is new.
pub async fn create(conn: &mut PgConnection, new: &NewSlot<'_>) -> sqlx::Result<Option<SlotId>> {
    let (state, reason) = match new.beginning {
        SlotBeginning::Open => (SlotState::Open, None),
        SlotBeginning::Skipped(reason) => (SlotState::Skipped, Some(reason)),
    };
    sqlx::query_scalar(
        "INSERT INTO channel_slots (schedule, zone, moment, local_time, definition, manual, is_test, state, reason, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $8 = 'skipped' THEN clock_timestamp() END)
         ON CONFLICT (schedule, zone, moment) DO NOTHING RETURNING id",
    )
    .bind(new.schedule)
    .bind(new.zone)
    .bind(new.moment)
    .bind(new.local_time)
    .bind(new.definition)
    .bind(new.origin != SlotOrigin::Due)
    .bind(new.origin == SlotOrigin::Test)
    .bind(state)
    .bind(reason)
    .fetch_optional(conn)
    .await
}

/// Whether a slot of this schedule and zone is still at work. What somebody tries holds nothing up.
pub async fn is_busy(conn: &mut PgConnection, schedule: &ScheduleName, zone: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_slots WHERE schedule = $1 AND zone = $2 AND state = 'open' AND NOT is_test)",
    )
    .bind(schedule)
    .bind(zone)
    .fetch_one(conn)
    .await
}

/// Whether a slot of the same schedule and zone that was made before this one is still at work.
pub async fn must_wait(conn: &mut PgConnection, slot: &Slot) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_slots WHERE schedule = $1 AND zone = $2 AND state = 'open' AND NOT is_test AND id < $3)",
    )
    .bind(&slot.schedule)
    .bind(&slot.zone)
    .bind(slot.id)
    .fetch_one(conn)
    .await
}

/// A slot.
pub async fn get(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<Option<Slot>> {
    sqlx::query_as(
        "SELECT id, schedule, zone, moment, local_time, is_test, definition, state, reason, last_user FROM channel_slots WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// A slot, locked until the caller's transaction ends. Rows that refer to it may be inserted meanwhile.
pub async fn lock(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<Option<Slot>> {
    sqlx::query_as("SELECT id, schedule, zone, moment, local_time, is_test, definition, state, reason, last_user FROM channel_slots WHERE id = $1 FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Advances an open slot from one user to another: everybody up to there is dealt with. False: the slot has ended, or
/// stands at another user.
pub async fn advance(
    conn: &mut PgConnection,
    id: SlotId,
    from: Option<&UserId>,
    to: Option<&UserId>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_slots SET last_user = $3 WHERE id = $1 AND state = 'open' AND last_user IS NOT DISTINCT FROM $2",
    )
    .bind(id)
    .bind(from)
    .bind(to)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a slot. False: it had ended.
pub async fn end(conn: &mut PgConnection, id: SlotId, failed: Option<&str>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_slots SET state = CASE WHEN $2::TEXT IS NULL THEN 'done' ELSE 'failed' END, reason = $2, finished_at = clock_timestamp()
         WHERE id = $1 AND state = 'open'",
    )
    .bind(id)
    .bind(failed)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that nobody of the audience is left to be dealt with or to be given to the agent.
pub async fn end_audience(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_slots SET audience_done_at = clock_timestamp() WHERE id = $1 AND audience_done_at IS NULL")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Results of a slot. Users and deliveries are counted separately.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Past {
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// When it was fired.
    pub fired_at: DateTime<Utc>,
    /// Whose users it was for; empty: everybody of the audience.
    pub zone: String,
    /// Fired by hand.
    pub manual: bool,
    /// Somebody tried the schedule with one user.
    pub is_test: bool,
    /// How far it is.
    pub state: SlotState,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// There may be more users than were counted.
    pub is_sample: bool,
    /// Users whom the agent is still at work on.
    pub asked: i64,
    /// Users for whom the agent failed.
    pub agent_failed: i64,
    /// Users for whom the agent had nothing to say.
    pub not_planned: i64,
    /// Users who could not be written to.
    pub blocked: i64,
    /// Users whose delivery was planned.
    pub planned: i64,
    /// Deliveries that Twilio has.
    pub sent: i64,
    /// Deliveries that arrived.
    pub delivered: i64,
    /// Planned deliveries that came to nothing: failed, expired, blocked, cancelled or unknown.
    pub failed: i64,
}

/// The last slots of a schedule, the newest first. For each slot only the first `users` of its audience are counted.
pub async fn last(
    conn: &mut PgConnection,
    schedule: &ScheduleName,
    number: i64,
    users: i64,
) -> sqlx::Result<Vec<Past>> {
    sqlx::query_as(
        "SELECT s.moment, s.fired_at, s.zone, s.manual, s.is_test, s.state, s.reason, count(u.user_id) = $3 AS is_sample,
                count(*) FILTER (WHERE u.outcome = 'asked') AS asked,
                count(*) FILTER (WHERE u.outcome = 'agent_failed') AS agent_failed,
                count(*) FILTER (WHERE u.outcome = 'empty') AS not_planned,
                count(*) FILTER (WHERE u.outcome = 'blocked') AS blocked,
                count(*) FILTER (WHERE u.outcome = 'planned') AS planned,
                count(*) FILTER (WHERE d.state IN ('sent', 'delivered')) AS sent, count(*) FILTER (WHERE d.state = 'delivered') AS delivered,
                count(*) FILTER (WHERE u.outcome = 'planned' AND d.state IN ('failed', 'expired', 'blocked', 'cancelled', 'unknown')) AS failed
         FROM (SELECT * FROM channel_slots WHERE schedule = $1 ORDER BY moment DESC LIMIT $2) s
         LEFT JOIN LATERAL (SELECT * FROM channel_slot_users p WHERE p.slot_id = s.id ORDER BY p.user_id LIMIT $3) u ON TRUE
         LEFT JOIN channel_deliveries d ON d.id = u.delivery_id
         GROUP BY s.id, s.moment, s.fired_at, s.zone, s.manual, s.is_test, s.state, s.reason ORDER BY s.moment DESC",
    )
    .bind(schedule)
    .bind(number)
    .bind(users)
    .fetch_all(conn)
    .await
}

/// A schedule whose slots are not worked off.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LateSlots {
    /// The schedule.
    pub schedule: ScheduleName,
    /// How many of its slots.
    pub slots: i64,
    /// When the oldest of them fell due.
    pub since: DateTime<Utc>,
}

/// Schedules with slots that were fired so many seconds ago and whose audience is not dealt with, at most 20.
pub async fn late(conn: &mut PgConnection, for_secs: f64) -> sqlx::Result<Vec<LateSlots>> {
    sqlx::query_as(
        "SELECT schedule, count(*) AS slots, min(moment) AS since FROM channel_slots
         WHERE state = 'open' AND audience_done_at IS NULL AND fired_at < now() - make_interval(secs => $1)
         GROUP BY schedule ORDER BY schedule LIMIT 20",
    )
    .bind(for_secs)
    .fetch_all(conn)
    .await
}
