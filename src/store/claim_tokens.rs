//! `channel_claim_tokens`: tokens by which a phone proves whose it is. Only hashes are stored.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ClaimTokenId, MessageId, UserId};
use crate::text_enum::text_enum;

/// A token that is worth something.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct LiveToken {
    /// Its number.
    pub id: ClaimTokenId,
    /// For whom.
    pub user_id: UserId,
    /// May take the number from another user, or the user from another phone.
    pub replaces: bool,
}

text_enum! {
    /// How a token ends.
    pub enum TokenEnding in ["channel_claim_tokens.ending"] {
        /// Its phone is linked.
        Redeemed = "redeemed",
        /// A new one was handed out, or the user has moved to another cell.
        Voided = "voided",
        /// The phone is another user's, and the token may not replace.
        NumberLinkedElsewhere = "number_linked_elsewhere",
        /// The user's plan has no WhatsApp.
        Plan = "plan",
        /// The assistant may not talk to people of the phone's country.
        Country = "country",
    }
}

/// A user's latest token, for the dashboard.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct LatestToken {
    /// Worth nothing from then on.
    pub expires_at: DateTime<Utc>,
    /// `None`: it waits.
    pub ending: Option<TokenEnding>,
    /// Whether it is past its time.
    pub expired: bool,
}

/// Creates a token and voids the user's previous one. Returns when the new one expires; `None`: the user has just
/// been erased or moved to another cell. An advisory lock serialises concurrent calls for one user, since a token that is not committed yet
/// could not be voided.
pub async fn create(
    conn: &mut PgConnection,
    user_id: &UserId,
    token_hash: &[u8],
    replaces: bool,
    lifetime_secs: f64,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    void(conn, user_id).await?;
    sqlx::query_scalar(
        "INSERT INTO channel_claim_tokens (token_hash, user_id, replaces, expires_at)
         SELECT $1, u.id, $3, clock_timestamp() + make_interval(secs => $4) FROM channel_users u
         WHERE u.id = $2 AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = $2) FOR KEY SHARE OF u
         RETURNING expires_at",
    )
    .bind(token_hash)
    .bind(user_id)
    .bind(replaces)
    .bind(lifetime_secs)
    .fetch_optional(conn)
    .await
}

/// Voids the user's token, if there is one, and keeps others from creating one until the caller's transaction ends.
pub async fn void(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<()> {
    keep_others_from_creating(conn, user_id).await?;
    sqlx::query("UPDATE channel_claim_tokens SET ended_at = clock_timestamp(), ending = 'voided' WHERE user_id = $1 AND ended_at IS NULL")
        .bind(user_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Until the caller's transaction ends no other transaction creates a token for this user.
async fn keep_others_from_creating(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('claim token ' || $1, 0))")
        .bind(user_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Locks all tokens of a user and keeps others from creating one until the caller's transaction ends. A token created
/// in between would be locked by others after the user row, in the wrong order.
pub(crate) async fn lock_all(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<()> {
    keep_others_from_creating(conn, user_id).await?;
    sqlx::query("SELECT FROM channel_claim_tokens WHERE user_id = $1 ORDER BY id FOR UPDATE")
        .bind(user_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// The live token with one of these hashes, locked: of two phones that send it at once, the second waits and finds it
/// used up. A token is live if it had not expired at `written_at`, when it was sent to us.
pub async fn lock_live(
    conn: &mut PgConnection,
    hashes: &[Vec<u8>],
    written_at: DateTime<Utc>,
) -> sqlx::Result<Option<LiveToken>> {
    sqlx::query_as(
        "SELECT id, user_id, replaces FROM channel_claim_tokens WHERE token_hash = ANY ($1) AND ended_at IS NULL AND expires_at > $2 FOR UPDATE",
    )
    .bind(hashes)
    .bind(written_at)
    .fetch_optional(conn)
    .await
}

/// Until when one of these hashes is the user's live token; `None`: it is not, or not any more.
pub async fn live_until(
    conn: &mut PgConnection,
    user_id: &UserId,
    hashes: &[Vec<u8>],
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(
        "SELECT expires_at FROM channel_claim_tokens
         WHERE user_id = $1 AND token_hash = ANY ($2) AND ended_at IS NULL AND expires_at > clock_timestamp()",
    )
    .bind(user_id)
    .bind(hashes)
    .fetch_optional(conn)
    .await
}

/// The address that the token's user is linked to. The caller locks it before the token, since addresses are locked
/// first.
pub async fn linked_address(conn: &mut PgConnection, hashes: &[Vec<u8>]) -> sqlx::Result<Option<AddressId>> {
    sqlx::query_scalar(
        "SELECT l.address_id FROM channel_claim_tokens t JOIN channel_links l ON l.user_id = t.user_id AND l.ended_at IS NULL
         WHERE t.token_hash = ANY ($1) AND t.ended_at IS NULL LIMIT 1",
    )
    .bind(hashes)
    .fetch_optional(conn)
    .await
}

/// Ends a token that the caller has locked.
pub async fn end(conn: &mut PgConnection, id: ClaimTokenId, how: TokenEnding) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_claim_tokens SET ended_at = clock_timestamp(), ending = $2 WHERE id = $1 AND ended_at IS NULL")
        .bind(id)
        .bind(how)
        .execute(conn)
        .await?;
    Ok(())
}

/// The latest token of a user.
pub async fn latest(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<LatestToken>> {
    sqlx::query_as(
        "SELECT expires_at, ending, expires_at <= clock_timestamp() AS expired FROM channel_claim_tokens WHERE user_id = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(user_id)
    .fetch_optional(conn)
    .await
}

/// How often this phone was wrong within the hour before.
pub async fn wrong_tries(
    conn: &mut PgConnection,
    address_id: AddressId,
    before: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM channel_claim_tries WHERE address_id = $1 AND tried_at > $2::TIMESTAMPTZ - interval '1 hour' AND tried_at <= $2",
    )
    .bind(address_id)
    .bind(before)
    .fetch_one(conn)
    .await
}

/// Counts a wrong try, once for each message.
pub async fn note_wrong_try(
    conn: &mut PgConnection,
    message_id: MessageId,
    address_id: AddressId,
    tried_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO channel_claim_tries (message_id, address_id, tried_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(message_id)
        .bind(address_id)
        .bind(tried_at)
        .execute(conn)
        .await?;
    Ok(())
}
