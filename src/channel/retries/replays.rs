//! A message that has neither an outcome nor a job: its stored webhook is taken in anew, under all checks, and nothing happens twice.

use queue::Queue;
use queue::audit;
use queue::connections::Connections;
use queue::job::{Job as _, NewJob};
use queue::job_state::JobState;
use queue::job_stories::{self, About, JobStory};
use queue::transaction::Transaction;
use store::ids::{AddressId, ConversationId, MessageId, TurnId};
use store::message_records::{self, MessageRecord};
use twilio::address::canonical;
use twilio::inbound::InboundMessage;
use twilio::webhook::VerifiedForm;

use super::{Answered, Result, refused};
use crate::app::Settings;
use crate::inbound::replay;
use crate::kinds::Answer;
use crate::lanes;

/// Takes a message's stored webhook in anew. `None`: there is no such message.
pub async fn replay(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: MessageId,
    actor: &str,
) -> Result<Option<Answered>> {
    let mut tx = queue.begin(pg).await?;
    let Some(seen) = message_records::messages(&mut tx, &[id]).await?.pop() else { return Ok(None) };
    // In the order of all locks; what was seen may have changed meanwhile.
    match (seen.address_id, seen.conversation_id) {
        (Some(address), _) => {
            store::addresses::lock(&mut tx, address).await?;
        }
        (None, Some(conversation)) => store::addresses::lock_of_conversation(&mut tx, conversation).await?,
        (None, None) => {}
    }
    if let Some(conversation) = seen.conversation_id {
        store::conversations::lock(&mut tx, conversation).await?;
    }
    let Some(message) = message_records::messages(&mut tx, &[id]).await?.pop() else { return Ok(None) };
    let answered = again(&mut tx, settings, &message).await?;
    let outcome = match &answered {
        Answered::Retried(successor) => format!("taken in anew as {successor}"),
        Answered::Refused(reason) => format!("refused: {reason}"),
    };
    audit::note(&mut tx, actor, "replay", &format!("message {id}"), &outcome).await?;
    tx.commit().await?;
    Ok(Some(answered))
}

async fn again(tx: &mut Transaction, settings: &Settings, message: &MessageRecord) -> Result<Answered> {
    if let Some(outcome) = message.outcome {
        let reason =
            message.outcome_reason.as_deref().map(|reason| format!(", {reason}")).unwrap_or_default();
        return refused(format!("it has its end: {outcome}{reason}"));
    }
    if let Some(job) = job_of(tx, message).await? {
        if job.state == JobState::Dead {
            return refused(format!(
                "its job {} gave up: `cloudybot jobs retry {}` tries it again",
                job.id, job.id
            ));
        }
        return refused(format!("job {} ({}) is at work on it: {}", job.id, job.kind, job.state));
    }
    if let (Some(_), Some(conversation)) = (message.accepted_at, message.conversation_id) {
        return answer(tx, conversation, message.id, message.turn_id).await;
    }
    let Some(address_id) = message.address_id else {
        return refused("it was written in the dashboard and never taken into a thread");
    };
    let Some(stored) = store::messages::get(tx, message.id).await? else { return refused("it is gone") };
    let inbound = match InboundMessage::parse(&VerifiedForm::of_kept(&stored.params)) {
        Ok(inbound) => inbound,
        Err(error) => return refused(format!("its stored webhook cannot be read: {error}")),
    };
    if inbound.to.as_deref().is_some_and(|to| canonical(to) != canonical(&settings.whatsapp_number)) {
        return refused("it was written to another sender than ours");
    }
    let told = replay::obey_again(tx, settings, &inbound, &stored).await?;
    Ok(Answered::Retried(told.unwrap_or_else(|| format!("a job in lane {}", lanes::inbound(address_id)))))
}

/// The agent was to see it: its answer is enqueued again, and goes on with the turn that a lost job has left.
async fn answer(
    tx: &mut Transaction,
    conversation: ConversationId,
    message: MessageId,
    turn: Option<TurnId>,
) -> Result<Answered> {
    let answer = NewJob::of(&Answer { conversation, message, retry_of: None });
    tx.enqueue(answer.lane(lanes::conversation(conversation))).await?;
    let goes_on = turn.map(|turn| format!(", which goes on with turn {turn}")).unwrap_or_default();
    Ok(Answered::Retried(format!("an answer in lane {}{goes_on}", lanes::conversation(conversation))))
}

/// The job that is at work on a message, or gave it up: its own, or the answer of its turn.
async fn job_of(tx: &mut Transaction, message: &MessageRecord) -> Result<Option<JobStory>> {
    let lanes = lanes_of(message.address_id, message.conversation_id);
    let own = About { payload: serde_json::json!({ "message": message.id }), lanes: &lanes, moments: &[] };
    let mut jobs = job_stories::about(tx, &own).await?;
    if jobs.is_empty() && message.turn_id.is_some() {
        let any = About { payload: serde_json::json!({}), lanes: &lanes, moments: &[] };
        jobs = job_stories::live(tx, &any).await?;
        jobs.retain(|job| job.kind == Answer::KIND);
    }
    // A live one counts more than one that gave up before.
    Ok(jobs.iter().find(|job| job.state != JobState::Dead).or(jobs.last()).cloned())
}

fn lanes_of(address: Option<AddressId>, conversation: Option<ConversationId>) -> Vec<String> {
    let of_person = address.iter().flat_map(|address| [lanes::inbound(*address), lanes::browser(*address)]);
    let of_thread = conversation
        .iter()
        .flat_map(|thread| [lanes::conversation(*thread), lanes::dashboard_browser(*thread)]);
    of_person.chain(of_thread).collect()
}
