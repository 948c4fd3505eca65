//! `channel_slots`: the moments at which schedules fell due, each once, and what they came to for each user.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::ids::{DeliveryId, SlotId};
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

text_enum! {
    /// What a user's part of a slot came to.
    pub enum PartOutcome in ["channel_slot_users.outcome"] {
        /// The agent is at work on it.
        Asked = "asked",
        /// The agent failed for good.
        AgentFailed = "agent_failed",
        /// A delivery was planned.
        Planned = "planned",
        /// Nothing may be sent to the user.
        Blocked = "blocked",
        /// There was nothing to say, or nobody to say it to.
        Empty = "empty",
    }
}

/// A slot.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Slot {
    /// Its number.
    pub id: SlotId,
    /// Of which schedule.
    pub schedule: String,
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// What it does.
    pub definition: Value,
    /// How far it is.
    pub state: SlotState,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// The last one of the audience that was dealt with.
    pub last_user: Option<String>,
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

/// Makes a slot unless there is one of this schedule and moment. Returns its number if it is new.
pub async fn create(
    conn: &mut PgConnection,
    schedule: &str,
    moment: DateTime<Utc>,
    definition: &Value,
    manual: bool,
    beginning: SlotBeginning,
) -> sqlx::Result<Option<SlotId>> {
    let (state, reason) = match beginning {
        SlotBeginning::Open => (SlotState::Open, None),
        SlotBeginning::Skipped(reason) => (SlotState::Skipped, Some(reason)),
    };
    sqlx::query_scalar(
        "INSERT INTO channel_slots (schedule, moment, definition, manual, state, reason, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $5 = 'skipped' THEN clock_timestamp() END)
         ON CONFLICT (schedule, moment) DO NOTHING RETURNING id",
    )
    .bind(schedule)
    .bind(moment)
    .bind(definition)
    .bind(manual)
    .bind(state)
    .bind(reason)
    .fetch_optional(conn)
    .await
}

/// Whether a slot of this schedule is still at work.
pub async fn is_busy(conn: &mut PgConnection, schedule: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_slots WHERE schedule = $1 AND state = 'open')")
        .bind(schedule)
        .fetch_one(conn)
        .await
}

/// Whether a slot of the same schedule that was made before this one is still at work.
pub async fn must_wait(conn: &mut PgConnection, slot: &Slot) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_slots WHERE schedule = $1 AND state = 'open' AND id < $2)",
    )
    .bind(&slot.schedule)
    .bind(slot.id)
    .fetch_one(conn)
    .await
}

/// A slot.
pub async fn get(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<Option<Slot>> {
    sqlx::query_as(
        "SELECT id, schedule, moment, definition, state, reason, last_user FROM channel_slots WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// The calls of the agent that were counted for a user of a slot for whom it is to be asked, or being asked; `None`: this part has ended.
pub async fn runs_of_asked(conn: &mut PgConnection, id: SlotId, user_id: &str) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar(
        "SELECT runs FROM channel_slot_users WHERE slot_id = $1 AND user_id = $2 AND outcome = 'asked'",
    )
    .bind(id)
    .bind(user_id)
    .fetch_optional(conn)
    .await
}

/// Counts a call of the agent for a user, before it is made, or gives one back that began no run.
pub async fn count_run(
    conn: &mut PgConnection,
    id: SlotId,
    user_id: &str,
    given_back: bool,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_slot_users SET runs = runs + $3::INTEGER WHERE slot_id = $1 AND user_id = $2 AND outcome = 'asked'",
    )
    .bind(id)
    .bind(user_id)
    .bind(if given_back { -1 } else { 1 })
    .execute(conn)
    .await?;
    Ok(())
}

/// A slot, locked until the caller's transaction ends. Rows that refer to it may be inserted meanwhile.
pub async fn lock(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<Option<Slot>> {
    sqlx::query_as("SELECT id, schedule, moment, definition, state, reason, last_user FROM channel_slots WHERE id = $1 FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// About how many users an audience has, those on this plan or all who have a phone, as Postgres estimates it.
pub async fn audience_estimate(conn: &mut PgConnection, plan: Option<&str>) -> sqlx::Result<i64> {
    let estimate = match plan {
        Some(plan) => {
            sqlx::query_scalar("EXPLAIN (FORMAT JSON) SELECT FROM channel_users WHERE plan = lower($1)")
                .bind(plan)
        }
        None => sqlx::query_scalar("EXPLAIN (FORMAT JSON) SELECT FROM channel_links WHERE ended_at IS NULL"),
    };
    let estimate: Value = estimate.fetch_one(conn).await?;
    Ok(estimate[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default())
}

/// The next users of an audience after this one, in order: one user, or those on a plan, or all who have a phone.
/// Each kind of audience has its own statement; in a combined one the planner reads every link for every page.
pub async fn audience(
    conn: &mut PgConnection,
    after: Option<&str>,
    user: Option<&str>,
    plan: Option<&str>,
    number: i64,
) -> sqlx::Result<Vec<String>> {
    let after = after.unwrap_or_default();
    let users = match (user, plan) {
        (Some(user), _) => {
            sqlx::query_scalar("SELECT id FROM channel_users WHERE id > $1 AND id = $3 LIMIT $2")
                .bind(after)
                .bind(number)
                .bind(user)
        }
        (None, Some(plan)) => {
            sqlx::query_scalar("SELECT id FROM channel_users WHERE id > $1 AND plan = lower($3) ORDER BY id LIMIT $2")
                .bind(after)
                .bind(number)
                .bind(plan)
        }
        (None, None) => sqlx::query_scalar(
            "SELECT user_id FROM channel_links WHERE user_id > $1 AND ended_at IS NULL AND unproven_since IS NULL ORDER BY user_id LIMIT $2",
        )
        .bind(after)
        .bind(number),
    };
    users.fetch_all(conn).await
}

/// A user's part of a slot.
#[derive(Clone, Debug)]
pub struct UserPart<'a> {
    /// Whose.
    pub user_id: &'a str,
    /// What it came to so far.
    pub outcome: PartOutcome,
    /// Why it came to nothing.
    pub reason: Option<&'a str>,
    /// The WhatsApp copy.
    pub delivery_id: Option<DeliveryId>,
}

/// Notes users as dealt with, each once for ever.
pub async fn add_users(conn: &mut PgConnection, slot_id: SlotId, parts: &[UserPart<'_>]) -> sqlx::Result<()> {
    let users: Vec<&str> = parts.iter().map(|part| part.user_id).collect();
    let outcomes: Vec<PartOutcome> = parts.iter().map(|part| part.outcome).collect();
    let reasons: Vec<Option<&str>> = parts.iter().map(|part| part.reason).collect();
    let deliveries: Vec<Option<DeliveryId>> = parts.iter().map(|part| part.delivery_id).collect();
    sqlx::query(
        "INSERT INTO channel_slot_users (slot_id, user_id, outcome, reason, delivery_id)
         SELECT $1, user_id, outcome, reason, delivery_id FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::UUID[]) AS new (user_id, outcome, reason, delivery_id)",
    )
    .bind(slot_id)
    .bind(&users)
    .bind(&outcomes)
    .bind(&reasons)
    .bind(&deliveries)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a slot is open and nobody behind this user has been dealt with.
pub async fn is_still_before(conn: &mut PgConnection, id: SlotId, after: Option<&str>) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_slots WHERE id = $1 AND state = 'open' AND coalesce(last_user, '') <= $2)")
        .bind(id)
        .bind(after.unwrap_or_default())
        .fetch_one(conn)
        .await
}

/// Locks the page of an audience that ends with this user until the caller's transaction ends: another run at the
/// same page waits.
pub async fn take_page(conn: &mut PgConnection, id: SlotId, last_user: &str) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended(format('page %s %s', $1::BIGINT, $2::TEXT), 0))",
    )
    .bind(id)
    .bind(last_user)
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits until whoever has the page that ends with this user has committed or given up.
pub async fn wait_for_page(conn: &mut PgConnection, id: SlotId, last_user: &str) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended(format('page %s %s', $1::BIGINT, $2::TEXT), 0))")
        .bind(id)
        .bind(last_user)
        .execute(conn)
        .await?;
    Ok(())
}

/// Advances an open slot from one user to another: everybody up to there is dealt with. False: the slot has ended, or
/// stands at another user.
pub async fn advance(
    conn: &mut PgConnection,
    id: SlotId,
    from: Option<&str>,
    to: Option<&str>,
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

/// What a user's part of a slot that the agent was at work on came to. False: it had ended.
pub async fn end_asked(conn: &mut PgConnection, slot_id: SlotId, part: &UserPart<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_slot_users SET outcome = $3, reason = $4, delivery_id = $5 WHERE slot_id = $1 AND user_id = $2 AND outcome = 'asked'",
    )
    .bind(slot_id)
    .bind(part.user_id)
    .bind(part.outcome)
    .bind(part.reason)
    .bind(part.delivery_id)
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

/// Whether the whole audience of a slot is dealt with and no user waits for the agent. The caller holds the slot's
/// lock.
pub async fn is_worked_off(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT s.audience_done_at IS NOT NULL AND NOT EXISTS (SELECT FROM channel_slot_users u WHERE u.slot_id = s.id AND u.outcome = 'asked')
         FROM channel_slots s WHERE s.id = $1",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// Whether the agent failed for everybody of a slot, who are some.
pub async fn agent_failed_for_all(conn: &mut PgConnection, id: SlotId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT (SELECT user_id FROM channel_slot_users WHERE slot_id = $1 ORDER BY user_id LIMIT 1) IS NOT NULL
            AND (SELECT user_id FROM channel_slot_users WHERE slot_id = $1 AND outcome <> 'agent_failed' ORDER BY user_id LIMIT 1) IS NULL",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// Results of a slot. Users and deliveries are counted separately.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Past {
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// When it was fired.
    pub fired_at: DateTime<Utc>,
    /// Fired by hand.
    pub manual: bool,
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
    /// Planned deliveries that came to nothing: failed, expired, stopped, cancelled or unknown.
    pub failed: i64,
}

/// The last slots of a schedule, the newest first. For each slot only the first `users` of its audience are counted.
pub async fn last(
    conn: &mut PgConnection,
    schedule: &str,
    number: i64,
    users: i64,
) -> sqlx::Result<Vec<Past>> {
    sqlx::query_as(
        "SELECT s.moment, s.fired_at, s.manual, s.state, s.reason, count(u.user_id) = $3 AS is_sample,
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
         GROUP BY s.id, s.moment, s.fired_at, s.manual, s.state, s.reason ORDER BY s.moment DESC",
    )
    .bind(schedule)
    .bind(number)
    .bind(users)
    .fetch_all(conn)
    .await
}
