//! Who may talk to the agent: the writer's user, country, plan and pace, in this order. The first that stands in the way is the message's outcome.

use std::time::Duration;

use queue::failure::Failure;
use queue::transaction::Transaction;
use store::links::{self, Link};
use store::messages::{Message, MessageOutcome};
use store::notices::NoticeKind;

use super::limits::WINDOW;
use crate::app::App;
use crate::compliance::NOT_LISTED;
use crate::outbound::notices::{self, Notice};
use crate::texts;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A message that reaches us later than this is stored and not answered.
const LATE: Duration = HOUR;

/// Whether a message came too late to be answered; it has its outcome then.
pub async fn is_late(tx: &mut Transaction, message: &Message) -> Result<bool, Failure> {
    let late = (message.received_at - message.written_at).to_std().is_ok_and(|late| late > LATE);
    if late {
        store::messages::end(tx, message.id, MessageOutcome::Late, "it reached us more than an hour late")
            .await?;
    }
    Ok(late)
}

/// Whom a message is from, if they may use the channel. `None`: they may not, and the message has its outcome.
pub async fn user(app: &App, tx: &mut Transaction, message: &Message) -> Result<Option<Link>, Failure> {
    let Some(link) = links::proven_of_address(tx, message.address_id).await? else {
        // A hint how to link the number would lead to a refusal.
        if is_in_listed_country(app, tx, message).await? {
            stranger(app, tx, message).await?;
        }
        return Ok(None);
    };
    let plan = store::users::get(tx, &link.user_id).await?.map(|user| (user.plan, user.paused));
    let (plan, paused) = plan.unwrap_or_default();
    if !app.settings.whatsapp.enabled {
        store::messages::end(tx, message.id, MessageOutcome::Disabled, "whatsapp.enabled is false").await?;
        return Ok(None);
    }
    if !is_in_listed_country(app, tx, message).await? {
        return Ok(None);
    }
    if !app.settings.plans.of(&plan).whatsapp {
        if due(tx, message, NoticeKind::Plan, DAY).await? {
            tell(app, tx, message, texts::PLAN_HINT).await?;
        }
        store::messages::end(tx, message.id, MessageOutcome::Plan, &format!("plan {plan} has no WhatsApp"))
            .await?;
        return Ok(None);
    }
    if paused {
        store::messages::end(tx, message.id, MessageOutcome::Paused, "the user's assistant is paused")
            .await?;
        return Ok(None);
    }
    Ok(Some(link))
}

/// Whether the assistant may talk to the writer's country. False: the message has its outcome.
async fn is_in_listed_country(app: &App, tx: &mut Transaction, message: &Message) -> Result<bool, Failure> {
    if app.settings.compliance.allows(&store::addresses::names(tx, message.address_id).await?) {
        return Ok(true);
    }
    if due(tx, message, NoticeKind::Country, DAY).await? {
        tell(app, tx, message, texts::COUNTRY_HINT).await?;
    }
    store::messages::end(tx, message.id, MessageOutcome::Country, NOT_LISTED).await?;
    Ok(false)
}

/// Whether a user's message may reach the agent now. False: it has its outcome.
pub async fn pace(app: &App, tx: &mut Transaction, message: &Message) -> Result<bool, Failure> {
    if message.backfilled || message.admitted_at.is_some() {
        return Ok(true);
    }
    let limits = &app.settings.limits;
    if !limits.admit_writer(tx, message.address_id, message.written_at).await? {
        if due(tx, message, NoticeKind::Rate, WINDOW).await? {
            tell(app, tx, message, texts::TOO_FAST).await?;
        }
        store::messages::end(tx, message.id, MessageOutcome::RateLimited, "limits.per_sender_per_min")
            .await?;
        return Ok(false);
    }
    if let Some(wait) = limits.wait_for_all(tx).await? {
        return Err(Failure::Snooze(wait));
    }
    store::messages::admit(tx, message.id).await?;
    Ok(true)
}

async fn stranger(app: &App, tx: &mut Transaction, message: &Message) -> Result<(), Failure> {
    let counted = !message.backfilled;
    if counted && !app.settings.limits.admit_stranger(tx, message.address_id, message.written_at).await? {
        store::messages::end(tx, message.id, MessageOutcome::RateLimited, "limits.unlinked_per_hour").await?;
        return Ok(());
    }
    if due(tx, message, NoticeKind::Linking, HOUR).await? {
        tell(app, tx, message, texts::LINK_HINT).await?;
    }
    store::messages::end(tx, message.id, MessageOutcome::NotLinked, "no user has claimed this number")
        .await?;
    let who = store::addresses::names(tx, message.address_id).await?;
    let who = who.first().map(|name| twilio::address::masked(&name.alias)).unwrap_or_default();
    tracing::warn!(
        message.id = message.id.0,
        "Message {} is from {who}, which no user has claimed",
        message.id
    );
    Ok(())
}

pub(super) async fn due(
    tx: &mut Transaction,
    message: &Message,
    about: NoticeKind,
    every: Duration,
) -> sqlx::Result<bool> {
    store::notices::due(tx, message.address_id, about, every.as_secs_f64(), message.written_at).await
}

/// Tells the writer of a message something about it.
pub async fn tell(app: &App, tx: &mut Transaction, message: &Message, text: &str) -> Result<(), Failure> {
    let Message { id, address_id, written_at, retried_at, .. } = *message;
    // One that is tried again by hand has had the apology, and is answered late.
    let (message_id, since) = (retried_at.is_none().then_some(id), retried_at.unwrap_or(written_at));
    let expires_at = since + app.settings.deliveries.reply_expires;
    let notice = Notice { address_id, message_id, conversation_id: None, expires_at, text, urgent: false };
    Ok(notices::tell(tx, notice).await?)
}
