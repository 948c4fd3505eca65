//! `channel_slots`: the moments at which schedules fell due, each once, and what they came to for each user.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A slot.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Slot {
    /// Its number.
    pub id: i64,
    /// Of which schedule.
    pub schedule: String,
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// What it does.
    pub definition: Value,
    /// `open`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// The last one of the audience that was dealt with.
    pub last_user: Option<String>,
}

/// How a slot begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// It is to be done.
    Open,
    /// It is left out, for this reason.
    Skipped(&'a str),
}

/// Makes a slot unless there is one of this schedule and moment. Returns its number if it is new.
pub async fn create(
    conn: &mut PgConnection,
    schedule: &str,
    moment: DateTime<Utc>,
    definition: &Value,
    manual: bool,
    beginning: Beginning<'_>,
) -> sqlx::Result<Option<i64>> {
    let (state, reason) = match beginning {
        Beginning::Open => ("open", None),
        Beginning::Skipped(reason) => ("skipped", Some(reason)),
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

/// A slot, locked until the caller's transaction ends.
pub async fn lock(conn: &mut PgConnection, id: i64) -> sqlx::Result<Option<Slot>> {
    sqlx::query_as("SELECT id, schedule, moment, definition, state, reason, last_user FROM channel_slots WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The next users of an audience behind this one, in order: those with a phone, on this plan or on any, or one alone.
pub async fn audience(
    conn: &mut PgConnection,
    after: Option<&str>,
    user: Option<&str>,
    plan: Option<&str>,
    number: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT u.id FROM channel_users u
         WHERE u.id > coalesce($1, '') AND ($2::TEXT IS NULL OR u.id = $2) AND ($3::TEXT IS NULL OR u.plan = lower($3))
           AND ($2::TEXT IS NOT NULL OR EXISTS (SELECT FROM channel_links l WHERE l.user_id = u.id AND l.ended_at IS NULL))
         ORDER BY u.id LIMIT $4",
    )
    .bind(after)
    .bind(user)
    .bind(plan)
    .bind(number)
    .fetch_all(conn)
    .await
}

/// How many an audience has now.
pub async fn audience_size(
    conn: &mut PgConnection,
    user: Option<&str>,
    plan: Option<&str>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM channel_users u
         WHERE ($1::TEXT IS NULL OR u.id = $1) AND ($2::TEXT IS NULL OR u.plan = lower($2))
           AND ($1::TEXT IS NOT NULL OR EXISTS (SELECT FROM channel_links l WHERE l.user_id = u.id AND l.ended_at IS NULL))",
    )
    .bind(user)
    .bind(plan)
    .fetch_one(conn)
    .await
}

/// Notes that a user is being dealt with, once. False: that has happened already.
pub async fn begin_user(
    conn: &mut PgConnection,
    slot_id: i64,
    user_id: &str,
    outcome: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO channel_slot_users (slot_id, user_id, outcome) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(slot_id)
    .bind(user_id)
    .bind(outcome)
    .execute(&mut *conn)
    .await?;
    sqlx::query("UPDATE channel_slots SET last_user = $2 WHERE id = $1 AND coalesce(last_user, '') < $2")
        .bind(slot_id)
        .bind(user_id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// What a user's part of a slot came to.
pub async fn end_user(
    conn: &mut PgConnection,
    slot_id: i64,
    user_id: &str,
    outcome: &str,
    reason: Option<&str>,
    delivery_id: Option<Uuid>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_slot_users SET outcome = $3, reason = $4, delivery_id = $5 WHERE slot_id = $1 AND user_id = $2",
    )
    .bind(slot_id)
    .bind(user_id)
    .bind(outcome)
    .bind(reason)
    .bind(delivery_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// A user's part that the agent was at work on ends as failed.
pub async fn fail_asked(
    conn: &mut PgConnection,
    slot_id: i64,
    user_id: &str,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_slot_users SET outcome = 'agent_failed', reason = $3 WHERE slot_id = $1 AND user_id = $2 AND outcome = 'asked'",
    )
    .bind(slot_id)
    .bind(user_id)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a slot. False: it had ended.
pub async fn end(conn: &mut PgConnection, id: i64, failed: Option<&str>) -> sqlx::Result<bool> {
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

/// Users of a slot that the agent is still at work on.
pub async fn asked(conn: &mut PgConnection, id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM channel_slot_users WHERE slot_id = $1 AND outcome = 'asked'")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Whether the agent failed for everybody of a slot, who are some.
pub async fn agent_failed_for_all(conn: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT count(*) > 0 AND bool_and(outcome = 'agent_failed') FROM channel_slot_users WHERE slot_id = $1")
        .bind(id)
        .fetch_one(conn)
        .await
        .map(|all: Option<bool>| all.unwrap_or(false))
}

/// What the last slots of a schedule came to.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Past {
    /// When it fell due.
    pub moment: DateTime<Utc>,
    /// `open`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// Users whose delivery was planned.
    pub planned: i64,
    /// Users who could not be written to.
    pub blocked: i64,
    /// Users for whom the agent failed or had nothing to say.
    pub not_planned: i64,
    /// Deliveries that Twilio has.
    pub sent: i64,
    /// Deliveries that arrived.
    pub delivered: i64,
}

/// The last slots of a schedule, the newest first.
pub async fn last(conn: &mut PgConnection, schedule: &str, number: i64) -> sqlx::Result<Vec<Past>> {
    sqlx::query_as(
        "SELECT s.moment, s.state, s.reason, count(*) FILTER (WHERE u.outcome = 'planned') AS planned,
                count(*) FILTER (WHERE u.outcome = 'blocked') AS blocked, count(*) FILTER (WHERE u.outcome IN ('agent_failed', 'empty')) AS not_planned,
                count(*) FILTER (WHERE d.state IN ('sent', 'delivered')) AS sent, count(*) FILTER (WHERE d.state = 'delivered') AS delivered
         FROM (SELECT * FROM channel_slots WHERE schedule = $1 ORDER BY moment DESC LIMIT $2) s
         LEFT JOIN channel_slot_users u ON u.slot_id = s.id LEFT JOIN channel_deliveries d ON d.id = u.delivery_id
         GROUP BY s.id, s.moment, s.state, s.reason ORDER BY s.moment DESC",
    )
    .bind(schedule)
    .bind(number)
    .fetch_all(conn)
    .await
}
