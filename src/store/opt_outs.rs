//! `whatsapp_proactive_opt_outs`: who wants no proactive messages. A row exists = opted out.
//!
//! A person is looked up by the hash of every name that is known, so a STOP under one name counts for all of them, and still counts
//! when an erasure has left nothing but the hash.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use crate::addresses::Name;
use crate::consents::{ConsentMethod, principal};
use crate::ids::UserId;
use crate::secret_keys::{SecretKeys, Sort};

/// Who said that a person wants no proactive messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptedOutBy<'a> {
    /// The person, by this word.
    Keyword(&'a str),
    /// Somebody for them.
    Admin,
    /// Twilio or WhatsApp.
    Provider,
}

impl OptedOutBy<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Keyword(word) => word,
            Self::Admin => ConsentMethod::Admin.as_str(),
            Self::Provider => ConsentMethod::Provider.as_str(),
        }
    }
}

/// Opts a person out. False: the person was opted out already. The caller holds the address's lock.
pub async fn put(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    names: &[Name],
    user_id: Option<&UserId>,
    by: OptedOutBy<'_>,
) -> sqlx::Result<bool> {
    let Some(name) = principal(names) else { return Ok(false) };
    if exists(conn, keys, names).await? {
        return Ok(false);
    }
    let done = sqlx::query(
        "INSERT INTO whatsapp_proactive_opt_outs (phone_hash, phone, user_id, keyword, hashed_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(keys.hash(Sort::Person, &name.canonical))
    .bind(name.phone())
    .bind(user_id)
    .bind(by.as_str())
    .bind(keys.fingerprint())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores the opt-out under each name of a person, before the names are split between two people. The caller holds
/// the address's lock.
pub async fn spread(conn: &mut PgConnection, keys: &SecretKeys, names: &[Name]) -> sqlx::Result<()> {
    for name in names {
        sqlx::query(
            "INSERT INTO whatsapp_proactive_opt_outs (phone_hash, phone, user_id, keyword, hashed_by)
             SELECT $1, $2, user_id, keyword, $3 FROM whatsapp_proactive_opt_outs
             WHERE phone_hash = ANY ($4) AND NOT EXISTS (SELECT FROM whatsapp_proactive_opt_outs WHERE phone_hash = ANY ($5)) LIMIT 1
             ON CONFLICT DO NOTHING",
        )
        .bind(keys.hash(Sort::Person, &name.canonical))
        .bind(name.phone())
        .bind(keys.fingerprint())
        .bind(hashes(keys, names))
        .bind(keys.hashes(Sort::Person, &name.canonical))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Lifts an opt-out. False: there was none. The caller holds the address's lock.
pub async fn lift(conn: &mut PgConnection, keys: &SecretKeys, names: &[Name]) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM whatsapp_proactive_opt_outs WHERE phone_hash = ANY ($1)")
        .bind(hashes(keys, names))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether a person is opted out.
pub async fn exists(conn: &mut PgConnection, keys: &SecretKeys, names: &[Name]) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM whatsapp_proactive_opt_outs WHERE phone_hash = ANY ($1))")
        .bind(hashes(keys, names))
        .fetch_one(conn)
        .await
}

/// Which of several people are opted out, by their place.
pub async fn among(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    people: &[&[Name]],
) -> sqlx::Result<HashSet<usize>> {
    let mut places = HashMap::new();
    for (place, names) in people.iter().enumerate() {
        places.extend(hashes(keys, names).into_iter().map(|hash| (hash, place)));
    }
    let asked: Vec<&Vec<u8>> = places.keys().collect();
    let found: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT phone_hash FROM whatsapp_proactive_opt_outs WHERE phone_hash = ANY ($1)")
            .bind(&asked)
            .fetch_all(conn)
            .await?;
    Ok(found.iter().filter_map(|hash| places.get(hash).copied()).collect())
}

/// Whether a user without a phone opted out with the last one.
pub async fn exists_for_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM whatsapp_proactive_opt_outs WHERE user_id = $1)")
        .bind(user_id)
        .fetch_one(conn)
        .await
}

fn hashes(keys: &SecretKeys, names: &[Name]) -> Vec<Vec<u8>> {
    names.iter().flat_map(|name| keys.hashes(Sort::Person, &name.canonical)).collect()
}

/// Keeps the opt-out and removes the number: every name gets a row with its hash alone, since the names cannot be
/// related any more. Hashes are made with the newest key, because without the number they cannot be made later.
pub(crate) async fn erase(conn: &mut PgConnection, keys: &SecretKeys, names: &[Name]) -> sqlx::Result<()> {
    if !exists(conn, keys, names).await? {
        return Ok(());
    }
    let newest: Vec<Vec<u8>> = names.iter().map(|name| keys.hash(Sort::Person, &name.canonical)).collect();
    for hash in &newest {
        sqlx::query(
            "INSERT INTO whatsapp_proactive_opt_outs (phone_hash, keyword, hashed_by) VALUES ($1, 'erased', $2)
             ON CONFLICT (phone_hash) DO UPDATE SET phone = NULL, user_id = NULL, hashed_by = EXCLUDED.hashed_by",
        )
        .bind(hash)
        .bind(keys.fingerprint())
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query(
        "DELETE FROM whatsapp_proactive_opt_outs WHERE phone_hash = ANY ($1) AND phone_hash <> ALL ($2)",
    )
    .bind(hashes(keys, names))
    .bind(&newest)
    .execute(conn)
    .await?;
    Ok(())
}
