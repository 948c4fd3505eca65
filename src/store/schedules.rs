//! `channel_schedules`: the present definition of each schedule. The last load wins; a process that has another one fires nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::ids::ScheduleName;
use crate::text_enum::text_enum;

text_enum! {
    /// What switched a schedule off.
    pub enum OffCause in ["channel_schedules.off_cause"] {
        /// Somebody did, by name.
        ByHand = "by_hand",
        /// Too many of its slots failed one after the other.
        FailedInRow = "failed_in_row",
    }
}

/// That a schedule was switched off, whatever its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchedOff {
    /// What did it.
    pub cause: OffCause,
    /// When.
    pub since: DateTime<Utc>,
    /// Who did it by hand.
    pub by: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// A schedule as the database has it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ScheduleRow {
    /// The file's stem.
    pub name: ScheduleName,
    /// Of the definition.
    pub hash: String,
    /// What it does.
    pub definition: Value,
    /// When this definition became the present one.
    pub loaded_at: DateTime<Utc>,
    /// Every moment up to here is dealt with.
    pub fired_until: DateTime<Utc>,
    /// An administrator's switch.
    pub enabled: bool,
    /// What switched it off; `None`: it is enabled.
    pub off_cause: Option<OffCause>,
    /// When it was switched off.
    pub off_since: Option<DateTime<Utc>>,
    /// Who did it by hand.
    pub off_by: Option<String>,
    /// Why, in words.
    pub off_reason: Option<String>,
    /// Its file is gone.
    pub removed_at: Option<DateTime<Utc>>,
    /// The database's clock now.
    pub now: DateTime<Utc>,
}

impl ScheduleRow {
    /// Who or what switched it off, when and why; `None`: it is enabled.
    #[must_use]
    pub fn switched_off(&self) -> Option<SwitchedOff> {
        let (cause, since) = self.off_cause.zip(self.off_since)?;
        Some(SwitchedOff { cause, since, by: self.off_by.clone(), reason: self.off_reason.clone() })
    }
}

const COLUMNS: &str = "SELECT name, hash, definition, loaded_at, fired_until, enabled, off_cause, off_since, off_by, off_reason, removed_at, clock_timestamp() AS now FROM channel_schedules";

/// Takes in a schedule that is new; its time begins now. False: there is one of this name.
pub async fn create(
    conn: &mut PgConnection,
    name: &ScheduleName,
    hash: &str,
    definition: &Value,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO channel_schedules (name, hash, definition) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(hash)
    .bind(definition)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces a schedule's definition and its `fired_until`. The caller holds its lock.
pub async fn replace(
    conn: &mut PgConnection,
    name: &ScheduleName,
    hash: &str,
    definition: &Value,
    fired_until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_schedules SET hash = $2, definition = $3, loaded_at = clock_timestamp(), removed_at = NULL, fired_until = $4 WHERE name = $1",
    )
    .bind(name)
    .bind(hash)
    .bind(definition)
    .bind(fired_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a schedule whose file is gone, if this process still has the present definition of it.
pub async fn remove(conn: &mut PgConnection, name: &ScheduleName, hash: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_schedules SET removed_at = clock_timestamp() WHERE name = $1 AND hash = $2 AND removed_at IS NULL",
    )
    .bind(name)
    .bind(hash)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A schedule, locked until the caller's transaction ends: its slots are made under this lock. `None`: somebody else has it just now, or there is
/// none.
pub async fn try_lock(conn: &mut PgConnection, name: &ScheduleName) -> sqlx::Result<Option<ScheduleRow>> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1 FOR UPDATE SKIP LOCKED")))
        .bind(name)
        .fetch_optional(conn)
        .await
}

/// A schedule, locked; waits for whoever has it.
pub async fn lock(conn: &mut PgConnection, name: &ScheduleName) -> sqlx::Result<Option<ScheduleRow>> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1 FOR UPDATE")))
        .bind(name)
        .fetch_optional(conn)
        .await
}

/// Every schedule whose file is there, by name.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<ScheduleRow>> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE removed_at IS NULL ORDER BY name")))
        .fetch_all(conn)
        .await
}

/// Every moment up to this one is dealt with.
pub async fn advance(
    conn: &mut PgConnection,
    name: &ScheduleName,
    fired_until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_schedules SET fired_until = $2 WHERE name = $1 AND fired_until < $2")
        .bind(name)
        .bind(fired_until)
        .execute(conn)
        .await?;
    Ok(())
}

/// Switches a schedule on. Moments that fell due while it was off are not fired later. False: there is none.
pub async fn switch_on(conn: &mut PgConnection, name: &ScheduleName) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_schedules SET enabled = TRUE, off_cause = NULL, off_since = NULL, off_by = NULL, off_reason = NULL, failed_in_row = 0,
             fired_until = greatest(fired_until, clock_timestamp())
         WHERE name = $1 AND removed_at IS NULL",
    )
    .bind(name)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Switches a schedule off; `by`: who does it by hand. One that is off already is so by this from now on. False: there is none.
pub async fn switch_off(
    conn: &mut PgConnection,
    name: &ScheduleName,
    cause: OffCause,
    by: Option<&str>,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_schedules SET enabled = FALSE, off_cause = $2, off_since = clock_timestamp(), off_by = $3, off_reason = $4, failed_in_row = 0
         WHERE name = $1 AND removed_at IS NULL",
    )
    .bind(name)
    .bind(cause)
    .bind(by)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts a slot that ended; returns how many have failed one after the other.
pub async fn count_end(conn: &mut PgConnection, name: &ScheduleName, failed: bool) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "UPDATE channel_schedules SET failed_in_row = CASE WHEN $2 THEN failed_in_row + 1 ELSE 0 END WHERE name = $1 RETURNING failed_in_row",
    )
    .bind(name)
    .bind(failed)
    .fetch_one(conn)
    .await
}
