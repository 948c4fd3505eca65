//! `channel_conversations`: one thread with the agent for each user, whatever phone the user writes from.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::ids::{ConversationId, UserId};

/// The conversation of a user, made if there is none.
pub async fn of_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<ConversationId> {
    sqlx::query("INSERT INTO channel_conversations (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING")
        .bind(user_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT id FROM channel_conversations WHERE user_id = $1")
        .bind(user_id)
        .fetch_one(conn)
        .await
}

/// The conversation of a user, if there is one.
pub async fn find(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<ConversationId>> {
    sqlx::query_scalar("SELECT id FROM channel_conversations WHERE user_id = $1")
        .bind(user_id)
        .fetch_optional(conn)
        .await
}

/// Finds or creates the conversations of many users, and locks them until the caller's transaction ends. The
/// statements are written so that Postgres uses the index on the user even when its statistics say that the table is
/// empty.
pub async fn of_users(
    conn: &mut PgConnection,
    user_ids: &[&UserId],
) -> sqlx::Result<HashMap<UserId, ConversationId>> {
    sqlx::query(
        "INSERT INTO channel_conversations (user_id) SELECT new.user_id FROM unnest($1::TEXT[]) AS new (user_id)
         LEFT JOIN LATERAL (SELECT c.id FROM channel_conversations c WHERE c.user_id = new.user_id OFFSET 0) AS known ON TRUE
         WHERE known.id IS NULL ORDER BY new.user_id ON CONFLICT (user_id) DO NOTHING",
    )
    .bind(user_ids)
    .execute(&mut *conn)
    .await?;
    let rows: Vec<(UserId, ConversationId)> = sqlx::query_as(
        "SELECT user_id, id FROM channel_conversations WHERE user_id = ANY ($1) ORDER BY id + 0 FOR NO KEY UPDATE",
    )
    .bind(user_ids)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Whose a conversation is; `None`: the user was erased.
pub async fn user_of(conn: &mut PgConnection, id: ConversationId) -> sqlx::Result<Option<UserId>> {
    let user: Option<Option<UserId>> =
        sqlx::query_scalar("SELECT user_id FROM channel_conversations WHERE id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(user.flatten())
}

/// Whose a conversation is, and who answers in it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Owner {
    /// `None`: the user was erased.
    pub user_id: Option<UserId>,
    /// A person of the operator's answers instead of the agent.
    pub is_taken_over: bool,
    /// Such a person has answered there before.
    pub was_answered_by_hand: bool,
}

/// Whose a conversation is, and who answers in it; `None`: there is no such conversation. The caller holds its lock.
pub async fn owner(conn: &mut PgConnection, id: ConversationId) -> sqlx::Result<Option<Owner>> {
    sqlx::query_as(
        "SELECT user_id, EXISTS (SELECT FROM channel_takeovers t WHERE t.conversation_id = c.id AND t.ends_at > clock_timestamp()) AS is_taken_over,
                EXISTS (SELECT FROM channel_turns t WHERE t.conversation_id = c.id AND t.agent = 'person') AS was_answered_by_hand
         FROM channel_conversations c WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Locks a conversation until the caller's transaction ends. Messages are assigned to turns under this lock.
pub async fn lock(conn: &mut PgConnection, id: ConversationId) -> sqlx::Result<()> {
    sqlx::query("SELECT FROM channel_conversations WHERE id = $1 FOR UPDATE").bind(id).execute(conn).await?;
    Ok(())
}
