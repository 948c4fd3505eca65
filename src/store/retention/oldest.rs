//! Parts whose oldest rows an index has first: a page of these is looked at, and deleted as far as it is old enough.

use sqlx::PgConnection;

use super::PAGE;

pub(super) const CALLBACKS: &str = "DELETE FROM channel_status_callbacks WHERE id = ANY (ARRAY(
         SELECT id FROM (SELECT id, received_at FROM channel_status_callbacks ORDER BY id LIMIT 500) page
         WHERE received_at < now() - make_interval(secs => $1)))";

pub(super) const CLAIM_TRIES: &str = "DELETE FROM channel_claim_tries WHERE message_id = ANY (ARRAY(
         SELECT message_id FROM (SELECT message_id, tried_at FROM channel_claim_tries ORDER BY message_id LIMIT 500) page
         WHERE tried_at < now() - make_interval(secs => $1)))";

pub(super) const IDEMPOTENCY_KEYS: &str = "DELETE FROM channel_idempotency_keys WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM channel_idempotency_keys WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT 500
         FOR UPDATE SKIP LOCKED))";

pub(super) const DASHBOARD_CODES: &str = "DELETE FROM channel_dashboard_codes WHERE hash = ANY (ARRAY(
         SELECT hash FROM channel_dashboard_codes WHERE ends_at < now() - make_interval(secs => $1) ORDER BY ends_at LIMIT 500 FOR UPDATE SKIP LOCKED))";

pub(super) const DASHBOARD_SESSIONS: &str = "DELETE FROM channel_dashboard_sessions WHERE hash = ANY (ARRAY(
         SELECT hash FROM channel_dashboard_sessions WHERE ends_at < now() - make_interval(secs => $1) ORDER BY ends_at LIMIT 500
         FOR UPDATE SKIP LOCKED))";

/// A token that is not valid any more proves nothing, whether it was used up or not.
pub(super) const CLAIM_TOKENS: &str = "DELETE FROM channel_claim_tokens WHERE id = ANY (ARRAY(
         SELECT id FROM channel_claim_tokens
         WHERE id = ANY (ARRAY(SELECT id FROM (SELECT id, expires_at FROM channel_claim_tokens ORDER BY id LIMIT 500) page
                               WHERE expires_at < now() - make_interval(secs => $1)))
         FOR UPDATE SKIP LOCKED))";

pub(super) const SENT_DAYS: &str = "DELETE FROM channel_sent_days WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM channel_sent_days WHERE day < (now() AT TIME ZONE 'UTC' - make_interval(secs => $1))::DATE ORDER BY day LIMIT 500
         FOR UPDATE SKIP LOCKED))";

/// The newest of each cause stays: one that comes back goes on in it, and it tells that a limit of this month was told of. Those that stay are few, so a page
/// of the oldest never holds nothing else.
pub(super) const ALERTS: &str = "DELETE FROM channel_alerts WHERE id = ANY (ARRAY(
         SELECT id FROM (SELECT id, cause, closed_at FROM channel_alerts ORDER BY id LIMIT 500) page
         WHERE closed_at < now() - make_interval(secs => $1)
           AND EXISTS (SELECT FROM channel_alerts n WHERE n.cause = page.cause AND n.id > page.id)))";

/// Twilio lists none of them any more.
pub(super) const UNUSABLE_ENTRIES: &str = "DELETE FROM channel_unusable_entries WHERE id = ANY (ARRAY(
         SELECT id FROM (SELECT id, last_seen_at FROM channel_unusable_entries ORDER BY id LIMIT 500) page
         WHERE last_seen_at < now() - make_interval(secs => $1)))";

/// A turn names its outage for as long as it has its words.
pub(super) const AGENT_OUTAGES: &str = "DELETE FROM channel_agent_outages WHERE id = ANY (ARRAY(
         SELECT o.id FROM channel_agent_outages o
         WHERE o.closed_at < now() - make_interval(secs => $1) AND NOT EXISTS (SELECT FROM channel_turns t WHERE t.outage_id = o.id)
         ORDER BY o.closed_at LIMIT 500 FOR UPDATE SKIP LOCKED))";

/// Deletes a page of the oldest rows. True: there may be more.
pub(super) async fn take(conn: &mut PgConnection, statement: &'static str, age: f64) -> sqlx::Result<bool> {
    let gone = sqlx::query(statement).bind(age).execute(conn).await?.rows_affected();
    Ok(i64::try_from(gone).is_ok_and(|gone| gone == PAGE))
}
