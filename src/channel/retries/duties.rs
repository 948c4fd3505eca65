//! What was to be said at a slot, while its time lasts: the audience that was not dealt with, or one user for whom the agent failed.

use queue::job::NewJob;
use queue::transaction::Transaction;
use store::ids::SlotId;
use store::retries;
use store::slot_users::PartOutcome;
use store::slots::{Slot, SlotState};

use super::{Answered, NOT_CLOSED, Result, refused};
use crate::kinds::{PromptUser, RunDuty};
use crate::lanes;
use crate::schedules::definition::Definition;
use crate::schedules::duty;

/// Makes a slot that goes on behind the last user whom the failed one has dealt with.
pub(super) async fn run_again(tx: &mut Transaction, slot_id: SlotId) -> Result<Answered> {
    let Some(slot) = store::slots::lock(tx, slot_id).await? else { return refused("its slot is gone") };
    let schedule = store::schedules::lock(tx, &slot.schedule).await?;
    let Some(schedule) = schedule.filter(|schedule| schedule.removed_at.is_none()) else {
        return refused("its schedule's file is gone");
    };
    if !schedule.enabled {
        return refused("its schedule is switched off; `cloudybot schedules enable` switches it on");
    }
    match slot.state {
        SlotState::Failed => {}
        SlotState::Open => return refused(NOT_CLOSED),
        state => return refused(format!("its slot is {state}")),
    }
    if let Some(reason) = why_over(tx, &slot).await? {
        return refused(reason);
    }
    let (successor, was_dealt_with) = retries::rest_of_slot(tx, slot_id).await?;
    if was_dealt_with {
        return refused("everybody of its audience was dealt with");
    }
    let made = match successor {
        None => retries::continue_slot(tx, slot_id).await?,
        Some(_) => None,
    };
    let Some((new, left)) = made else { return refused("another slot has gone on with it already") };
    tx.enqueue(NewJob::of(&RunDuty { slot: new }).lane(lanes::schedule(&slot.schedule, &slot.zone))).await?;
    let prompts = left.into_iter().map(|user| NewJob::of(&PromptUser { slot: new, user, again: false }));
    tx.enqueue_batch(prompts.collect()).await?;
    Ok(Answered::Retried(format!("slot {new}")))
}

/// Gives a user's part of a slot to the agent once more.
pub(super) async fn prompt_again(tx: &mut Transaction, dead: PromptUser) -> Result<Answered> {
    let Some(slot) = store::slots::get(tx, dead.slot).await? else { return refused("its slot is gone") };
    if store::users::get(tx, &dead.user).await?.is_none() {
        return refused("the user was erased");
    }
    if let Some(reason) = why_over(tx, &slot).await? {
        return refused(reason);
    }
    match retries::part_of(tx, slot.id, &dead.user).await? {
        Some(PartOutcome::AgentFailed) => {}
        Some(PartOutcome::Asked) => return refused(NOT_CLOSED),
        Some(outcome) => return refused(format!("the user's part came to its end: {outcome}")),
        None => return refused("the user was none of the audience"),
    }
    if !retries::ask_again(tx, slot.id, &dead.user).await? {
        return refused("the agent is asked again already");
    }
    let prompt = PromptUser { again: true, ..dead };
    tx.enqueue(NewJob::of(&prompt)).await?;
    Ok(Answered::Retried(format!("the user's part of slot {}", slot.id)))
}

/// Why what is said at a slot would not be sent any more; `None`: it would.
async fn why_over(tx: &mut Transaction, slot: &Slot) -> Result<Option<String>> {
    let definition: Definition = match serde_json::from_value(slot.definition.clone()) {
        Ok(definition) => definition,
        Err(error) => return Ok(Some(format!("its slot's definition cannot be read: {error}"))),
    };
    let is_over = store::clock::now(tx).await? >= duty::expires_at(slot, &definition);
    Ok(is_over
        .then(|| "its time is over: `expires` of its schedule has passed since the slot fell due".to_owned()))
}
