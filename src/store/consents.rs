//! `whatsapp_consents`: what people agreed to and took back, for ever.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::addresses::Name;
use crate::secret_keys::{SecretKeys, Sort};

/// How somebody agreed or disagreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a claim token sent from the phone.
    ClaimFlow,
    /// By START.
    InboundStart,
    /// By STOP.
    InboundStop,
    /// Somebody did it for them.
    Admin,
    /// Twilio or WhatsApp says so.
    Provider,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::ClaimFlow => "claim_flow",
            Self::InboundStart => "inbound_start",
            Self::InboundStop => "inbound_stop",
            Self::Admin => "admin",
            Self::Provider => "provider",
        }
    }
}

/// Agreed, or took back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Agreed.
    Granted,
    /// Took back.
    Revoked,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Revoked => "revoked",
        }
    }
}

/// A row to be added.
#[derive(Debug)]
pub struct NewConsent<'a> {
    /// Whose.
    pub user_id: &'a str,
    /// Every name of the person.
    pub names: &'a [Name],
    /// How.
    pub method: Method,
    /// What.
    pub action: Action,
    /// What the person was shown, or wrote.
    pub text: &'a str,
    /// Of that text.
    pub version: &'a str,
    /// Twilio's id of the message that says so.
    pub message_sid: Option<&'a str>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Consent {
    /// E.164; `None`: hidden or erased.
    pub phone: Option<String>,
    /// How.
    pub method: String,
    /// `granted` or `revoked`.
    pub action: String,
    /// What the person was shown, or wrote.
    pub text: String,
    /// Of that text.
    pub version: String,
    /// Twilio's id of the message that says so.
    pub message_sid: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The name under which a person is kept: the number if one is known.
#[must_use]
pub fn principal(names: &[Name]) -> Option<&Name> {
    names.iter().find(|name| name.phone().is_some()).or_else(|| names.first())
}

/// Adds a row.
pub async fn insert(conn: &mut PgConnection, keys: &SecretKeys, consent: NewConsent<'_>) -> sqlx::Result<()> {
    let name = principal(consent.names);
    sqlx::query(
        "INSERT INTO whatsapp_consents (user_id, phone, phone_hash, method, action, text, version, message_sid, hashed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(consent.user_id)
    .bind(name.and_then(Name::phone))
    .bind(keys.hash(Sort::Person, name.map_or("", |name| name.canonical.as_str())))
    .bind(consent.method.as_str())
    .bind(consent.action.as_str())
    .bind(consent.text)
    .bind(consent.version)
    .bind(consent.message_sid)
    .bind(keys.fingerprint())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything a user agreed to and took back, in order.
pub async fn of_user(conn: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<Consent>> {
    sqlx::query_as(
        "SELECT phone, method, action, text, version, message_sid, created_at FROM whatsapp_consents WHERE user_id = $1 ORDER BY id",
    )
    .bind(user_id)
    .fetch_all(conn)
    .await
}
