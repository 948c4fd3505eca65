//! `whatsapp_sends`: a user's allowance of metered messages in a billing period.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{ChunkId, UserId};
use crate::periods::Period;

/// What became of an allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Usage {
    /// Accepted by Twilio, or nobody will ever know whether it was.
    pub used: i32,
    /// Planned, not yet accepted.
    pub reserved: i32,
    /// Accepted, and failed for good afterwards.
    pub credited: i32,
}

/// What a user has used of a period.
pub async fn usage(conn: &mut PgConnection, user_id: &UserId, period: Period) -> sqlx::Result<Usage> {
    let usage = sqlx::query_as(
        "SELECT used, reserved, credited FROM whatsapp_sends WHERE user_id = $1 AND period_start = $2",
    )
    .bind(user_id)
    .bind(period.start)
    .fetch_optional(conn)
    .await?;
    Ok(usage.unwrap_or_default())
}

/// What these users have used of these periods; those who have used nothing are left out.
pub async fn usages(
    conn: &mut PgConnection,
    periods: &[(&UserId, Period)],
) -> sqlx::Result<HashMap<UserId, Usage>> {
    let users: Vec<&UserId> = periods.iter().map(|(user_id, _)| *user_id).collect();
    let starts: Vec<DateTime<Utc>> = periods.iter().map(|(_, period)| period.start).collect();
    let rows: Vec<(UserId, i32, i32, i32)> = sqlx::query_as(
        "SELECT asked.user_id, s.used, s.reserved, s.credited FROM unnest($1::TEXT[], $2::TIMESTAMPTZ[]) AS asked (user_id, period_start)
         CROSS JOIN LATERAL (SELECT used, reserved, credited FROM whatsapp_sends s
                             WHERE s.user_id = asked.user_id AND s.period_start = asked.period_start OFFSET 0) AS s",
    )
    .bind(&users)
    .bind(&starts)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(user_id, used, reserved, credited)| (user_id, Usage { used, reserved, credited }))
        .collect())
}

/// So many chunks that shall be reserved in an allowance.
#[derive(Clone, Copy, Debug)]
pub struct ReservationWish<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// Of which period.
    pub period: Period,
    /// All that may be sent in it.
    pub cap: u32,
    /// How many.
    pub chunks: usize,
}

/// Reserves chunks in allowances, for each user all or none, and returns the users whose chunks were reserved.
/// Concurrent callers never pass a cap: a row is inserted or updated only under the condition that the cap allows it. Each user may be named once. The caller then stores the chunks as reserved and calls [`note_reserved`];
/// from there on the trigger `whatsapp_meter_state` moves the allowance with the chunks' states.
pub async fn reserve(
    conn: &mut PgConnection,
    wishes: &[ReservationWish<'_>],
) -> sqlx::Result<HashSet<UserId>> {
    let mut granted: HashSet<UserId> = reserve_first(conn, wishes).await?.into_iter().collect();
    let left: Vec<ReservationWish<'_>> =
        wishes.iter().filter(|wish| !granted.contains(wish.user_id)).copied().collect();
    if !left.is_empty() {
        granted.extend(reserve_more(conn, &left).await?);
    }
    Ok(granted)
}

/// Of allowances that nothing was reserved in yet.
async fn reserve_first(conn: &mut PgConnection, wishes: &[ReservationWish<'_>]) -> sqlx::Result<Vec<UserId>> {
    let columns = WishColumns::of(wishes);
    sqlx::query_scalar(
        "INSERT INTO whatsapp_sends (user_id, period_start, period_end, reserved)
         SELECT user_id, period_start, period_end, number
         FROM unnest($1::TEXT[], $2::TIMESTAMPTZ[], $3::TIMESTAMPTZ[], $4::INT[], $5::BIGINT[]) AS wish (user_id, period_start, period_end, number, cap)
         WHERE number <= cap ORDER BY user_id ON CONFLICT DO NOTHING RETURNING user_id",
    )
    .bind(&columns.users)
    .bind(&columns.starts)
    .bind(&columns.ends)
    .bind(&columns.numbers)
    .bind(&columns.caps)
    .fetch_all(conn)
    .await
}

/// Of allowances that there are.
async fn reserve_more(conn: &mut PgConnection, wishes: &[ReservationWish<'_>]) -> sqlx::Result<Vec<UserId>> {
    let columns = WishColumns::of(wishes);
    sqlx::query_scalar("SELECT whatsapp_reserve($1, $2, $3, $4)")
        .bind(&columns.users)
        .bind(&columns.starts)
        .bind(&columns.numbers)
        .bind(&columns.caps)
        .fetch_all(conn)
        .await
}

/// Wishes as one array for each column.
struct WishColumns<'a> {
    users: Vec<&'a UserId>,
    starts: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
    numbers: Vec<i32>,
    caps: Vec<i64>,
}

impl<'a> WishColumns<'a> {
    fn of(wishes: &[ReservationWish<'a>]) -> Self {
        Self {
            users: wishes.iter().map(|wish| wish.user_id).collect(),
            starts: wishes.iter().map(|wish| wish.period.start).collect(),
            ends: wishes.iter().map(|wish| wish.period.end).collect(),
            numbers: wishes.iter().map(|wish| i32::try_from(wish.chunks).unwrap_or(i32::MAX)).collect(),
            caps: wishes.iter().map(|wish| i64::from(wish.cap)).collect(),
        }
    }
}

/// Writes into the ledger that these chunks were reserved, by user and period.
pub async fn note_reserved(
    conn: &mut PgConnection,
    reserved: &[(&UserId, DateTime<Utc>, &[ChunkId])],
) -> sqlx::Result<()> {
    let (mut users, mut starts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (user_id, period_start, chunk_ids) in reserved {
        for id in *chunk_ids {
            users.push(*user_id);
            starts.push(*period_start);
            ids.push(*id);
        }
    }
    sqlx::query(
        "INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event)
         SELECT user_id, period_start, chunk_id, 'reserved' FROM unnest($1::TEXT[], $2::TIMESTAMPTZ[], $3::BIGINT[]) AS new (user_id, period_start, chunk_id)",
    )
    .bind(&users)
    .bind(&starts)
    .bind(&ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// Credits a chunk that was accepted and then failed for good, once. The caller holds the chunk's lock.
pub async fn credit(conn: &mut PgConnection, chunk_id: ChunkId) -> sqlx::Result<()> {
    sqlx::query("SELECT whatsapp_meter(c, 'credited') FROM channel_chunks c WHERE c.id = $1 AND c.metering = 'used' AND c.state = 'failed'")
        .bind(chunk_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// An allowance whose counters are not what its ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Whose.
    pub user_id: UserId,
    /// Which counters, as they are and as they should be.
    pub detail: String,
}

/// What came of recomputing allowances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Those that differ from their ledger.
    pub drift: Vec<Drift>,
    /// How many were recomputed.
    pub recomputed: usize,
    /// About how many there are; `None`: all were recomputed.
    pub of_about: Option<i64>,
}

/// Recomputes allowances from their ledger: all of them if there are at most `at_most`, else a random sample of about
/// that size.
pub async fn audit(conn: &mut PgConnection, at_most: i64) -> sqlx::Result<Audit> {
    let all: i64 =
        sqlx::query_scalar("SELECT reltuples::BIGINT FROM pg_class WHERE oid = 'whatsapp_sends'::regclass")
            .fetch_one(&mut *conn)
            .await?;
    #[expect(clippy::cast_precision_loss, reason = "a share of a hundred need not be exact")]
    let percent = if all <= at_most { 100.0 } else { 100.0 * at_most as f64 / all as f64 };
    let looked_at: Vec<(UserId, Option<String>)> = sqlx::query_as(
        "SELECT s.user_id, CASE WHEN (s.used, s.reserved, s.credited) IS DISTINCT FROM (t.used, t.reserved, t.credited)
                    THEN format('used %s, reserved %s, credited %s; the ledger says %s, %s, %s', s.used, s.reserved, s.credited, t.used, t.reserved, t.credited) END
         FROM whatsapp_sends s TABLESAMPLE SYSTEM ($1) CROSS JOIN LATERAL (
             SELECT coalesce(sum(m.number) FILTER (WHERE m.event = 'used'), 0) AS used,
                    coalesce(sum(CASE m.event WHEN 'credited' THEN m.number WHEN 'withdrawn' THEN -m.number END), 0) AS credited,
                    coalesce(sum(m.number) FILTER (WHERE m.event = 'reserved'), 0) - coalesce(sum(m.number) FILTER (WHERE m.was = 'reserved'), 0) AS reserved
             FROM (SELECT l.event, l.was, 1 AS number FROM whatsapp_send_ledger l WHERE l.user_id = s.user_id AND l.period_start = s.period_start
                   UNION ALL
                   SELECT o.event, o.was, o.number FROM whatsapp_send_sums o WHERE o.user_id = s.user_id AND o.period_start = s.period_start) AS m) AS t
         ORDER BY s.user_id",
    )
    .bind(percent)
    .fetch_all(conn)
    .await?;
    let recomputed = looked_at.len();
    let drift =
        looked_at.into_iter().filter_map(|(user_id, detail)| Some(Drift { user_id, detail: detail? }));
    Ok(Audit { drift: drift.collect(), recomputed, of_about: (all > at_most).then_some(all) })
}
