//! Erasing a user: bodies and numbers go, the proof of an opt-out stays as a hash that tells nothing.

use sqlx::PgConnection;

use crate::links::{self, Ending};
use crate::secret_keys::SecretKeys;
use crate::{addresses, opt_outs};

/// Erases a user. False: there is none. What Twilio may still have of a message in doubt is resolved by Twilio's list as before, since
/// a chunk under way keeps its text until it has ended.
pub async fn erase(conn: &mut PgConnection, keys: &SecretKeys, user_id: &str) -> sqlx::Result<bool> {
    let address_ids: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT l.address_id FROM channel_links l WHERE l.user_id = $1
         AND NOT EXISTS (SELECT FROM channel_links o WHERE o.address_id = l.address_id AND o.ended_at IS NULL AND o.user_id <> $1)
         ORDER BY l.address_id",
    )
    .bind(user_id)
    .fetch_all(&mut *conn)
    .await?;
    for id in &address_ids {
        addresses::lock(conn, *id).await?;
    }
    let user = sqlx::query("SELECT FROM channel_users WHERE id = $1 FOR UPDATE")
        .bind(user_id)
        .execute(&mut *conn)
        .await?;
    if user.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("SELECT FROM channel_conversations WHERE user_id = $1 FOR UPDATE")
        .bind(user_id)
        .execute(&mut *conn)
        .await?;
    if let Some(link) = links::of_user(conn, user_id).await? {
        links::end(conn, keys, &link, Ending::Erased).await?;
    }
    for id in &address_ids {
        let names = addresses::names(conn, *id).await?;
        opt_outs::erase(conn, keys, &names).await?;
    }
    for statement in FORGET_PEOPLE {
        sqlx::query(statement).bind(&address_ids).execute(&mut *conn).await?;
    }
    for statement in FORGET_USER {
        sqlx::query(statement).bind(user_id).execute(&mut *conn).await?;
    }
    Ok(true)
}

const FORGET_PEOPLE: [&str; 6] = [
    "UPDATE channel_messages SET body = '', params = '{}', outcome = coalesce(outcome, 'erased'), outcome_at = coalesce(outcome_at, clock_timestamp())
     WHERE address_id = ANY ($1)",
    "UPDATE channel_chunks c SET body = '', sent_to = NULL FROM channel_deliveries d WHERE d.id = c.delivery_id AND d.address_id = ANY ($1) AND c.state <> 'sending'",
    "UPDATE channel_deliveries SET text = '' WHERE address_id = ANY ($1)",
    "UPDATE channel_status_callbacks s SET params = '{}' FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
     WHERE s.chunk_id = c.id AND d.address_id = ANY ($1)",
    "DELETE FROM channel_notices WHERE address_id = ANY ($1)",
    "DELETE FROM channel_address_aliases WHERE address_id = ANY ($1)",
];

const FORGET_USER: [&str; 11] = [
    "UPDATE channel_deliveries SET state = 'cancelled', reason = 'the user was erased', closed_at = clock_timestamp() WHERE user_id = $1 AND state = 'waiting'",
    "UPDATE channel_deliveries SET text = '', content_variables = NULL WHERE user_id = $1",
    // A run of the agent that is under way finds its turn ended, and its reply is dropped.
    "UPDATE channel_turns t SET state = 'failed', error = 'the user was erased', in_hand = NULL, finished_at = clock_timestamp()
     FROM channel_conversations c WHERE c.id = t.conversation_id AND c.user_id = $1 AND t.state = 'running'",
    "UPDATE channel_messages m SET body = '', params = '{}', outcome = coalesce(outcome, 'erased'), outcome_at = coalesce(outcome_at, clock_timestamp())
     FROM channel_conversations c WHERE c.id = m.conversation_id AND c.user_id = $1",
    "UPDATE channel_turns t SET reply = '' FROM channel_conversations c WHERE c.id = t.conversation_id AND c.user_id = $1 AND t.reply IS NOT NULL",
    "DELETE FROM channel_attachments a USING channel_messages m, channel_conversations c WHERE m.id = a.message_id AND c.id = m.conversation_id AND c.user_id = $1",
    "UPDATE channel_conversations SET user_id = NULL WHERE user_id = $1",
    "UPDATE whatsapp_consents SET phone = NULL WHERE user_id = $1",
    "DELETE FROM channel_claim_tokens WHERE user_id = $1",
    // The links stay, as nobody's: their deliveries still say that the link under which they were planned has ended.
    "UPDATE channel_links SET user_id = NULL WHERE user_id = $1",
    "DELETE FROM channel_users WHERE id = $1",
];
