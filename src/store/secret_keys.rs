//! `CLOUDYBOT_SECRET_KEY`: what keys the hashes of claim tokens and phone numbers, so that a stolen table tells neither.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::PgConnection;

/// The keys; the first makes new hashes, all are tried when something is looked up.
#[derive(Clone)]
pub struct SecretKeys(Vec<String>);

/// What is hashed: equal texts of two sorts have different hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The eight symbols of a claim token.
    ClaimToken,
    /// A WhatsApp person's number or opaque id.
    Person,
}

impl SecretKeys {
    /// Reads keys that are separated by commas. `None`: there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let keys: Vec<String> =
            text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The hash to store.
    #[must_use]
    pub fn hash(&self, sort: Sort, text: &str) -> Vec<u8> {
        hash(self.0.first().expect("parse takes no empty list"), sort, text)
    }

    /// Every hash by which it may be stored: one for each key of a rotation.
    #[must_use]
    pub fn hashes(&self, sort: Sort, text: &str) -> Vec<Vec<u8>> {
        self.0.iter().map(|key| hash(key, sort, text)).collect()
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({})", self.0.len())
    }
}

fn hash(key: &str, sort: Sort, text: &str) -> Vec<u8> {
    let sort = match sort {
        Sort::ClaimToken => "claim token",
        Sort::Person => "person",
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(sort.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The key that this database keeps for itself, stored now if there is none: for development, where nobody brings one.
pub async fn kept(conn: &mut PgConnection, fresh: &str) -> sqlx::Result<String> {
    sqlx::query(
        "INSERT INTO channel_secrets (name, secret) VALUES ('secret_key', $1) ON CONFLICT DO NOTHING",
    )
    .bind(fresh)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar("SELECT secret FROM channel_secrets WHERE name = 'secret_key'").fetch_one(conn).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_key_and_sort_and_text() {
        let keys = SecretKeys::parse("one").unwrap();

        let hash = keys.hash(Sort::Person, "whatsapp:+15005550100");

        assert_eq!(hash, keys.hash(Sort::Person, "whatsapp:+15005550100"));
        assert_ne!(hash, keys.hash(Sort::Person, "whatsapp:+15005550101"));
        assert_ne!(hash, keys.hash(Sort::ClaimToken, "whatsapp:+15005550100"));
        assert_ne!(hash, SecretKeys::parse("two").unwrap().hash(Sort::Person, "whatsapp:+15005550100"));
    }

    #[test]
    fn after_a_rotation_what_was_stored_before_is_still_found() {
        let (old, rotated) = (SecretKeys::parse("old").unwrap(), SecretKeys::parse("new, old").unwrap());

        let stored = old.hash(Sort::Person, "x");

        assert!(rotated.hashes(Sort::Person, "x").contains(&stored));
        assert_ne!(rotated.hash(Sort::Person, "x"), stored);
    }

    #[test]
    fn no_key_is_shown_and_none_is_empty() {
        assert_eq!(format!("{:?}", SecretKeys::parse("hunter2").unwrap()), "SecretKeys(1)");
        assert!(SecretKeys::parse(" , ").is_none());
    }
}
