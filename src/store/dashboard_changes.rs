//! What an open dashboard shows beside the thread, in a few letters for each user: when these differ, something has changed. Two statements serve any
//! number of open pages.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::ids::UserId;

/// A mark of what is known of each of these users: details, link, claim, consents, usage, and the schedules of all. Users who are gone have none.
pub async fn marks(conn: &mut PgConnection, user_ids: &[UserId]) -> sqlx::Result<HashMap<UserId, String>> {
    let links: Vec<(UserId, String)> = sqlx::query_as(
        "SELECT u.id, concat_ws('.', u.updated_at,
                 (SELECT concat_ws('-', l.id, l.unproven_since) FROM channel_links l WHERE l.user_id = u.id AND l.ended_at IS NULL),
                 (SELECT concat_ws('-', t.id, t.ending, t.expires_at > clock_timestamp()) FROM channel_claim_tokens t
                  WHERE t.user_id = u.id ORDER BY t.id DESC LIMIT 1))
         FROM channel_users u WHERE u.id = ANY ($1)",
    )
    .bind(user_ids)
    .fetch_all(&mut *conn)
    .await?;
    let sends: HashMap<UserId, String> = sqlx::query_as(
        "SELECT u.id, concat_ws('.', (SELECT c.id FROM whatsapp_consents c WHERE c.user_id = u.id ORDER BY c.id DESC LIMIT 1),
                 (SELECT concat_ws('-', s.used, s.reserved, s.credited, s.period_start) FROM whatsapp_sends s
                  WHERE s.user_id = u.id ORDER BY s.period_start DESC LIMIT 1))
         FROM unnest($1::TEXT[]) AS u (id)",
    )
    .bind(user_ids)
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .collect();
    let schedules: String = sqlx::query_scalar(
        "SELECT concat_ws('-', count(*) FILTER (WHERE enabled AND removed_at IS NULL), max(loaded_at), (SELECT max(id) FROM channel_slots)) FROM channel_schedules",
    )
    .fetch_one(conn)
    .await?;
    let marked = links.into_iter().map(|(id, link)| {
        let sent = sends.get(&id).map_or("", String::as_str);
        let mark = format!("{link}.{sent}.{schedules}");
        (id, mark)
    });
    Ok(marked.collect())
}
