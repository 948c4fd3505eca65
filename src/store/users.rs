//! `channel_users`: the CloudyBot accounts that this channel knows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::ids::UserId;
use crate::periods::Anchor;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// CloudyBot's id.
    pub id: UserId,
    /// Its plan, as the configuration spells it.
    pub plan: String,
    /// When its billing periods begin.
    pub anchor: Anchor,
    /// The assistant is silent.
    pub paused: bool,
    /// Its own time zone, by its IANA name; `None`: not known.
    pub timezone: Option<String>,
    /// Between these times of the day, on the clocks of its zone, nothing is sent of our own accord; they may go over midnight.
    pub quiet_hours: Option<(NaiveTime, NaiveTime)>,
    /// What the product tells of it, for schedules' texts.
    pub attributes: BTreeMap<String, String>,
    /// When we first heard of it.
    pub created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) id: UserId,
    plan: String,
    anchor_day: Option<i16>,
    anchor_since: Option<DateTime<Utc>>,
    former_anchor_day: Option<i16>,
    paused: bool,
    timezone: Option<String>,
    quiet_from: Option<NaiveTime>,
    quiet_to: Option<NaiveTime>,
    attributes: Json<BTreeMap<String, String>>,
    created_at: DateTime<Utc>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let day = |day: Option<i16>| day.and_then(|day| u32::try_from(day).ok());
        let anchor = Anchor {
            day: day(row.anchor_day),
            since: row.anchor_since,
            former_day: day(row.former_anchor_day),
        };
        Self {
            id: row.id,
            plan: row.plan,
            anchor,
            paused: row.paused,
            timezone: row.timezone,
            quiet_hours: row.quiet_from.zip(row.quiet_to),
            attributes: row.attributes.0,
            created_at: row.created_at,
        }
    }
}

/// A user by its id.
pub async fn get(conn: &mut PgConnection, id: &UserId) -> sqlx::Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(
        "SELECT id, plan, anchor_day, anchor_since, former_anchor_day, paused, timezone, quiet_from, quiet_to, attributes, created_at
         FROM channel_users WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// The same, locked until the caller's transaction ends.
pub async fn lock(conn: &mut PgConnection, id: &UserId) -> sqlx::Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(
        "SELECT id, plan, anchor_day, anchor_since, former_anchor_day, paused, timezone, quiet_from, quiet_to, attributes, created_at
         FROM channel_users WHERE id = $1 FOR NO KEY UPDATE",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// Finds or creates a user, and locks it until the caller's transaction ends. True: it is new.
pub async fn create_or_lock(conn: &mut PgConnection, id: &UserId, plan: &str) -> sqlx::Result<(User, bool)> {
    loop {
        let made = sqlx::query("INSERT INTO channel_users (id, plan) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(plan)
            .execute(&mut *conn)
            .await?;
        // A user who was there a moment ago may be erased while the lock is waited for.
        if let Some(user) = lock(conn, id).await? {
            return Ok((user, made.rows_affected() == 1));
        }
    }
}

/// Writes what may change of a user.
pub async fn update(conn: &mut PgConnection, user: &User) -> sqlx::Result<()> {
    let day = |day: Option<u32>| day.and_then(|day| i16::try_from(day).ok());
    sqlx::query(
        "UPDATE channel_users SET plan = $2, anchor_day = $3, anchor_since = $4, former_anchor_day = $5, paused = $6, timezone = $7, quiet_from = $8,
                quiet_to = $9, attributes = $10, updated_at = now() WHERE id = $1",
    )
    .bind(&user.id)
    .bind(&user.plan)
    .bind(day(user.anchor.day))
    .bind(user.anchor.since)
    .bind(day(user.anchor.former_day))
    .bind(user.paused)
    .bind(&user.timezone)
    .bind(user.quiet_hours.map(|(from, _)| from))
    .bind(user.quiet_hours.map(|(_, to)| to))
    .bind(Json(&user.attributes))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether there are users besides this one.
pub async fn are_others(conn: &mut PgConnection, id: &UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT (SELECT id FROM channel_users WHERE id <> $1 ORDER BY id LIMIT 1) IS NOT NULL")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Which of these users there are not.
pub async fn unknown(conn: &mut PgConnection, ids: &[&UserId]) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar(
        "SELECT named.id FROM unnest($1::TEXT[]) AS named (id) WHERE NOT EXISTS (SELECT FROM channel_users u WHERE u.id = named.id)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}
