//! What is old and kept no longer. It goes page by page, the oldest first; how far that has come is in `channel_retention`, so another process goes on after a
//! crash.
//!
//! The narrow rows stay: a message's SID is taken in once, for ever, and a delivery's state is told for ever.

/// Parts whose oldest rows an index has first.
mod oldest;
/// Parts whose age is not in the order of their keys.
mod walks;

use std::time::Duration;

use sqlx::PgConnection;

use crate::ids::DeliveryId;
use crate::text_enum::text_enum;

text_enum! {
    /// What goes by its age.
    pub enum RetainedPart in ["channel_retention.part"] {
        /// Entries of threads.
        Entries = "entries",
        /// Texts and parameters of messages, and what is known of their files.
        Messages = "messages",
        /// What the agent said, and how it was asked.
        Turns = "turns",
        /// Texts of deliveries and chunks, and the attempts to send them.
        Deliveries = "deliveries",
        /// Twilio's status callbacks.
        Callbacks = "callbacks",
        /// What a slot came to for each user.
        SlotUsers = "slot_users",
        /// Wrong tries of claim tokens.
        ClaimTries = "claim_tries",
        /// Keys of requests.
        IdempotencyKeys = "idempotency_keys",
        /// Token buckets that are full.
        RateBuckets = "rate_buckets",
        /// Movements of allowances, one by one; their sums stay.
        Ledger = "ledger",
        /// Names of people who never had a user.
        Strangers = "strangers",
        /// Tokens by which phones prove whose they are.
        ClaimTokens = "claim_tokens",
        /// Counts of the messages that each user was sent on a day.
        SentDays = "sent_days",
        /// Alerts that are over.
        Alerts = "alerts",
        /// Entries of Twilio's list that could not be taken in.
        UnusableEntries = "unusable_entries",
        /// The times in which an agent answered nobody.
        AgentOutages = "agent_outages",
        /// Links to the dashboard that nobody has opened.
        DashboardCodes = "dashboard_codes",
        /// Sessions of the dashboard that have ended.
        DashboardSessions = "dashboard_sessions",
    }
}

impl RetainedPart {
    /// All of them, threads first: their entries go before the words do.
    pub const ALL: [Self; 18] = [
        Self::Entries,
        Self::Messages,
        Self::Turns,
        Self::Deliveries,
        Self::Callbacks,
        Self::SlotUsers,
        Self::ClaimTries,
        Self::IdempotencyKeys,
        Self::RateBuckets,
        Self::Ledger,
        Self::Strangers,
        Self::ClaimTokens,
        Self::SentDays,
        Self::Alerts,
        Self::UnusableEntries,
        Self::AgentOutages,
        Self::DashboardCodes,
        Self::DashboardSessions,
    ];

    /// All of it is looked at once a day, since its age is not in the order of its keys.
    fn is_walked_daily(self) -> bool {
        matches!(self, Self::Entries | Self::RateBuckets | Self::Strangers)
    }
}

/// How far a part has come.
#[derive(sqlx::FromRow)]
struct Cursor {
    next_id: i64,
    next_delivery: DeliveryId,
    next_name: String,
    is_due: bool,
}

impl Cursor {
    fn is_at_start(&self) -> bool {
        self.next_id == 0 && self.next_name.is_empty()
    }
}

/// What a page was.
struct Page {
    /// The cursor after it.
    cursor: Cursor,
    /// There may be another one.
    has_next: bool,
}

/// Rows of a page. The statements have it written out: for a number that comes later Postgres plans as for a tenth of the table.
const PAGE: i64 = 500;

/// Takes away the next page of what is older than `age`, in the caller's transaction. False: nothing more is old enough, or another process is at it.
pub async fn take_page(conn: &mut PgConnection, part: RetainedPart, age: Duration) -> sqlx::Result<bool> {
    let cursor: Option<Cursor> = sqlx::query_as(
        "SELECT next_id, next_delivery, next_name, walked_at IS NULL OR walked_at < clock_timestamp() - interval '1 day' AS is_due
         FROM channel_retention WHERE part = $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(part)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(cursor) = cursor else { return Ok(false) };
    // The day counts from the end of the walk, so nothing is written before.
    if part.is_walked_daily() && cursor.is_at_start() && !cursor.is_due {
        return Ok(false);
    }
    let age = age.as_secs_f64();
    let page = match part {
        RetainedPart::Entries => walks::entries(conn, cursor, age).await?,
        RetainedPart::Messages => numbered(conn, MESSAGES, cursor, age).await?,
        RetainedPart::Turns => numbered(conn, TURNS, cursor, age).await?,
        RetainedPart::Deliveries => deliveries(conn, cursor, age).await?,
        RetainedPart::SlotUsers => slot_users(conn, cursor, age).await?,
        RetainedPart::RateBuckets => walks::rate_buckets(conn, cursor, age).await?,
        RetainedPart::Strangers => walks::strangers(conn, cursor, age).await?,
        RetainedPart::Ledger => numbered(conn, LEDGER, cursor, age).await?,
        RetainedPart::Callbacks => return oldest::take(conn, oldest::CALLBACKS, age).await,
        RetainedPart::ClaimTries => return oldest::take(conn, oldest::CLAIM_TRIES, age).await,
        RetainedPart::IdempotencyKeys => return oldest::take(conn, oldest::IDEMPOTENCY_KEYS, age).await,
        RetainedPart::ClaimTokens => return oldest::take(conn, oldest::CLAIM_TOKENS, age).await,
        RetainedPart::SentDays => return oldest::take(conn, oldest::SENT_DAYS, age).await,
        RetainedPart::Alerts => return oldest::take(conn, oldest::ALERTS, age).await,
        RetainedPart::UnusableEntries => return oldest::take(conn, oldest::UNUSABLE_ENTRIES, age).await,
        RetainedPart::AgentOutages => return oldest::take(conn, oldest::AGENT_OUTAGES, age).await,
        RetainedPart::DashboardCodes => return oldest::take(conn, oldest::DASHBOARD_CODES, age).await,
        RetainedPart::DashboardSessions => return oldest::take(conn, oldest::DASHBOARD_SESSIONS, age).await,
    };
    let Page { cursor, has_next } = page;
    sqlx::query(
        "UPDATE channel_retention SET next_id = $2, next_delivery = $3, next_name = $4, walked_at = CASE WHEN $5 THEN walked_at ELSE clock_timestamp() END
         WHERE part = $1",
    )
    .bind(part)
    .bind(cursor.next_id)
    .bind(cursor.next_delivery)
    .bind(cursor.next_name)
    .bind(has_next)
    .execute(conn)
    .await?;
    Ok(has_next)
}

const MESSAGES: &str = "WITH page AS (
         SELECT id, outcome IS NOT NULL AS is_settled, received_at >= now() - make_interval(secs => $2) AS is_young
         FROM channel_messages WHERE id > $1 ORDER BY id LIMIT 500
     ), old AS (
         SELECT id, is_settled FROM page WHERE id < coalesce((SELECT min(id) FROM page WHERE is_young), 9223372036854775807)
     ), files AS (
         DELETE FROM channel_attachments WHERE message_id = ANY (ARRAY(SELECT id FROM old WHERE is_settled))
     ), emptied AS (
         UPDATE channel_messages SET body = '', params = '{}' WHERE id = ANY (ARRAY(SELECT id FROM old WHERE is_settled)) AND (body <> '' OR params <> '{}')
     )
     SELECT max(id), count(*) FROM old";

const TURNS: &str = "WITH page AS (
         SELECT id, finished_at IS NOT NULL AS is_settled, started_at >= now() - make_interval(secs => $2) AS is_young
         FROM channel_turns WHERE id > $1 ORDER BY id LIMIT 500
     ), old AS (
         SELECT id, is_settled FROM page WHERE id < coalesce((SELECT min(id) FROM page WHERE is_young), 9223372036854775807)
     ), calls AS (
         DELETE FROM channel_agent_calls WHERE turn_id = ANY (ARRAY(SELECT id FROM old WHERE is_settled))
     ), emptied AS (
         UPDATE channel_turns SET reply = left(reply, 0), in_hand = NULL, error = NULL, outage_id = NULL WHERE id = ANY (ARRAY(SELECT id FROM old WHERE is_settled))
     )
     SELECT max(id), count(*) FROM old";

/// One row for each user, period and movement is all that the totals need.
const LEDGER: &str = "WITH page AS (
         SELECT id, at >= now() - make_interval(secs => $2) AS is_young FROM whatsapp_send_ledger WHERE id > $1 ORDER BY id LIMIT 500
     ), old AS (
         SELECT id FROM page WHERE id < coalesce((SELECT min(id) FROM page WHERE is_young), 9223372036854775807)
     ), gone AS (
         DELETE FROM whatsapp_send_ledger WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING user_id, period_start, event, was
     ), sums AS (
         INSERT INTO whatsapp_send_sums AS s (user_id, period_start, event, was, number)
         SELECT user_id, period_start, event, was, count(*) FROM gone GROUP BY user_id, period_start, event, was
         ON CONFLICT (user_id, period_start, event, was) DO UPDATE SET number = s.number + excluded.number
     )
     SELECT max(id), count(*) FROM old";

/// A page of rows whose numbers are in the order of time.
async fn numbered(
    conn: &mut PgConnection,
    statement: &'static str,
    cursor: Cursor,
    age: f64,
) -> sqlx::Result<Page> {
    let (last, number): (Option<i64>, i64) =
        sqlx::query_as(statement).bind(cursor.next_id).bind(age).fetch_one(conn).await?;
    let next_id = last.unwrap_or(cursor.next_id);
    Ok(Page { cursor: Cursor { next_id, ..cursor }, has_next: number == PAGE })
}

/// What is still to be sent, and what Twilio may have, keeps its text: that is compared with Twilio's list.
const DELIVERIES: &str = "WITH page AS (
         SELECT id, created_at >= now() - make_interval(secs => $2) AS is_young FROM channel_deliveries WHERE id > $1 ORDER BY id LIMIT 500
     ), old AS (
         SELECT id FROM page WHERE id < coalesce((SELECT id FROM page WHERE is_young ORDER BY id LIMIT 1), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     ), closed AS (
         SELECT id FROM channel_deliveries WHERE id = ANY (ARRAY(SELECT id FROM old)) AND closed_at IS NOT NULL ORDER BY id FOR UPDATE
     ), texts AS (
         UPDATE channel_deliveries SET text = '', content_variables = NULL WHERE id = ANY (ARRAY(SELECT id FROM closed))
     ), parts AS (
         UPDATE channel_chunks SET body = '', sent_to = NULL
         WHERE delivery_id = ANY (ARRAY(SELECT id FROM closed)) AND state NOT IN ('planned', 'sending') RETURNING id
     ), tries AS (
         DELETE FROM channel_send_attempts WHERE chunk_id = ANY (ARRAY(SELECT id FROM parts))
     )
     SELECT (SELECT id FROM old ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM old)";

async fn deliveries(conn: &mut PgConnection, cursor: Cursor, age: f64) -> sqlx::Result<Page> {
    let (last, number): (Option<DeliveryId>, i64) =
        sqlx::query_as(DELIVERIES).bind(cursor.next_delivery).bind(age).fetch_one(conn).await?;
    let next_delivery = last.unwrap_or(cursor.next_delivery);
    Ok(Page { cursor: Cursor { next_delivery, ..cursor }, has_next: number == PAGE })
}

/// A page of the users of one slot.
async fn slot_users(conn: &mut PgConnection, cursor: Cursor, age: f64) -> sqlx::Result<Page> {
    let slot: Option<(i64, bool)> = sqlx::query_as(
        "SELECT id, finished_at IS NOT NULL FROM (SELECT id, fired_at, finished_at FROM channel_slots WHERE id > $1 ORDER BY id LIMIT 1) s
         WHERE coalesce(finished_at, fired_at) < now() - make_interval(secs => $2)",
    )
    .bind(cursor.next_id)
    .bind(age)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((slot_id, is_finished)) = slot else { return Ok(Page { cursor, has_next: false }) };
    let gone = if is_finished {
        let gone = sqlx::query(
            "DELETE FROM channel_slot_users WHERE slot_id = $1 AND user_id = ANY (ARRAY(
                 SELECT user_id FROM channel_slot_users WHERE slot_id = $1 ORDER BY user_id LIMIT 500))",
        )
        .bind(slot_id);
        i64::try_from(gone.execute(conn).await?.rows_affected()).unwrap_or(PAGE)
    } else {
        0
    };
    let next_id = if gone == PAGE { cursor.next_id } else { slot_id };
    Ok(Page { cursor: Cursor { next_id, ..cursor }, has_next: true })
}
