//! When the agent is asked: when the person has been quiet for a while, so that an album, or a picture and the question about it, is one turn.

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::{Job as _, NewJob};
use queue::transaction::Transaction;
use store::ids::{ConversationId, MessageId};
use store::messages::Said;

use super::message_text;
use crate::app::AgentRuns;
use crate::kinds::Answer;
use crate::lanes;

/// Enqueues the `answer` of a message that was just accepted. It is due when the quiet time ends, and so is then the one that waits already. Every message has its own: one that commits while the agent is being asked would be lost with a shared one. The caller holds the
/// conversation's lock.
pub async fn enqueue_answer(
    tx: &mut Transaction,
    runs: &AgentRuns,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), EnqueueError> {
    let unanswered = store::messages::unanswered(tx, conversation).await?;
    let lane = lanes::conversation(conversation);
    let job = NewJob::of(&Answer { conversation, message, retry_of: None }).lane(lane.as_str());
    let (Some(ends_at), Some(last)) = (end(&unanswered, runs), unanswered.last()) else {
        tx.enqueue(job).await?;
        return Ok(());
    };
    let job = if ends_at > last.received_at { job.run_at(ends_at) } else { job };
    tx.enqueue(job).await?;
    // Also one whose message has been answered together with others: nobody waits behind it.
    tx.move_head(&lane, Answer::KIND, ends_at).await?;
    Ok(())
}

/// When what was written is complete: a while after the last of these messages, but not too long after the first. `None`: there is none.
pub(super) fn end(messages: &[Said], runs: &AgentRuns) -> Option<DateTime<Utc>> {
    let (first, last) = (messages.first()?, messages.last()?);
    // In the dashboard one sends when one has finished; a button or a command is finished as it is.
    if last.address_id.is_none() || message_text::is_whole(&last.body, &last.params) {
        return Some(last.received_at);
    }
    let after = |said: &Said, time| {
        let end = TimeDelta::from_std(time).ok().and_then(|time| said.received_at.checked_add_signed(time));
        end.unwrap_or(DateTime::<Utc>::MAX_UTC)
    };
    Some(after(last, runs.debounce).min(after(first, runs.debounce_cap)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use store::ids::AddressId;

    use super::*;

    fn said(received_ms: i64, body: &str, params: Value) -> Said {
        let received_at = DateTime::from_timestamp_millis(received_ms).unwrap();
        Said {
            id: MessageId(received_ms),
            sid: String::new(),
            address_id: Some(AddressId(1)),
            body: body.to_owned(),
            params,
            received_at,
            written_at: received_at,
        }
    }

    #[test]
    fn what_follows_within_the_quiet_time_belongs_to_it_within_the_cap() {
        let runs = AgentRuns {
            debounce: Duration::from_millis(1500),
            debounce_cap: Duration::from_secs(6),
            timeout: Duration::ZERO,
            attempts: 1,
        };
        let picture = || json!({ "NumMedia": "1" });
        let text = |ms| said(ms, "Compare these", json!({}));
        for (messages, ends_ms) in [
            (vec![text(0)], 1500),
            (vec![said(0, "", picture())], 1500),
            ((0..4).map(|n| said(n * 150, "", picture())).collect(), 450 + 1500),
            (vec![said(0, "", picture()), text(1200)], 2700),
            (vec![said(0, "", json!({ "Latitude": "1", "Longitude": "2" })), text(1200)], 2700),
            (vec![text(0), text(1400), text(5900)], 6000),
            (vec![text(0), said(300, "Yes", json!({ "ButtonText": "Yes" }))], 300),
            (vec![text(0), said(300, "/new", json!({}))], 300),
            (vec![text(0), Said { address_id: None, ..text(300) }], 300),
        ] {
            let end = end(&messages, &runs).unwrap();

            assert_eq!(end.timestamp_millis(), ends_ms, "{messages:?}");
        }
        assert_eq!(end(&[], &runs), None);
    }
}
