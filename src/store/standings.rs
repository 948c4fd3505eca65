//! What is known of users who may be written to, read for many at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::addresses::Name;
use crate::users::{self, User};

/// A user, and the phone if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The user.
    pub user: User,
    /// The phone.
    pub phone: Option<Phone>,
}

/// A phone that a user is linked to.
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    /// Under which link.
    pub link_id: i64,
    /// Which person on WhatsApp.
    pub address_id: i64,
    /// When they last wrote.
    pub last_inbound_at: Option<DateTime<Utc>>,
    /// Every name of them, the one last written from first.
    pub names: Vec<Name>,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: users::Row,
    link_id: Option<i64>,
    address_id: Option<i64>,
    last_inbound_at: Option<DateTime<Utc>>,
    aliases: Option<Vec<String>>,
    canonical: Option<Vec<String>>,
}

impl From<Row> for Standing {
    fn from(row: Row) -> Self {
        let names = row.aliases.unwrap_or_default().into_iter().zip(row.canonical.unwrap_or_default());
        let names = names.map(|(alias, canonical)| Name { alias, canonical }).collect();
        let phone = row.link_id.zip(row.address_id).map(|(link_id, address_id)| Phone {
            link_id,
            address_id,
            last_inbound_at: row.last_inbound_at,
            names,
        });
        Self { user: User::from(row.user), phone }
    }
}

/// What is known of these users, by their ids; unknown ones are left out.
pub async fn of_users(conn: &mut PgConnection, ids: &[&str]) -> sqlx::Result<HashMap<String, Standing>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT u.id, u.plan, u.anchor_day, u.anchor_since, u.former_anchor_day, u.paused, u.created_at,
                l.id AS link_id, l.address_id, a.last_inbound_at, n.aliases, n.canonical
         FROM channel_users u
         LEFT JOIN channel_links l ON l.user_id = u.id AND l.ended_at IS NULL
         LEFT JOIN channel_addresses a ON a.id = l.address_id
         LEFT JOIN LATERAL (
             SELECT array_agg(alias ORDER BY last_seen_at DESC) AS aliases, array_agg(coalesce(canonical, alias) ORDER BY last_seen_at DESC) AS canonical
             FROM channel_address_aliases WHERE address_id = l.address_id) n ON TRUE
         WHERE u.id = ANY ($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user.id.clone(), Standing::from(row))).collect())
}
