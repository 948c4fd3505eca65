//! `channel_secret_keys`: which rows hang on which secret key, and how they come off one.
//!
//! Claim tokens are not counted: they are worth something for a quarter of an hour only.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::rehashing;
use crate::secret_keys::SecretKeys;

/// What hangs on one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct KeyUse {
    /// Names the key.
    pub fingerprint: String,
    /// People who said STOP.
    pub opt_outs: i64,
    /// What people agreed to and took back.
    pub consents: i64,
    /// Tokens of users' own gateways.
    pub tokens: i64,
    /// The first start with the key; `None`: none is known.
    pub first_used_at: Option<DateTime<Utc>>,
    /// The latest start with it.
    pub last_used_at: Option<DateTime<Utc>>,
    /// An administrator gave the key up.
    pub given_up: bool,
}

impl KeyUse {
    /// Whether nothing would be lost with the key.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.opt_outs + self.consents + self.tokens == 0
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opt_outs, consents, tokens, .. } = self;
        write!(f, "{opt_outs} opt-outs, {consents} consents and {tokens} sealed tokens")
    }
}

/// Why the given keys must not be used with this database.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A key is missing on which rows hang.
    #[error(
        "{0} hang on the key {name}, which CLOUDYBOT_SECRET_KEY does not hold: people who said STOP would be written to. Put the former key back behind \
         the new one, CLOUDYBOT_SECRET_KEY=new,former; the service then hashes anew what it can, and `cloudybot check` says when nothing hangs on the \
         former one any more. If that key is lost for good: `cloudybot keys give-up {name}`",
        name = .0.fingerprint
    )]
    Lost(KeyUse),
    /// The database refused or was away.
    #[error("cannot look up which keys are in use")]
    Database(#[from] sqlx::Error),
}

/// How many rows hang on each key.
const USES: &str = "WITH uses AS (
         SELECT hashed_by AS fingerprint, count(*) AS opt_outs, 0 AS consents, 0 AS tokens FROM whatsapp_proactive_opt_outs GROUP BY hashed_by
         UNION ALL SELECT hashed_by, 0, count(*), 0 FROM whatsapp_consents GROUP BY hashed_by
         UNION ALL SELECT sealed_by, 0, 0, count(*) FROM channel_user_agents WHERE token IS NOT NULL GROUP BY sealed_by)
     SELECT fingerprint, coalesce(sum(opt_outs), 0)::BIGINT AS opt_outs, coalesce(sum(consents), 0)::BIGINT AS consents,
            coalesce(sum(tokens), 0)::BIGINT AS tokens, min(k.first_used_at) AS first_used_at, max(k.last_used_at) AS last_used_at,
            coalesce(bool_or(k.given_up_at IS NOT NULL), FALSE) AS given_up
     FROM uses u FULL JOIN channel_secret_keys k USING (fingerprint)
     GROUP BY fingerprint ORDER BY fingerprint";

/// What hangs on each key that was ever used.
pub async fn uses(conn: &mut PgConnection) -> sqlx::Result<Vec<KeyUse>> {
    sqlx::query_as(USES).fetch_all(conn).await
}

/// Whether all rows can be found with these keys.
///
/// # Errors
/// [`KeysError::Lost`] names the first key that is missing.
pub async fn check(conn: &mut PgConnection, keys: &SecretKeys) -> Result<(), KeysError> {
    let given = keys.fingerprints();
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT fingerprint FROM channel_secret_keys WHERE fingerprint <> ALL ($1) AND given_up_at IS NULL",
    )
    .bind(&given)
    .fetch_all(&mut *conn)
    .await?;
    // Three index lookups for each table. Where all rows have the same key, Postgres expects to find `= $1` anywhere
    // and would scan the whole table.
    let mut lost = Vec::new();
    for fingerprint in missing {
        let is_in_use: bool = sqlx::query_scalar(
            "SELECT coalesce((SELECT min(hashed_by) FROM whatsapp_proactive_opt_outs WHERE hashed_by >= $1) = $1, FALSE)
                 OR coalesce((SELECT min(hashed_by) FROM whatsapp_consents WHERE hashed_by >= $1) = $1, FALSE)
                 OR coalesce((SELECT min(sealed_by) FROM channel_user_agents WHERE sealed_by >= $1 AND token IS NOT NULL) = $1, FALSE)",
        )
        .bind(&fingerprint)
        .fetch_one(&mut *conn)
        .await?;
        lost.extend(is_in_use.then_some(fingerprint));
    }
    if lost.is_empty() {
        return Ok(());
    }
    match uses(conn).await?.into_iter().find(|used| !used.is_idle() && lost.contains(&used.fingerprint)) {
        Some(used) => Err(KeysError::Lost(used)),
        // Its last row went meanwhile.
        None => Ok(()),
    }
}

/// Checks the keys and remembers that they are in use.
///
/// # Errors
/// As [`check`].
pub async fn check_and_remember(conn: &mut PgConnection, keys: &SecretKeys) -> Result<(), KeysError> {
    check(conn, keys).await?;
    sqlx::query(
        "INSERT INTO channel_secret_keys (fingerprint) SELECT unnest($1::TEXT[])
         ON CONFLICT (fingerprint) DO UPDATE SET last_used_at = now(), given_up_at = NULL",
    )
    .bind(keys.fingerprints())
    .execute(conn)
    .await?;
    Ok(())
}

/// Hashes rows anew with the newest key where the number is known, at most once a day, since processes with a former
/// key may have written rows. Returns the number of rows.
pub async fn hash_anew_when_due(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    let due: Option<bool> = sqlx::query_scalar(
        "SELECT coalesce(hashed_anew_at < now() - interval '1 day', TRUE) FROM channel_secret_keys WHERE fingerprint = $1",
    )
    .bind(keys.fingerprint())
    .fetch_optional(&mut *conn)
    .await?;
    if due != Some(true) {
        return Ok(0);
    }
    let rows = rehashing::hash_anew(conn, keys).await?;
    sqlx::query("UPDATE channel_secret_keys SET hashed_anew_at = now() WHERE fingerprint = $1")
        .bind(keys.fingerprint())
        .execute(conn)
        .await?;
    Ok(rows)
}

/// Gives a lost key up: rows that still have their number are hashed with the newest present key, and the rest no
/// longer prevents a start. Returns the rows that are left; `None`: no row hangs on such a key.
pub async fn give_up(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    fingerprint: &str,
) -> sqlx::Result<Option<KeyUse>> {
    let named = |used: &KeyUse| used.fingerprint == fingerprint && !used.is_idle();
    if !uses(conn).await?.iter().any(named) {
        return Ok(None);
    }
    rehashing::hash_anew(conn, keys).await?;
    sqlx::query(
        "INSERT INTO channel_secret_keys (fingerprint, given_up_at) VALUES ($1, now()) ON CONFLICT (fingerprint) DO UPDATE SET given_up_at = now()",
    )
    .bind(fingerprint)
    .execute(&mut *conn)
    .await?;
    Ok(Some(uses(conn).await?.into_iter().find(named).unwrap_or_default()))
}
