//! `channel_links`: which user writes from which address, from claim to unlink. One number per user, one user per number.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::chunks::End;
use crate::consents::{self, ConsentAction, ConsentMethod, NewConsent};
use crate::deliveries::Obstacle;
use crate::ids::{AddressId, ConversationId, LinkId, UserId};
use crate::secret_keys::SecretKeys;
use crate::text_enum::text_enum;
use crate::{addresses, deliveries, proactive_deliveries};

/// A link that holds.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Whose.
    pub user_id: UserId,
    /// Which person on WhatsApp.
    pub address_id: AddressId,
    /// Since when.
    pub linked_at: DateTime<Utc>,
    /// Since when its number belongs to somebody else: nothing is said under it until a new claim. `None`: it is proven.
    pub unproven_since: Option<DateTime<Utc>>,
}

text_enum! {
    /// How a link ends.
    pub enum LinkEnding in [] {
        /// The product said so.
        Unlinked = "unlinked",
        /// The user has claimed another phone.
        Replaced = "replaced",
        /// Another user has claimed this phone.
        Moved = "moved",
        /// Its address proved to be one that another user has claimed later.
        Merged = "merged",
        /// The user has moved to another cell.
        OtherCell = "other_cell",
        /// The user is erased.
        Erased = "erased",
    }
}

/// A link by its number.
pub async fn get(conn: &mut PgConnection, id: LinkId) -> sqlx::Result<Link> {
    sqlx::query_as(
        "SELECT id, user_id, address_id, linked_at, unproven_since FROM channel_links WHERE id = $1",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// The link of a user, which may be unproven.
pub async fn of_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<Link>> {
    sqlx::query_as("SELECT id, user_id, address_id, linked_at, unproven_since FROM channel_links WHERE user_id = $1 AND ended_at IS NULL")
        .bind(user_id)
        .fetch_optional(conn)
        .await
}

/// The link of a user, with its address locked until the caller's transaction ends.
pub async fn lock_of_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<Link>> {
    let Some(seen) = of_user(conn, user_id).await? else { return Ok(None) };
    let address = addresses::lock(conn, seen.address_id).await?;
    // It may have ended, or its address may have been merged, while we waited.
    Ok(of_user(conn, user_id).await?.filter(|link| link.address_id == address.id))
}

/// Locks the addresses of many users until the caller's transaction ends, in the order of their ids, so that two
/// callers cannot deadlock.
pub async fn lock_of_users(conn: &mut PgConnection, user_ids: &[&UserId]) -> sqlx::Result<()> {
    loop {
        let locked: HashSet<AddressId> = sqlx::query_scalar(
            "SELECT id FROM channel_addresses WHERE id IN (SELECT address_id FROM channel_links WHERE user_id = ANY ($1) AND ended_at IS NULL)
             ORDER BY id FOR NO KEY UPDATE",
        )
        .bind(user_ids)
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .collect();
        let linked: Vec<AddressId> = sqlx::query_scalar(
            "SELECT address_id FROM channel_links WHERE user_id = ANY ($1) AND ended_at IS NULL",
        )
        .bind(user_ids)
        .fetch_all(&mut *conn)
        .await?;
        // While we waited somebody may have linked another phone.
        if linked.iter().all(|id| locked.contains(id)) {
            return Ok(());
        }
    }
}

/// The proven link of an address: whose words are taken from it.
pub async fn proven_of_address(conn: &mut PgConnection, address_id: AddressId) -> sqlx::Result<Option<Link>> {
    Ok(of_address(conn, address_id).await?.filter(|link| link.unproven_since.is_none()))
}

/// The phones that a user has or had.
pub async fn addresses_of_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Vec<AddressId>> {
    sqlx::query_scalar("SELECT DISTINCT address_id FROM channel_links WHERE user_id = $1")
        .bind(user_id)
        .fetch_all(conn)
        .await
}

/// The user who has one of these phones, or had it last.
pub async fn latest_user_of(
    conn: &mut PgConnection,
    address_ids: &[AddressId],
) -> sqlx::Result<Option<UserId>> {
    let links: Vec<(UserId, bool, Option<DateTime<Utc>>, LinkId)> = sqlx::query_as(
        "SELECT user_id, ended_at IS NULL, ended_at, id FROM channel_links WHERE address_id = ANY ($1) AND user_id IS NOT NULL",
    )
    .bind(address_ids)
    .fetch_all(conn)
    .await?;
    let latest = links.into_iter().max_by_key(|(_, holds, ended_at, id)| (*holds, *ended_at, *id));
    Ok(latest.map(|(user_id, ..)| user_id))
}

/// The link of an address, which may be unproven.
pub async fn of_address(conn: &mut PgConnection, address_id: AddressId) -> sqlx::Result<Option<Link>> {
    sqlx::query_as("SELECT id, user_id, address_id, linked_at, unproven_since FROM channel_links WHERE address_id = $1 AND ended_at IS NULL")
        .bind(address_id)
        .fetch_optional(conn)
        .await
}

/// The latest link between the user of a conversation and an address, whether it holds or not: what a reply is sent under.
pub async fn latest_of_conversation(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    address_id: AddressId,
) -> sqlx::Result<Option<LinkId>> {
    sqlx::query_scalar(
        "SELECT max(id) FROM channel_links WHERE user_id = (SELECT user_id FROM channel_conversations WHERE id = $1) AND address_id = $2",
    )
    .bind(conversation_id)
    .bind(address_id)
    .fetch_one(conn)
    .await
}

/// Links a user and an address that have no link. The caller holds the address's lock.
pub async fn create(
    conn: &mut PgConnection,
    user_id: &UserId,
    address_id: AddressId,
) -> sqlx::Result<LinkId> {
    sqlx::query_scalar("INSERT INTO channel_links (user_id, address_id) VALUES ($1, $2) RETURNING id")
        .bind(user_id)
        .bind(address_id)
        .fetch_one(conn)
        .await
}

/// Marks a link as unproven, since its number belongs to somebody else now, and blocks its planned chunks and waiting
/// deliveries. The caller holds the address's lock.
pub async fn hold_back(conn: &mut PgConnection, link: &Link) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_links SET unproven_since = coalesce(unproven_since, clock_timestamp()) WHERE id = $1",
    )
    .bind(link.id)
    .execute(&mut *conn)
    .await?;
    deliveries::end_of_link(conn, link.id, End::Blocked, Obstacle::NotLinked.as_str()).await?;
    proactive_deliveries::block_waiting(conn, &link.user_id, Obstacle::NotLinked).await
}

/// A link is proven again. The caller holds the address's lock.
pub async fn prove(conn: &mut PgConnection, id: LinkId) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_links SET unproven_since = NULL WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a link, records that in the consents, and cancels its planned chunks. The caller holds the address's lock. A
/// link that has ended is left alone.
pub async fn end(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    link: &Link,
    how: LinkEnding,
) -> sqlx::Result<()> {
    let done = sqlx::query(
        "UPDATE channel_links SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(link.id)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    let names = addresses::names(conn, link.address_id).await?;
    let method = match how {
        LinkEnding::Replaced | LinkEnding::Moved | LinkEnding::Merged => ConsentMethod::ClaimFlow,
        LinkEnding::Unlinked | LinkEnding::OtherCell | LinkEnding::Erased => ConsentMethod::Admin,
    };
    let consent = NewConsent {
        user_id: &link.user_id,
        names: &names,
        method,
        action: ConsentAction::Revoked,
        text: how.as_str(),
        version: "",
        message_sid: None,
    };
    consents::insert(conn, keys, consent).await?;
    deliveries::end_of_link(conn, link.id, End::Cancelled, Obstacle::NotLinked.as_str()).await
}
