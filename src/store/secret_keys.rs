//! `CLOUDYBOT_SECRET_KEY`: what keys the hashes of claim tokens and phone numbers and seals other people's tokens, so that a stolen table
//! tells none of them.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::PgConnection;

/// The keys; the first makes new hashes, all are tried when something is looked up.
#[derive(Clone, Debug)]
pub struct SecretKeys(Vec<SecretString>);

/// What is hashed: equal texts of two sorts have different hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The eight symbols of a claim token.
    ClaimToken,
    /// A WhatsApp person's number or opaque id.
    Person,
}

/// What is sealed: a seal of one sort opens as no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The token of a user's own gateway.
    AgentToken,
}

impl Sealed {
    fn label(self) -> &'static str {
        match self {
            Self::AgentToken => "agent token",
        }
    }
}

/// Bytes of a nonce that is drawn by chance for each seal.
const NONCE_BYTES: usize = 24;

impl SecretKeys {
    /// Reads keys that are separated by commas. `None`: there is none.
    #[must_use]
    pub fn parse(text: &SecretString) -> Option<Self> {
        let keys = text.expose_secret().split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<SecretString> = keys.map(SecretString::from).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The same keys with a former one behind them, unless it is among them.
    #[must_use]
    pub fn with_former(mut self, key: SecretString) -> Self {
        if !self.0.iter().any(|known| known.expose_secret() == key.expose_secret()) {
            self.0.push(key);
        }
        self
    }

    /// Names the key that makes new hashes and seals, without telling it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.newest())
    }

    fn newest(&self) -> &SecretString {
        self.0.first().expect("parse takes no empty list")
    }

    /// Names all keys, in their order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(fingerprint).collect()
    }

    /// The hash to store.
    #[must_use]
    pub fn hash(&self, sort: Sort, text: &str) -> Vec<u8> {
        hash(self.newest(), sort, text)
    }

    /// Every hash by which it may be stored: one for each key of a rotation.
    #[must_use]
    pub fn hashes(&self, sort: Sort, text: &str) -> Vec<Vec<u8>> {
        self.0.iter().map(|key| hash(key, sort, text)).collect()
    }

    /// Encrypts a secret for its owner: it can only be opened with the key and for the same owner.
    #[must_use]
    pub fn seal(&self, sort: Sealed, owner: &str, secret: &SecretString) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: owner.as_bytes() };
        let sealed = cipher(self.newest(), sort).encrypt(&XNonce::from(nonce), payload);
        [nonce.as_slice(), &sealed.expect("a token is far shorter than what the cipher takes")].concat()
    }

    /// Opens what one of the keys has sealed. `None`: none of them, or not for this owner.
    #[must_use]
    pub fn open(&self, sort: Sealed, owner: &str, sealed: &[u8]) -> Option<SecretString> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let opened = self.0.iter().find_map(|key| {
            let payload = Payload { msg: sealed, aad: owner.as_bytes() };
            cipher(key, sort).decrypt(&XNonce::from(*nonce), payload).ok()
        })?;
        String::from_utf8(opened).ok().map(SecretString::from)
    }
}

fn hash(key: &SecretString, sort: Sort, text: &str) -> Vec<u8> {
    let sort = match sort {
        Sort::ClaimToken => "claim token",
        Sort::Person => "person",
    };
    derive(key, sort, text).to_vec()
}

fn fingerprint(key: &SecretString) -> String {
    derive(key, "fingerprint", "").iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A key of its own for each sort of secret.
fn cipher(key: &SecretString, sort: Sealed) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&derive(key, "seal", sort.label()).into())
}

fn derive(key: &SecretString, purpose: &str, text: &str) -> [u8; 32] {
    let key = key.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The key that this database keeps for itself, stored now if there is none: for development, where nobody brings one.
pub async fn kept(conn: &mut PgConnection, fresh: &SecretString) -> sqlx::Result<SecretString> {
    sqlx::query(
        "INSERT INTO channel_secrets (name, secret) VALUES ('secret_key', $1) ON CONFLICT DO NOTHING",
    )
    .bind(fresh.expose_secret())
    .execute(&mut *conn)
    .await?;
    let secret: String = sqlx::query_scalar("SELECT secret FROM channel_secrets WHERE name = 'secret_key'")
        .fetch_one(conn)
        .await?;
    Ok(secret.into())
}

/// The key that this database keeps for itself, if it has ever made one.
pub async fn kept_if_any(conn: &mut PgConnection) -> sqlx::Result<Option<SecretString>> {
    let secret: Option<String> =
        sqlx::query_scalar("SELECT secret FROM channel_secrets WHERE name = 'secret_key'")
            .fetch_optional(conn)
            .await?;
    Ok(secret.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_key_and_sort_and_text() {
        let keys = SecretKeys::parse(&"one".into()).unwrap();

        let hash = keys.hash(Sort::Person, "whatsapp:+15005550100");

        assert_eq!(hash, keys.hash(Sort::Person, "whatsapp:+15005550100"));
        assert_ne!(hash, keys.hash(Sort::Person, "whatsapp:+15005550101"));
        assert_ne!(hash, keys.hash(Sort::ClaimToken, "whatsapp:+15005550100"));
        assert_ne!(
            hash,
            SecretKeys::parse(&"two".into()).unwrap().hash(Sort::Person, "whatsapp:+15005550100")
        );
    }

    #[test]
    fn after_a_rotation_what_was_stored_before_is_still_found() {
        let (old, rotated) =
            (SecretKeys::parse(&"old".into()).unwrap(), SecretKeys::parse(&"new, old".into()).unwrap());

        let stored = old.hash(Sort::Person, "x");

        assert!(rotated.hashes(Sort::Person, "x").contains(&stored));
        assert_ne!(rotated.hash(Sort::Person, "x"), stored);
    }

    #[test]
    fn a_fingerprint_names_a_key_and_a_former_key_stands_behind() {
        let (old, new) =
            (SecretKeys::parse(&"old".into()).unwrap(), SecretKeys::parse(&"new".into()).unwrap());

        let both = new.clone().with_former("old".into());

        assert_eq!(both.fingerprint(), new.fingerprint());
        assert_eq!(both.fingerprints(), [new.fingerprint(), old.fingerprint()]);
        assert_eq!(both.clone().with_former("old".into()).fingerprints().len(), 2);
        assert_eq!(new.fingerprint().len(), 16);
    }

    #[test]
    fn a_seal_opens_for_its_owner_with_its_key_alone() {
        let (keys, rotated) =
            (SecretKeys::parse(&"old".into()).unwrap(), SecretKeys::parse(&"new, old".into()).unwrap());

        let sealed = keys.seal(Sealed::AgentToken, "alice", &"s3cret".into());

        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_ne!(
            sealed,
            keys.seal(Sealed::AgentToken, "alice", &"s3cret".into()),
            "two seals of one secret differ"
        );
        let open = |keys: &SecretKeys, owner, sealed: &[u8]| {
            keys.open(Sealed::AgentToken, owner, sealed).map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(open(&rotated, "alice", &sealed).as_deref(), Some("s3cret"));
        assert_eq!(open(&keys, "bob", &sealed), None);
        assert_eq!(open(&SecretKeys::parse(&"new".into()).unwrap(), "alice", &sealed), None);
        assert_eq!(open(&keys, "alice", &sealed[..20]), None);
    }

    #[test]
    fn no_key_is_shown_and_none_is_empty() {
        let shown = format!("{:?}", SecretKeys::parse(&"hunter2".into()).unwrap());
        assert_eq!(shown, "SecretKeys([SecretBox<str>([REDACTED])])");
        assert!(SecretKeys::parse(&" , ".into()).is_none());
    }
}
