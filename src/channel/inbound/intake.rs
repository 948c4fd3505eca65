//! Takes a message in: its row, its writer and its job in one transaction, once for ever. STOP and START are obeyed right there, so that
//! Twilio's 200 means that they are.

use chrono::{DateTime, Utc};
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::addresses::{self, Keyword, Name, Writer};
use store::arrivals::{Inserted, NewMessage};
use store::ids::{AddressId, MessageId, UserId};
use store::messages::MessageOutcome;
use twilio::inbound::{InboundMessage, OptOutType};

use super::commands::PersonCommand;
use super::{changed_ids, keywords};
use crate::app::Settings;
use crate::kinds::{PlanWaiting, ReceiveMessage};
use crate::lanes;
use crate::write_error::WriteError;

/// How a message reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// By its webhook, so it was written just now.
    Webhook,
    /// From Twilio's list, because its webhook never came.
    Backfill {
        /// When Twilio got it.
        written_at: DateTime<Utc>,
    },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenIn {
    /// It is stored, under this number.
    New(MessageId),
    /// It had been stored before; nothing changed.
    Known,
}

/// Takes a message in. `params` is everything that Twilio sent.
pub async fn take_in(
    tx: &mut Transaction,
    settings: &Settings,
    message: &InboundMessage,
    params: &serde_json::Value,
    way_in: WayIn,
) -> Result<TakenIn, WriteError> {
    let address_id = writer(tx, settings, &names_of(message)).await?;
    let new = NewMessage {
        sid: &message.sid,
        address_id,
        body: &message.body,
        params,
        written_at: match way_in {
            WayIn::Webhook => None,
            WayIn::Backfill { written_at } => Some(written_at),
        },
    };
    let Inserted::New { id, written_at, waiting_user } = store::arrivals::insert(tx, new).await? else {
        return Ok(TakenIn::Known);
    };
    // What waited for this person to write can be planned now.
    if let Some(user) = waiting_user {
        tx.enqueue(plan_waiting_job(user, address_id)).await?;
    }
    obey(tx, settings, message, Stored { id, address_id, written_at }).await?;
    Ok(TakenIn::New(id))
}

/// A message that has its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub id: MessageId,
    /// Who wrote it; the caller holds the lock.
    pub address_id: AddressId,
    pub written_at: DateTime<Utc>,
}

/// Obeys a keyword, or enqueues the job that decides about the message. A keyword that is older than the latest changes nothing.
pub(super) async fn obey(
    tx: &mut Transaction,
    settings: &Settings,
    message: &InboundMessage,
    stored: Stored,
) -> Result<(), WriteError> {
    let Stored { id, address_id, written_at } = stored;
    // Where the account's own opt-out handling is on, Twilio has understood the word, perhaps in another language, and has answered it.
    let answered = message.opt_out_type.is_some();
    let command = match (&message.opt_out_type, PersonCommand::of(message, settings.words())) {
        (Some(OptOutType::Stop), PersonCommand::Stop(word)) => PersonCommand::Stop(word),
        (Some(OptOutType::Stop), _) => PersonCommand::Stop(Keyword::Stop.as_str()),
        (Some(OptOutType::Start), _) => PersonCommand::Start,
        (Some(OptOutType::Help), _) => {
            store::messages::end(tx, id, MessageOutcome::Keyword, "Twilio answered it as HELP").await?;
            return Ok(());
        }
        // What the word said is not known, so our own list decides; without a keyword of ours, Twilio's answer was the answer.
        (Some(OptOutType::Other(_)), command @ (PersonCommand::Stop(_) | PersonCommand::Start)) => command,
        (Some(OptOutType::Other(understood)), _) => {
            let reason = format!("Twilio answered it as {understood}");
            store::messages::end(tx, id, MessageOutcome::Keyword, &reason).await?;
            return Ok(());
        }
        (None, command) => command,
    };
    let written =
        keywords::KeywordMessage { message_id: id, sid: &message.sid, address_id, written_at, answered };
    let lane = match command {
        PersonCommand::Stop(word) => {
            keywords::stop(tx, settings, written, word).await?;
            return Ok(());
        }
        PersonCommand::Start => {
            keywords::start(tx, settings, written).await?;
            return Ok(());
        }
        // Whoever wants the browser stopped, or a person, does not wait behind what moderation still looks at.
        PersonCommand::EndBrowserSession | PersonCommand::Human => lanes::browser(address_id),
        PersonCommand::Claim(_) | PersonCommand::Text => lanes::inbound(address_id),
    };
    tx.enqueue(NewJob::of(&ReceiveMessage { message: id }).lane(lane)).await?;
    Ok(())
}

/// The names of who wrote a message, the one to write to first: a number with the opaque id beside it if there is one, or an opaque id.
pub(super) fn names_of(message: &InboundMessage) -> Vec<Name> {
    let name = |alias: &String| Name { alias: alias.clone(), canonical: twilio::address::canonical(alias) };
    let from = name(&message.from);
    let id = message.external_user_id.as_ref().filter(|_| !from.is_opaque()).map(name);
    std::iter::once(from).chain(id).collect()
}

/// Who wrote a message, locked until the caller's transaction ends.
async fn writer(tx: &mut Transaction, settings: &Settings, names: &[Name]) -> Result<AddressId, WriteError> {
    let mut writer = addresses::find_or_create(tx, names).await?;
    if let Writer::Contested(contested) = writer {
        let agreed = changed_ids::decide(tx, settings, names, contested).await?;
        writer = addresses::find_or_create(tx, agreed).await?;
    }
    let Writer::Found(found) = writer else { return Err(sqlx::Error::RowNotFound.into()) };
    store::merging::merge(tx, &settings.secret_keys, found.address.id, &found.twins).await?;
    Ok(found.address.id)
}

/// The job that plans what waited for this user to write.
pub fn plan_waiting_job(user: UserId, address_id: AddressId) -> NewJob {
    NewJob::of(&PlanWaiting { user }).lane(lanes::proactive(address_id))
}
