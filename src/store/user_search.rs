//! Users as an administrator looks for them: by the beginning of the id, by plan, by the name that the product gave, by number.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::UserId;

/// A user of a list.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ListedUser {
    /// CloudyBot's id.
    pub id: UserId,
    /// Its plan.
    pub plan: String,
    /// The attribute `name`; `None`: the product has told none.
    pub name: Option<String>,
    /// The assistant is silent.
    pub paused: bool,
    /// Whether a phone is linked now.
    pub is_linked: bool,
    /// When we first heard of the account.
    pub created_at: DateTime<Utc>,
}

/// Users by id, after this one.
pub async fn all(
    conn: &mut PgConnection,
    after: Option<&UserId>,
    limit: i64,
) -> sqlx::Result<Vec<ListedUser>> {
    let ids: Vec<UserId> =
        sqlx::query_scalar("SELECT id FROM channel_users WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.map_or("", UserId::as_str))
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
    listed(conn, &ids).await
}

/// The users of a plan by id, after this one.
pub async fn of_plan(
    conn: &mut PgConnection,
    plan: &str,
    after: Option<&UserId>,
    limit: i64,
) -> sqlx::Result<Vec<ListedUser>> {
    let ids: Vec<UserId> =
        sqlx::query_scalar("SELECT id FROM channel_users WHERE plan = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(plan)
            .bind(after.map_or("", UserId::as_str))
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
    listed(conn, &ids).await
}

/// These users by id. Their ids are found first: of how many a page has, Postgres knows nothing when it makes a plan for all pages.
async fn listed(conn: &mut PgConnection, ids: &[UserId]) -> sqlx::Result<Vec<ListedUser>> {
    sqlx::query_as(
        "SELECT u.id, u.plan, u.attributes ->> 'name' AS name, u.paused, u.created_at,
                EXISTS (SELECT FROM channel_links l WHERE l.user_id = u.id AND l.ended_at IS NULL) AS is_linked
         FROM channel_users u WHERE u.id = ANY ($1) ORDER BY u.id",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// What sorts behind everything that begins with this, byte by byte.
fn behind(beginning: &str) -> String {
    format!("{beginning}{}", char::MAX)
}

/// The users whose id begins with this, byte by byte, after this one.
pub async fn by_id(
    conn: &mut PgConnection,
    beginning: &str,
    after: Option<&UserId>,
    limit: i64,
) -> sqlx::Result<Vec<ListedUser>> {
    let ids: Vec<UserId> = sqlx::query_scalar(
        "SELECT u.id FROM channel_users u WHERE u.id ~>=~ $1 AND u.id ~<~ $2 AND u.id ~>~ $3 ORDER BY u.id USING ~<~ LIMIT $4",
    )
    .bind(beginning)
    .bind(behind(beginning))
    .bind(after.map_or("", UserId::as_str))
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    listed_in_order(conn, &ids).await
}

/// The users whose name begins with this, in small or large letters, by name. There is no next page: a longer beginning narrows it.
pub async fn by_name(conn: &mut PgConnection, beginning: &str, limit: i64) -> sqlx::Result<Vec<ListedUser>> {
    let beginning = beginning.to_lowercase();
    let ids: Vec<UserId> = sqlx::query_scalar(
        "SELECT u.id FROM channel_users u WHERE lower(u.attributes ->> 'name') ~>=~ $1 AND lower(u.attributes ->> 'name') ~<~ $2
         ORDER BY lower(u.attributes ->> 'name') USING ~<~ LIMIT $3",
    )
    .bind(&beginning)
    .bind(behind(&beginning))
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    listed_in_order(conn, &ids).await
}

/// These users in this order.
async fn listed_in_order(conn: &mut PgConnection, ids: &[UserId]) -> sqlx::Result<Vec<ListedUser>> {
    let mut users = listed(conn, ids).await?;
    users.sort_by_cached_key(|user| ids.iter().position(|id| *id == user.id));
    Ok(users)
}

/// The users whose phone has this number or opaque id now, in whatever spelling: `canonical` stands for all of them.
pub async fn by_address(conn: &mut PgConnection, canonical: &str) -> sqlx::Result<Vec<ListedUser>> {
    sqlx::query_as(
        "SELECT u.id, u.plan, u.attributes ->> 'name' AS name, u.paused, u.created_at, TRUE AS is_linked
         FROM channel_address_aliases a JOIN channel_links l ON l.address_id = a.address_id AND l.ended_at IS NULL
              JOIN channel_users u ON u.id = l.user_id
         WHERE coalesce(a.canonical, a.alias) = $1 ORDER BY a.address_id LIMIT 10",
    )
    .bind(canonical)
    .fetch_all(conn)
    .await
}
