//! Users who may be written to, with their phones: read for many at once.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::addresses::Name;
use crate::ids::{AddressId, LinkId, UserId};
use crate::users::{User, UserRow};

/// A user, and the phone if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// The user.
    pub user: User,
    /// The phone.
    pub phone: Option<Phone>,
    /// When this was read, by the database's clock.
    pub read_at: DateTime<Utc>,
}

/// A phone that a user is linked to.
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    /// Under which link.
    pub link_id: LinkId,
    /// Which person on WhatsApp.
    pub address_id: AddressId,
    /// When they last wrote.
    pub last_inbound_at: Option<DateTime<Utc>>,
    /// Every name of them, the one last written from first.
    pub names: Vec<Name>,
}

/// A user, and one name of the phone if there is one.
#[derive(sqlx::FromRow)]
struct RecipientRow {
    #[sqlx(flatten)]
    user: UserRow,
    link_id: Option<LinkId>,
    address_id: Option<AddressId>,
    last_inbound_at: Option<DateTime<Utc>>,
    alias: Option<String>,
    canonical: Option<String>,
    last_seen_at: Option<DateTime<Utc>>,
    read_at: DateTime<Utc>,
}

impl From<RecipientRow> for Recipient {
    fn from(row: RecipientRow) -> Self {
        let phone = row.link_id.zip(row.address_id).map(|(link_id, address_id)| Phone {
            link_id,
            address_id,
            last_inbound_at: row.last_inbound_at,
            names: Vec::new(),
        });
        Self { user: User::from(row.user), phone, read_at: row.read_at }
    }
}

/// What is known of these users, by their ids; unknown ones are left out.
pub async fn of_users(conn: &mut PgConnection, ids: &[&UserId]) -> sqlx::Result<HashMap<UserId, Recipient>> {
    // A row for each name: most have one, and are spared an array of one.
    let mut rows: Vec<RecipientRow> = sqlx::query_as(
        "SELECT u.id, u.plan, u.anchor_day, u.anchor_since, u.former_anchor_day, u.paused, u.timezone, u.quiet_from, u.quiet_to, u.attributes, u.created_at,
                l.id AS link_id, l.address_id, a.last_inbound_at, n.alias, coalesce(n.canonical, n.alias) AS canonical, n.last_seen_at, statement_timestamp() AS read_at
         FROM channel_users u
         LEFT JOIN channel_links l ON l.user_id = u.id AND l.ended_at IS NULL AND l.unproven_since IS NULL
         LEFT JOIN channel_addresses a ON a.id = l.address_id
         LEFT JOIN channel_address_aliases n ON n.address_id = l.address_id
         WHERE u.id = ANY ($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.sort_by_key(|row| Reverse(row.last_seen_at));
    let mut recipients = HashMap::with_capacity(ids.len());
    for mut row in rows {
        let name = row.alias.take().zip(row.canonical.take());
        let recipient = recipients.entry(row.user.id.clone()).or_insert_with(|| Recipient::from(row));
        if let (Some(phone), Some((alias, canonical))) = (&mut recipient.phone, name) {
            phone.names.push(Name { alias, canonical });
        }
    }
    Ok(recipients)
}
