//! Claim tokens: a user gets one from the product and sends it from a phone; the number is proven because Twilio says who sent it. Whatever
//! goes wrong, the phone reads the same neutral words.

use std::collections::BTreeSet;
use std::time::Duration;

use queue::failure::Failure;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::claim_tokens::TokenEnding;
use store::ids::UserId;
use store::links::{self, LinkEnding};
use store::messages::{Message, MessageOutcome};
use store::secret_keys::Sort;
use store::users::User;

use super::admission::tell;
use super::commands::ClaimToken;
use crate::app::{App, Settings};
use crate::opt_out;
use crate::texts;

/// A token is worth nothing after this.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Wrong tries in an hour after which every further one is refused unseen.
const WRONG_TRIES: i64 = 5;

/// Why a user gets no token.
#[derive(Debug, thiserror::Error)]
pub enum ClaimRefusal {
    /// The operator has closed the channel.
    #[error("WhatsApp is closed for everybody at the moment")]
    Disabled,
    /// The user's plan has none.
    #[error("WhatsApp is not part of the plan {0}")]
    Plan(String),
    /// Somebody must say first whether the phone shall move.
    #[error("the phone that sent the last token is linked to another user")]
    LinkedElsewhere,
    /// The user has just been erased, or moved to another cell.
    #[error("no such user")]
    Unknown,
    /// The database refused or was away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Hands out a token where the user may have one; returns it with the time when it expires. `replaces`: whether the phone may be another user's. That must
/// be said where the last token met such a phone, and is false otherwise.
pub async fn ask(
    conn: &mut PgConnection,
    settings: &Settings,
    user: &User,
    replaces: Option<bool>,
) -> Result<(ClaimToken, chrono::DateTime<chrono::Utc>), ClaimRefusal> {
    if !settings.whatsapp.enabled {
        return Err(ClaimRefusal::Disabled);
    }
    let plan = settings.plans.of(&user.plan);
    if !plan.whatsapp {
        return Err(ClaimRefusal::Plan(plan.name.clone()));
    }
    let latest = store::claim_tokens::latest(conn, &user.id).await?;
    let met_another = latest.is_some_and(|token| token.ending == Some(TokenEnding::NumberLinkedElsewhere));
    if met_another && replaces.is_none() {
        return Err(ClaimRefusal::LinkedElsewhere);
    }
    let created = create(conn, settings, &user.id, replaces.unwrap_or(false)).await?;
    created.ok_or(ClaimRefusal::Unknown)
}

/// A token that was shown before, while its user may still send it, with the time when it expires.
pub async fn still_live(
    conn: &mut PgConnection,
    settings: &Settings,
    user_id: &UserId,
    text: &str,
) -> sqlx::Result<Option<(ClaimToken, chrono::DateTime<chrono::Utc>)>> {
    let Some(token) = ClaimToken::read(text) else { return Ok(None) };
    let hashes = settings.secret_keys.hashes(Sort::ClaimToken, token.symbols());
    let until = store::claim_tokens::live_until(conn, user_id, &hashes).await?;
    Ok(until.map(|until| (token, until)))
}

/// Ends a user's link, if there is one; what is still to be sent to the phone is cancelled, and an opt-out stays. In the caller's transaction.
pub async fn unlink(conn: &mut PgConnection, settings: &Settings, user_id: &UserId) -> sqlx::Result<()> {
    if let Some(link) = links::lock_of_user(conn, user_id).await? {
        links::end(conn, &settings.secret_keys, &link, LinkEnding::Unlinked).await?;
    }
    Ok(())
}

/// Hands out a token for a user; the one before it is voided. Returns it with the time when it expires; `None`: the user has just been erased.
pub async fn create(
    conn: &mut PgConnection,
    settings: &Settings,
    user_id: &UserId,
    replaces: bool,
) -> sqlx::Result<Option<(ClaimToken, chrono::DateTime<chrono::Utc>)>> {
    let token = ClaimToken::generate(&mut rand::rng());
    let hash = settings.secret_keys.hash(Sort::ClaimToken, token.symbols());
    let expires_at =
        store::claim_tokens::create(conn, user_id, &hash, replaces, LIFETIME.as_secs_f64()).await?;
    Ok(expires_at.map(|expires_at| (token, expires_at)))
}

/// Locks the writer of a message with a token and, in one order with all who lock several people, whoever the token's user is linked to: both
/// come before the token.
pub async fn lock_people(
    app: &App,
    tx: &mut Transaction,
    message: &Message,
    token: &ClaimToken,
) -> sqlx::Result<()> {
    let hashes = app.settings.secret_keys.hashes(Sort::ClaimToken, token.symbols());
    let former = store::claim_tokens::linked_address(tx, &hashes).await?;
    for id in BTreeSet::from_iter(former.into_iter().chain([message.address_id])) {
        store::addresses::lock(tx, id).await?;
    }
    Ok(())
}

/// Redeems the token of a message, or says why not: everything in the caller's transaction, which holds the writer's lock.
pub async fn redeem(
    app: &App,
    tx: &mut Transaction,
    message: &Message,
    token: &ClaimToken,
) -> Result<(), Failure> {
    let Redemption::Refused(refused) = claim(app, tx, message, token).await? else { return Ok(()) };
    tell(app, tx, message, texts::TOKEN_REFUSED).await?;
    store::messages::end(tx, message.id, MessageOutcome::Claim, refused).await?;
    tracing::warn!(message.id = message.id.0, "Refused the claim of message {}: {refused}", message.id);
    Ok(())
}

/// What a token came to.
enum Redemption {
    /// Its phone is linked.
    Linked,
    /// It is worth nothing, for this reason.
    Refused(&'static str),
}

async fn claim(
    app: &App,
    tx: &mut Transaction,
    message: &Message,
    token: &ClaimToken,
) -> Result<Redemption, Failure> {
    let (keys, address_id) = (&app.settings.secret_keys, message.address_id);
    // Also a right one: whoever tries out tokens must not find one.
    if store::claim_tokens::wrong_tries(tx, address_id, message.written_at).await? >= WRONG_TRIES {
        return Ok(Redemption::Refused("refused: too many wrong tokens in an hour"));
    }
    let hashes = keys.hashes(Sort::ClaimToken, token.symbols());
    let Some(live) = store::claim_tokens::lock_live(tx, &hashes, message.written_at).await? else {
        store::claim_tokens::note_wrong_try(tx, message.id, address_id, message.written_at).await?;
        return Ok(Redemption::Refused("refused: no live token"));
    };
    let plan = store::users::get(tx, &live.user_id).await?.map(|user| user.plan).unwrap_or_default();
    if !app.settings.whatsapp.enabled || !app.settings.plans.of(&plan).whatsapp {
        store::claim_tokens::end(tx, live.id, TokenEnding::Plan).await?;
        return Ok(Redemption::Refused("refused: the user's plan has no WhatsApp"));
    }
    if !app.settings.compliance.allows(&store::addresses::names(tx, address_id).await?) {
        store::claim_tokens::end(tx, live.id, TokenEnding::Country).await?;
        return Ok(Redemption::Refused("refused: the phone's country is not in compliance.countries"));
    }
    let held = links::of_address(tx, address_id).await?;
    let elsewhere = held.as_ref().filter(|link| link.user_id != live.user_id);
    if elsewhere.is_some() && !live.replaces {
        store::claim_tokens::end(tx, live.id, TokenEnding::NumberLinkedElsewhere).await?;
        return Ok(Redemption::Refused("refused: the number is linked to another user"));
    }
    let own = links::of_user(tx, &live.user_id).await?;
    let former = own.as_ref().filter(|link| link.address_id != address_id);
    if let Some(link) = former {
        // It is locked already unless somebody has linked it since.
        store::addresses::lock(tx, link.address_id).await?;
    }
    let conversation = store::conversations::of_user(tx, &live.user_id).await?;
    store::conversations::lock(tx, conversation).await?;
    store::redactions::of_token(tx, address_id, conversation, token.symbols()).await?;
    if let Some(link) = elsewhere {
        links::end(tx, keys, link, LinkEnding::Moved).await?;
    }
    if let Some(link) = former {
        links::end(tx, keys, link, LinkEnding::Replaced).await?;
    }
    match own.filter(|link| link.address_id == address_id) {
        Some(link) => links::prove(tx, link.id).await?,
        None => {
            links::create(tx, &live.user_id, address_id).await?;
        }
    }
    store::claim_tokens::end(tx, live.id, TokenEnding::Redeemed).await?;
    opt_out::opt_in_by_claim(tx, keys, address_id, &live.user_id, &message.sid).await?;
    tell(app, tx, message, texts::LINKED).await?;
    store::messages::end(tx, message.id, MessageOutcome::Claim, "linked").await?;
    tracing::info!(
        message.id = message.id.0,
        user.id = live.user_id.as_str(),
        "Linked the writer of message {}",
        message.id
    );
    Ok(Redemption::Linked)
}
