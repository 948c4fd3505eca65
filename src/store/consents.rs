//! `whatsapp_consents`: what people agreed to and took back, for ever.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::addresses::Name;
use crate::ids::{ConsentId, UserId};
use crate::secret_keys::{SecretKeys, Sort};
use crate::text_enum::text_enum;

text_enum! {
    /// How somebody agreed or disagreed.
    pub enum ConsentMethod in ["whatsapp_consents.method"] {
        /// By a claim token sent from the phone.
        ClaimFlow = "claim_flow",
        /// By START.
        InboundStart = "inbound_start",
        /// By STOP.
        InboundStop = "inbound_stop",
        /// Somebody did it for them.
        Admin = "admin",
        /// Twilio or WhatsApp says so.
        Provider = "provider",
    }
}

text_enum! {
    /// Agreed, or took back.
    pub enum ConsentAction in ["whatsapp_consents.action"] {
        /// Agreed.
        Granted = "granted",
        /// Took back.
        Revoked = "revoked",
    }
}

/// A row to be added.
#[derive(Debug)]
pub struct NewConsent<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// Every name of the person.
    pub names: &'a [Name],
    /// How.
    pub method: ConsentMethod,
    /// What.
    pub action: ConsentAction,
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
    pub method: ConsentMethod,
    /// What.
    pub action: ConsentAction,
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
    .bind(consent.method)
    .bind(consent.action)
    .bind(consent.text)
    .bind(consent.version)
    .bind(consent.message_sid)
    .bind(keys.fingerprint())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything a user agreed to and took back, in order.
pub async fn of_user(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Vec<Consent>> {
    sqlx::query_as(
        "SELECT phone, method, action, text, version, message_sid, created_at FROM whatsapp_consents WHERE user_id = $1 ORDER BY id",
    )
    .bind(user_id)
    .fetch_all(conn)
    .await
}

/// What a user did.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Deed {
    /// Who.
    pub user_id: UserId,
    /// How.
    pub method: ConsentMethod,
    /// What.
    pub action: ConsentAction,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What a user did, by the row's number.
pub async fn deed(conn: &mut PgConnection, id: ConsentId) -> sqlx::Result<Option<Deed>> {
    sqlx::query_as("SELECT user_id, method, action, created_at FROM whatsapp_consents WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}
