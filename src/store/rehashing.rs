//! Hashing and sealing anew with the newest secret key, page by page, one statement each. The page size is a literal,
//! so that Postgres plans for it. Rows with the newest key and rows without a number are left as they are.

use sqlx::PgConnection;

use crate::ids::{ConsentId, UserId};
use crate::secret_keys::{Sealed, SecretKeys, Sort};

/// Whether any row was hashed with another key than the newest: a few index lookups for each table.
async fn anything_is_left(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT min(hashed_by) <> $1 OR max(hashed_by) <> $1 FROM whatsapp_proactive_opt_outs), FALSE)
             OR coalesce((SELECT min(hashed_by) <> $1 OR max(hashed_by) <> $1 FROM whatsapp_consents), FALSE)
             OR coalesce((SELECT min(sealed_by) <> $1 OR max(sealed_by) <> $1 FROM channel_user_agents WHERE token IS NOT NULL), FALSE)",
    )
    .bind(keys.fingerprint())
    .fetch_one(conn)
    .await
}

/// Hashes and seals anew what can be; the number of rows.
pub(crate) async fn hash_anew(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    if !anything_is_left(conn, keys).await? {
        return Ok(0);
    }
    Ok(opt_outs_of_numbers(conn, keys).await?
        + opt_outs_of_ids(conn, keys).await?
        + consents(conn, keys).await?
        + tokens(conn, keys).await?)
}

/// Opt-outs that have their number.
async fn opt_outs_of_numbers(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    let (mut rows, mut after) = (0, Vec::new());
    loop {
        // Rows that need no new hash are skipped here: as a condition in SQL, Postgres reads and sorts the table for
        // each page.
        let page: Vec<(Vec<u8>, Option<String>)> = sqlx::query_as(
            "SELECT o.phone_hash, CASE WHEN o.hashed_by <> $1 THEN coalesce(a.canonical, 'whatsapp:' || o.phone) END
             FROM whatsapp_proactive_opt_outs o LEFT JOIN channel_address_aliases a ON a.alias = 'whatsapp:' || o.phone
             WHERE o.phone_hash > $2 ORDER BY o.phone_hash LIMIT 500",
        )
        .bind(keys.fingerprint())
        .bind(&after)
        .fetch_all(&mut *conn)
        .await?;
        let Some((last, _)) = page.last() else { return Ok(rows) };
        after.clone_from(last);
        let pairs =
            page.into_iter().filter_map(|(old, name)| name.map(|name| (old, keys.hash(Sort::Person, &name))));
        rows += replace_opt_outs(conn, keys, pairs).await?;
    }
}

/// Opt-outs of people who hide their number have only a hash, so each such name is looked up under every key.
async fn opt_outs_of_ids(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    let (mut rows, mut after) = (0, String::new());
    loop {
        let page: Vec<(String, String)> = sqlx::query_as(
            "SELECT alias, coalesce(canonical, alias) FROM channel_address_aliases
             WHERE alias NOT LIKE 'whatsapp:+%' AND alias > $1 ORDER BY alias LIMIT 500",
        )
        .bind(&after)
        .fetch_all(&mut *conn)
        .await?;
        let Some((last, _)) = page.last() else { return Ok(rows) };
        after.clone_from(last);
        let pairs = page.iter().flat_map(|(_, name)| {
            let new = keys.hash(Sort::Person, name);
            keys.hashes(Sort::Person, name).into_iter().map(move |old| (old, new.clone()))
        });
        rows += replace_opt_outs(conn, keys, pairs).await?;
    }
}

/// Puts the new hash in place of the old one. Where it stands already, the old row only goes.
async fn replace_opt_outs(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> sqlx::Result<u64> {
    let (old, new): (Vec<_>, Vec<_>) = pairs.unzip();
    let rows: i64 = sqlx::query_scalar(
        "WITH pairs AS (SELECT * FROM unnest($1::BYTEA[], $2::BYTEA[]) AS p (old, new)),
              stored AS (SELECT p.*, EXISTS (SELECT FROM whatsapp_proactive_opt_outs n WHERE n.phone_hash = p.new AND p.new <> p.old) AS is_there
                         FROM pairs p JOIN whatsapp_proactive_opt_outs o ON o.phone_hash = p.old AND o.hashed_by <> $3),
              chosen AS (SELECT DISTINCT ON (new) old, new FROM stored WHERE NOT is_there ORDER BY new, old),
              moved AS (UPDATE whatsapp_proactive_opt_outs o SET phone_hash = c.new, hashed_by = $3 FROM chosen c WHERE o.phone_hash = c.old RETURNING o.phone_hash),
              gone AS (DELETE FROM whatsapp_proactive_opt_outs o USING stored s
                       WHERE o.phone_hash = s.old AND s.old <> s.new AND s.old NOT IN (SELECT old FROM chosen) RETURNING o.phone_hash)
         SELECT (SELECT count(*) FROM moved) + (SELECT count(*) FROM gone)",
    )
    .bind(&old)
    .bind(&new)
    .bind(keys.fingerprint())
    .fetch_one(conn)
    .await?;
    Ok(rows.unsigned_abs())
}

/// A consent that may be hashed anew.
#[derive(sqlx::FromRow)]
struct StoredConsent {
    id: ConsentId,
    phone_hash: Vec<u8>,
    /// Whose it is; `None`: the number is hidden, or was erased.
    number: Option<String>,
    /// Names of its user who hides the number.
    names: Vec<String>,
}

/// Consents that have their number, or an id that is still known to be their user's.
async fn consents(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    let (mut rows, mut after) = (0, ConsentId(0));
    loop {
        let page: Vec<StoredConsent> = sqlx::query_as(
            "SELECT c.id, c.phone_hash, coalesce(a.canonical, 'whatsapp:' || c.phone) AS number,
                    CASE WHEN c.phone IS NULL THEN ARRAY(SELECT coalesce(n.canonical, n.alias) FROM channel_links l JOIN channel_address_aliases n ON n.address_id = l.address_id
                                                         WHERE l.user_id = c.user_id) ELSE '{}' END AS names
             FROM whatsapp_consents c LEFT JOIN channel_address_aliases a ON a.alias = 'whatsapp:' || c.phone
             WHERE c.hashed_by <> $1 AND c.id > $2 ORDER BY c.id LIMIT 500",
        )
        .bind(keys.fingerprint())
        .bind(after)
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = last.id;
        let (mut ids, mut hashes) = (Vec::new(), Vec::new());
        for StoredConsent { id, phone_hash, number, names } in page {
            let name = number.or_else(|| {
                // A person without any name was written down as the empty one.
                let mut names = names.into_iter().chain([String::new()]);
                names.find(|name| keys.hashes(Sort::Person, name).contains(&phone_hash))
            });
            let Some(name) = name else { continue };
            ids.push(id);
            hashes.push(keys.hash(Sort::Person, &name));
        }
        let done = sqlx::query(
            "UPDATE whatsapp_consents c SET phone_hash = new.hash, hashed_by = $3
             FROM unnest($1::BIGINT[], $2::BYTEA[]) AS new (id, hash) WHERE c.id = new.id",
        )
        .bind(&ids)
        .bind(&hashes)
        .bind(keys.fingerprint())
        .execute(&mut *conn)
        .await?;
        rows += done.rows_affected();
    }
}

/// Tokens that one of the keys opens.
async fn tokens(conn: &mut PgConnection, keys: &SecretKeys) -> sqlx::Result<u64> {
    let (mut rows, mut after) = (0, String::new());
    loop {
        let page: Vec<(UserId, Vec<u8>)> = sqlx::query_as(
            "SELECT user_id, token FROM channel_user_agents
             WHERE token IS NOT NULL AND sealed_by <> $1 AND user_id > $2 ORDER BY user_id LIMIT 500",
        )
        .bind(keys.fingerprint())
        .bind(&after)
        .fetch_all(&mut *conn)
        .await?;
        let Some((last, _)) = page.last() else { return Ok(rows) };
        last.as_str().clone_into(&mut after);
        let (mut users, mut former, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (user, token) in page {
            let Some(secret) = keys.open(Sealed::AgentToken, user.as_str(), &token) else { continue };
            sealed.push(keys.seal(Sealed::AgentToken, user.as_str(), &secret));
            users.push(user);
            former.push(token);
        }
        // One that was set meanwhile stays.
        let done = sqlx::query(
            "UPDATE channel_user_agents a SET token = new.token, sealed_by = $4
             FROM unnest($1::TEXT[], $2::BYTEA[], $3::BYTEA[]) AS new (user_id, former, token) WHERE a.user_id = new.user_id AND a.token = new.former",
        )
        .bind(&users)
        .bind(&former)
        .bind(&sealed)
        .bind(keys.fingerprint())
        .execute(&mut *conn)
        .await?;
        rows += done.rows_affected();
    }
}
