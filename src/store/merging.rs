//! Two address rows that prove to be one person become one: the older row takes everything over, the other points to it.

use sqlx::PgConnection;

use crate::ids::AddressId;
use crate::links::{self, Link, LinkEnding};
use crate::secret_keys::SecretKeys;

/// Merges rows into the older one; the caller holds all their locks. If both are linked, the later proven claim
/// stays. An opt-out of either row applies to the person, since opt-outs are looked up by every name.
pub async fn merge(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    into: AddressId,
    twins: &[AddressId],
) -> sqlx::Result<()> {
    for twin in twins {
        one_link(conn, keys, into, *twin).await?;
        for statement in [
            "UPDATE channel_address_aliases SET address_id = $1 WHERE address_id = $2",
            "UPDATE channel_links SET address_id = $1 WHERE address_id = $2",
            "UPDATE channel_messages SET address_id = $1 WHERE address_id = $2",
            "UPDATE channel_deliveries SET address_id = $1 WHERE address_id = $2",
            "UPDATE channel_claim_tries SET address_id = $1 WHERE address_id = $2",
            "INSERT INTO channel_notices AS n (address_id, about, told_at) SELECT $1, about, told_at FROM channel_notices WHERE address_id = $2
             ON CONFLICT (address_id, about) DO UPDATE SET told_at = greatest(n.told_at, EXCLUDED.told_at)",
            "UPDATE channel_addresses a
             SET last_keyword = CASE WHEN a.last_keyword_at >= t.last_keyword_at OR t.last_keyword_at IS NULL THEN a.last_keyword ELSE t.last_keyword END,
                 last_keyword_at = greatest(a.last_keyword_at, t.last_keyword_at), last_inbound_at = greatest(a.last_inbound_at, t.last_inbound_at)
             FROM channel_addresses t WHERE a.id = $1 AND t.id = $2",
            "UPDATE channel_addresses SET merged_into = $1 WHERE id = $2 OR merged_into = $2",
        ] {
            sqlx::query(statement).bind(into).bind(twin).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// Leaves one of two links.
async fn one_link(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    into: AddressId,
    twin: AddressId,
) -> sqlx::Result<()> {
    let (Some(one), Some(other)) =
        (links::of_address(conn, into).await?, links::of_address(conn, twin).await?)
    else {
        return Ok(());
    };
    let worth = |link: &Link| (link.unproven_since.is_none(), link.linked_at);
    let lesser = if worth(&one) < worth(&other) { one } else { other };
    links::end(conn, keys, &lesser, LinkEnding::Merged).await
}
