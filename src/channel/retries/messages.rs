//! A message that nobody decided about, or whose answer failed.

use queue::job::{Enqueued, NewJob};
use queue::transaction::Transaction;
use store::deliveries::Obstacle;
use store::ids::{AddressId, MessageId};
use store::messages::MessageOutcome;
use store::retries::{self, AskedMessage};

use super::{Answered, NOT_CLOSED, Result, WORDS_GONE, refused};
use crate::app::Settings;
use crate::kinds::{Answer, ReceiveMessage};
use crate::lanes;
use crate::outbound::obstacles::told;

/// Has a message answered whose turn failed, by a turn of its own. An apology stands.
pub(super) async fn answer_again(
    tx: &mut Transaction,
    settings: &Settings,
    dead: &Answer,
) -> Result<Answered> {
    let Answer { conversation, message, .. } = *dead;
    store::addresses::lock_of_conversation(tx, conversation).await?;
    store::conversations::lock(tx, conversation).await?;
    let Some(user_id) = store::conversations::user_of(tx, conversation).await? else {
        return refused("the user was erased");
    };
    if store::takeovers::lasts(tx, conversation).await? {
        return refused("a person answers there: give the conversation back first");
    }
    let asked = match failed(retries::asked(tx, message).await?) {
        Ok(asked) => asked,
        Err(reason) => return refused(reason),
    };
    if let Some(address_id) = asked.address_id {
        let link = store::links::proven_of_address(tx, address_id).await?;
        if link.is_none_or(|link| link.user_id != user_id) {
            return refused(told(Obstacle::NotLinked));
        }
        if !window_is_open(tx, settings, address_id).await? {
            return refused(WINDOW);
        }
    }
    if asked.turn_id.is_none() {
        retries::reopen(tx, message).await?;
    }
    let job = NewJob::of(&Answer { conversation, message, retry_of: asked.turn_id })
        .lane(lanes::conversation(conversation));
    let job = match asked.turn_id {
        Some(turn) => job.unique_key(format!("retry:turn:{turn}")),
        None => job,
    };
    match tx.enqueue(job).await? {
        Enqueued::New(id) => Ok(Answered::Retried(format!("job {id}"))),
        Enqueued::Duplicate => refused("its turn is tried again already"),
    }
}

/// Has a message decided about once more, once.
pub(super) async fn receive_again(
    tx: &mut Transaction,
    settings: &Settings,
    message_id: MessageId,
) -> Result<Answered> {
    let Some(message) = store::messages::get(tx, message_id).await? else {
        return refused("its message is gone");
    };
    let address = store::addresses::lock(tx, message.address_id).await?;
    let asked = match failed(retries::asked(tx, message_id).await?) {
        Ok(asked) => asked,
        Err(reason) => return refused(reason),
    };
    if asked.was_accepted {
        return refused("it had reached the agent; its answer can be tried again");
    }
    if asked.retried_at.is_some() {
        return refused("it was tried again once already");
    }
    if !window_is_open(tx, settings, address.id).await? {
        return refused(WINDOW);
    }
    retries::reopen(tx, message_id).await?;
    let job = NewJob::of(&ReceiveMessage { message: message_id }).lane(lanes::inbound(address.id));
    match tx.enqueue(job).await? {
        Enqueued::New(id) => Ok(Answered::Retried(format!("job {id}"))),
        Enqueued::Duplicate => refused("it is tried again already"),
    }
}

const WINDOW: &str = "window: the person has not written for 24 hours, so no answer could reach them";

/// A message that came to nothing, or why it is none.
fn failed(asked: Option<AskedMessage>) -> std::result::Result<AskedMessage, String> {
    let asked = asked.ok_or("its message is gone")?;
    match asked.outcome {
        Some(MessageOutcome::Failed) if asked.is_emptied => Err(WORDS_GONE.to_owned()),
        Some(MessageOutcome::Failed) => Ok(asked),
        None if asked.turn_id.is_some() => Err("a turn is at work on it".to_owned()),
        None => Err(NOT_CLOSED.to_owned()),
        Some(outcome) => Err(format!("its message has its outcome: {outcome}")),
    }
}

async fn window_is_open(tx: &mut Transaction, settings: &Settings, address_id: AddressId) -> Result<bool> {
    let last_inbound_at = store::addresses::last_inbound_at(tx, address_id).await?;
    let now = store::clock::now(tx).await?;
    Ok(settings.window_is_open(last_inbound_at, now))
}
