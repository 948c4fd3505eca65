//! Who wants nothing of our own accord: the opt-out, and the record of it among the person's consents. Replies are not concerned.

use sqlx::PgConnection;
use store::addresses::{Keyword, Name};
use store::consents::{ConsentAction, ConsentMethod, NewConsent};
use store::ids::{AddressId, UserId};
use store::opt_outs::OptedOutBy;
use store::secret_keys::SecretKeys;

use crate::texts;

/// Who opts a person out.
#[derive(Clone, Copy, Debug)]
pub enum OptOut<'a> {
    /// The person, by a keyword in a message with this SID.
    Keyword {
        /// The word as it counts, `STOP` say.
        word: &'a str,
        /// Twilio's id of the message.
        message_sid: &'a str,
    },
    /// Twilio or WhatsApp, by this error code.
    Provider(Option<i32>),
    /// Somebody of ours, for the person.
    Support,
}

/// Whether a user is opted out: by any name of the phone, or with the last phone where there is none now.
pub async fn stands(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    user_id: &UserId,
    names: Option<&[Name]>,
) -> sqlx::Result<bool> {
    match names {
        Some(names) => store::opt_outs::exists(conn, keys, names).await,
        None => store::opt_outs::exists_for_user(conn, user_id).await,
    }
}

/// Opts a person out. False: the person was opted out already, and nothing is recorded. The caller holds the address's lock.
pub async fn opt_out(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    address_id: AddressId,
    by: OptOut<'_>,
) -> sqlx::Result<bool> {
    let names = store::addresses::names(conn, address_id).await?;
    let link = store::links::of_address(conn, address_id).await?;
    let user_id = link.as_ref().map(|link| &link.user_id);
    let (by, method, text, message_sid) = match by {
        OptOut::Keyword { word, message_sid } => {
            (OptedOutBy::Keyword(word), ConsentMethod::InboundStop, word.to_owned(), Some(message_sid))
        }
        OptOut::Provider(code) => {
            let text = code.map_or_else(String::new, |code| format!("Twilio's error {code}"));
            (OptedOutBy::Provider, ConsentMethod::Provider, text, None)
        }
        OptOut::Support => (OptedOutBy::Admin, ConsentMethod::Admin, "opted out by support".to_owned(), None),
    };
    if !store::opt_outs::put(conn, keys, &names, user_id, by).await? {
        return Ok(false);
    }
    // Who is nobody's user has no consents.
    if let Some(user_id) = user_id {
        let action = ConsentAction::Revoked;
        let consent =
            NewConsent { user_id, names: &names, method, action, text: &text, version: "", message_sid };
        store::consents::insert(conn, keys, consent).await?;
    }
    if method == ConsentMethod::Admin {
        // A START that was written before must not lift this when it arrives late.
        store::addresses::settle_keywords(conn, address_id).await?;
    }
    Ok(true)
}

/// Opts a user out for whom somebody of ours was asked to. Only START from the phone, or a claim, lifts that: nobody else can agree in the person's place.
/// False: the person was opted out already. `None`: the user has no phone.
pub async fn opt_out_user(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    user_id: &UserId,
) -> sqlx::Result<Option<bool>> {
    let Some(link) = store::links::lock_of_user(conn, user_id).await? else { return Ok(None) };
    opt_out(conn, keys, link.address_id, OptOut::Support).await.map(Some)
}

/// Lifts an opt-out by START. False: there was none, and nothing is recorded. The caller holds the address's lock.
pub async fn opt_in(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    address_id: AddressId,
    message_sid: &str,
) -> sqlx::Result<bool> {
    let names = store::addresses::names(conn, address_id).await?;
    if !store::opt_outs::lift(conn, keys, &names).await? {
        return Ok(false);
    }
    if let Some(link) = store::links::of_address(conn, address_id).await? {
        let consent = NewConsent {
            user_id: &link.user_id,
            names: &names,
            method: ConsentMethod::InboundStart,
            action: ConsentAction::Granted,
            text: Keyword::Start.as_str(),
            version: "",
            message_sid: Some(message_sid),
        };
        store::consents::insert(conn, keys, consent).await?;
    }
    Ok(true)
}

/// Records what a person agrees to by a claim, which lifts an opt-out. The caller holds the address's lock.
pub async fn opt_in_by_claim(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    address_id: AddressId,
    user_id: &UserId,
    message_sid: &str,
) -> sqlx::Result<()> {
    let names = store::addresses::names(conn, address_id).await?;
    let consent = NewConsent {
        user_id,
        names: &names,
        method: ConsentMethod::ClaimFlow,
        action: ConsentAction::Granted,
        text: texts::CONSENT,
        version: texts::CONSENT_VERSION,
        message_sid: Some(message_sid),
    };
    store::consents::insert(conn, keys, consent).await?;
    store::opt_outs::lift(conn, keys, &names).await?;
    store::addresses::settle_keywords(conn, address_id).await
}
