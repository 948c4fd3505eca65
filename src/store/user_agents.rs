//! `channel_user_agents`: the agents that users have of their own.

use sqlx::PgConnection;

use crate::ids::UserId;

/// What is a user's own; the rest is the deployment's.
#[derive(Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct UserAgent {
    /// The gateway's address.
    pub base_url: Option<String>,
    /// Its token, sealed for this user.
    pub token: Option<Vec<u8>>,
    /// Fingerprint of the key that opens it; `None`: no token, or nobody kept it then.
    pub sealed_by: Option<String>,
    /// Which agent of the gateway.
    pub agent_id: Option<String>,
    /// Which model behind it.
    pub model: Option<String>,
}

/// What a user has; `None`: nothing.
pub async fn get(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<UserAgent>> {
    sqlx::query_as(
        "SELECT base_url, token, sealed_by, agent_id, model FROM channel_user_agents WHERE user_id = $1",
    )
    .bind(user_id)
    .fetch_optional(conn)
    .await
}

/// Whether a user's agent is behind the deployment's gateway, and another user's is, too. Each side of the user is looked at in order, so that the first one
/// who has no gateway ends the look.
pub async fn shares_gateway(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT FROM channel_user_agents WHERE user_id = $1 AND base_url IS NOT NULL) AND coalesce(
             (SELECT u.id FROM channel_users u
              WHERE u.id > $1 AND (SELECT a.base_url FROM channel_user_agents a WHERE a.user_id = u.id) IS NULL ORDER BY u.id LIMIT 1),
             (SELECT u.id FROM channel_users u
              WHERE u.id < $1 AND (SELECT a.base_url FROM channel_user_agents a WHERE a.user_id = u.id) IS NULL ORDER BY u.id DESC LIMIT 1)) IS NOT NULL",
    )
    .bind(user_id)
    .fetch_one(conn)
    .await
}

/// Gives a user these, in place of what there was.
pub async fn put(conn: &mut PgConnection, user_id: &UserId, agent: &UserAgent) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_user_agents (user_id, base_url, token, agent_id, model, sealed_by) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id) DO UPDATE SET base_url = EXCLUDED.base_url, token = EXCLUDED.token, agent_id = EXCLUDED.agent_id, model = EXCLUDED.model, sealed_by = EXCLUDED.sealed_by,
         updated_at = now()",
    )
    .bind(user_id)
    .bind(&agent.base_url)
    .bind(&agent.token)
    .bind(&agent.agent_id)
    .bind(&agent.model)
    .bind(&agent.sealed_by)
    .execute(conn)
    .await?;
    Ok(())
}

/// Leaves a user the deployment's agent.
pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_user_agents WHERE user_id = $1").bind(user_id).execute(conn).await?;
    Ok(())
}
