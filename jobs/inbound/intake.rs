//! Takes a message in: its row, its sender and its job in one transaction, once for ever. STOP and START are obeyed right there, so that
//! Twilio's 200 means that they are.

use chrono::{DateTime, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::addresses::Name;
use store::messages::{Inserted, NewMessage, Outcome};
use twilio::inbound::InboundMessage;

use super::commands::Command;
use super::keywords;
use crate::app::Settings;
use crate::lanes;
use crate::notices::NoticeError;
use crate::plan_waiting::PlanWaiting;
use crate::receive_message::ReceiveMessage;

/// How a message reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
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
    New(i64),
    /// It had been stored before; nothing changed.
    Known,
}

/// Why a message could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The database refused or was away.
    #[error("cannot store the message: {0}")]
    Database(#[from] sqlx::Error),
    /// Its job could not be enqueued.
    #[error("cannot enqueue the message's job: {0}")]
    Enqueue(#[from] EnqueueError),
    /// Its confirmation could not be planned.
    #[error(transparent)]
    Notice(#[from] NoticeError),
}

/// Takes a message in. `params` is everything that Twilio sent.
pub async fn take_in(
    tx: &mut Transaction,
    settings: &Settings,
    message: &InboundMessage,
    params: &serde_json::Value,
    arrival: Arrival,
) -> Result<TakenIn, IntakeError> {
    let found = store::addresses::find_or_create(tx, &names_of(message)).await?;
    let address_id = found.address.id;
    store::merging::merge(tx, &settings.secret_keys, address_id, &found.twins).await?;
    let new = NewMessage {
        sid: &message.sid,
        address_id,
        body: &message.body,
        params,
        written_at: match arrival {
            Arrival::Webhook => None,
            Arrival::Backfill { written_at } => Some(written_at),
        },
    };
    let Inserted::New { id, written_at, waiting_user } = store::messages::insert(tx, new).await? else {
        return Ok(TakenIn::Known);
    };
    // What waited for this person to write can be planned now.
    if let Some(user) = waiting_user {
        tx.enqueue(plan_waiting(user, address_id)).await?;
    }
    // Where the account's own opt-out handling is on, Twilio has understood the word, perhaps in another language, and has answered it.
    let answered = message.opt_out_type.is_some();
    let command = match message.opt_out_type.as_deref() {
        Some("STOP") => match Command::of(&message.body) {
            Command::Stop(word) => Command::Stop(word),
            _ => Command::Stop("STOP"),
        },
        Some("START") => Command::Start,
        Some(other) => {
            store::messages::end(tx, id, Outcome::Keyword, &format!("Twilio answered it as {other}")).await?;
            return Ok(TakenIn::New(id));
        }
        None => Command::of(&message.body),
    };
    let written = keywords::Written { message_id: id, sid: &message.sid, address_id, written_at, answered };
    let lane = match command {
        Command::Stop(word) => {
            keywords::stop(tx, settings, written, word).await?;
            return Ok(TakenIn::New(id));
        }
        Command::Start => {
            keywords::start(tx, settings, written).await?;
            return Ok(TakenIn::New(id));
        }
        // Whoever wants the browser stopped does not wait behind what moderation still looks at.
        Command::EndBrowserSession => lanes::browser(address_id),
        Command::Claim(_) | Command::Text => lanes::inbound(address_id),
    };
    tx.enqueue(NewJob::of(&ReceiveMessage { message: id }).lane(lane)).await?;
    Ok(TakenIn::New(id))
}

/// The names of who wrote a message, the one to write to first.
pub(super) fn names_of(message: &InboundMessage) -> Vec<Name> {
    std::iter::once(&message.from)
        .chain(message.external_user_id.as_ref())
        .map(|alias| Name { alias: alias.clone(), canonical: twilio::address::canonical(alias) })
        .collect()
}

/// Plans what waited for this user to write.
pub(super) fn plan_waiting(user: String, address_id: i64) -> NewJob {
    NewJob::of(&PlanWaiting { user }).lane(lanes::proactive(address_id))
}
