//! `channel_conversations`: one thread with the agent for each person.

use sqlx::PgConnection;

/// The conversation of an address, made if there is none. The caller holds the address's lock.
pub async fn find_or_create(conn: &mut PgConnection, address_id: i64) -> sqlx::Result<i64> {
    let known =
        sqlx::query_scalar("SELECT id FROM channel_conversations WHERE address_id = $1").bind(address_id);
    if let Some(id) = known.fetch_optional(&mut *conn).await? {
        return Ok(id);
    }
    sqlx::query_scalar("INSERT INTO channel_conversations (address_id) VALUES ($1) RETURNING id")
        .bind(address_id)
        .fetch_one(conn)
        .await
}

/// Locks a conversation until the caller's transaction ends: which messages a turn has is decided under this lock.
pub async fn lock(conn: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("SELECT FROM channel_conversations WHERE id = $1 FOR UPDATE").bind(id).execute(conn).await?;
    Ok(())
}
