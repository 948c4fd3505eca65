//! `channel_slot_users`: what a slot came to for each user of its audience, each once.

use sqlx::PgConnection;

use crate::ids::{DeliveryId, SlotId, UserId};
use crate::slots::Slot;
use crate::text_enum::text_enum;

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

/// A user's part of a slot.
#[derive(Clone, Debug)]
pub struct UserPart<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// What it came to so far.
    pub outcome: PartOutcome,
    /// Why it came to nothing.
    pub reason: Option<&'a str>,
    /// The WhatsApp copy.
    pub delivery_id: Option<DeliveryId>,
}

/// Notes users as dealt with, each once for ever. Where users go by zones of their own, each also once for the slot's time on their clocks: the error
/// of a user who was dealt with meanwhile, in another zone, is that of a unique index.
pub async fn add_users(conn: &mut PgConnection, slot: &Slot, parts: &[UserPart<'_>]) -> sqlx::Result<()> {
    let users: Vec<&UserId> = parts.iter().map(|part| part.user_id).collect();
    let outcomes: Vec<PartOutcome> = parts.iter().map(|part| part.outcome).collect();
    let reasons: Vec<Option<&str>> = parts.iter().map(|part| part.reason).collect();
    let deliveries: Vec<Option<DeliveryId>> = parts.iter().map(|part| part.delivery_id).collect();
    sqlx::query(
        "INSERT INTO channel_slot_users (slot_id, user_id, outcome, reason, delivery_id, schedule, local_time)
         SELECT $1, user_id, outcome, reason, delivery_id, $6, $7
         FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::UUID[]) AS new (user_id, outcome, reason, delivery_id)",
    )
    .bind(slot.id)
    .bind(&users)
    .bind(&outcomes)
    .bind(&reasons)
    .bind(&deliveries)
    .bind(slot.local_time.map(|_| &slot.schedule))
    .bind(slot.local_time)
    .execute(conn)
    .await?;
    Ok(())
}

/// Which of these users were dealt with already for the slot's time on their clocks: in the zone that they lived in before.
pub async fn dealt_with_elsewhere(
    conn: &mut PgConnection,
    slot: &Slot,
    users: &[UserId],
) -> sqlx::Result<Vec<UserId>> {
    if slot.local_time.is_none() {
        return Ok(Vec::new());
    }
    // Each user is looked for alone: by a plan that was made while the table was empty, Postgres reads everybody of the slot's time for each page.
    sqlx::query_scalar(
        "SELECT asked.user_id FROM unnest($3::TEXT[]) AS asked (user_id)
         CROSS JOIN LATERAL (SELECT FROM channel_slot_users p WHERE p.schedule = $1 AND p.local_time = $2 AND p.user_id = asked.user_id OFFSET 0) AS dealt_with",
    )
    .bind(&slot.schedule)
    .bind(slot.local_time)
    .bind(users)
    .fetch_all(conn)
    .await
}

/// The calls of the agent that were counted for a user of a slot for whom it is to be asked, or being asked; `None`: this part has ended.
pub async fn runs_of_asked(
    conn: &mut PgConnection,
    id: SlotId,
    user_id: &UserId,
) -> sqlx::Result<Option<i32>> {
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
    user_id: &UserId,
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
