//! Removing claim tokens from stored texts. A token is a secret until it is redeemed, and has no use afterwards.

use sqlx::PgConnection;

use crate::ids::{AddressId, ConversationId, MessageId};

/// What stands in a token's place.
const IN_PLACE: &str = "LINK-…";

/// Takes the token out of a message that consists of it, however it is spelled there.
pub async fn of_claim(conn: &mut PgConnection, message_id: MessageId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_messages SET body = $2, params = CASE WHEN params ? 'Body' THEN jsonb_set(params, '{Body}', to_jsonb($2::TEXT)) ELSE params END
         WHERE id = $1",
    )
    .bind(message_id)
    .bind(IN_PLACE)
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a redeemed token from other recent messages of its phone or user, in a sentence or in the dashboard, and
/// from the agent's answers. The caller holds the locks of both.
pub async fn of_token(
    conn: &mut PgConnection,
    address_id: AddressId,
    conversation_id: ConversationId,
    symbols: &str,
) -> sqlx::Result<()> {
    let (first, second) = symbols.split_at(symbols.len() / 2);
    // What may stand between the halves never ends a text of the parameters.
    let pattern = format!(r#"{first}[^[:alnum:]"\\]{{0,5}}{second}"#);
    sqlx::query(
        "UPDATE channel_messages SET body = regexp_replace(body, $3, '…', 'gi'), params = regexp_replace(params::TEXT, $3, '…', 'gi')::JSONB
         WHERE id IN ((SELECT id FROM channel_messages WHERE address_id = $1 ORDER BY id DESC LIMIT 200)
                      UNION ALL (SELECT id FROM channel_messages WHERE conversation_id = $2 ORDER BY id DESC LIMIT 200))
           AND (body ~* $3 OR params::TEXT ~* $3)",
    )
    .bind(address_id)
    .bind(conversation_id)
    .bind(&pattern)
    .execute(&mut *conn)
    .await?;
    for statement in IN_ANSWERS {
        sqlx::query(statement).bind(conversation_id).bind(&pattern).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Chunks that are in doubt or still to be sent keep their text: Twilio's list is compared with it.
const IN_ANSWERS: [&str; 3] = [
    "UPDATE channel_turns SET reply = regexp_replace(reply, $2, '…', 'gi')
     WHERE id IN (SELECT id FROM channel_turns WHERE conversation_id = $1 ORDER BY conversation_id DESC, id DESC LIMIT 100) AND reply ~* $2",
    "UPDATE channel_deliveries SET text = regexp_replace(text, $2, '…', 'gi')
     WHERE turn_id IN (SELECT id FROM channel_turns WHERE conversation_id = $1 ORDER BY conversation_id DESC, id DESC LIMIT 100)
       AND state IN ('sent', 'delivered') AND text ~* $2",
    "UPDATE channel_chunks SET body = regexp_replace(body, $2, '…', 'gi')
     WHERE delivery_id IN (
         SELECT d.id FROM (SELECT id FROM channel_turns WHERE conversation_id = $1 ORDER BY conversation_id DESC, id DESC LIMIT 100) t
         JOIN channel_deliveries d ON d.turn_id = t.id WHERE d.state IN ('sent', 'delivered')) AND body ~* $2",
];
