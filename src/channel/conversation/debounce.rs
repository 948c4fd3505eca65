//! The debounce: the agent is asked when the person has written nothing for a while, so that an album, or a picture and the question about it, is one turn.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::{Job as _, NewJob};
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::arrivals::Arrival;
use store::ids::{ConversationId, MessageId};
use store::messages::Said;

use super::message_text;
use crate::app::{AgentRuns, App};
use crate::inbound::commands::PersonCommand;
use crate::kinds::Answer;
use crate::lanes;

/// How often an answer looks whether the messages that came with it are decided. Each acceptance wakes it, too.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the decision about a message takes beside the moderator.
const DECISION: Duration = Duration::from_secs(1);

/// After the debounce nobody waits longer for decisions, however many messages wait for theirs.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Enqueues the `answer` of a message that was just accepted. It is due when the debounce ends, and so is then the one that waits already. Every message
/// has its own: one that commits while the agent is being asked would be lost with a shared one. The caller holds the conversation's lock.
pub async fn enqueue_answer(
    tx: &mut Transaction,
    runs: &AgentRuns,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), EnqueueError> {
    let unanswered = store::messages::unanswered(tx, conversation).await?;
    let lane = lanes::conversation(conversation);
    let job = NewJob::of(&Answer { conversation, message, retry_of: None }).lane(lane.as_str());
    let written: Vec<Utterance> = unanswered.iter().map(Utterance::of).collect();
    let (Some(ends_at), Some(last)) = (end(&written, runs), written.last()) else {
        tx.enqueue(job).await?;
        return Ok(());
    };
    let job = if ends_at > last.at { job.run_at(ends_at) } else { job };
    tx.enqueue(job).await?;
    // Also one whose message has been answered together with others: nobody waits behind it.
    tx.move_head(&lane, Answer::KIND, ends_at).await?;
    Ok(())
}

/// How long the answer to these accepted messages has to wait. `None`: what was written is complete. Messages of the same phone that have arrived and
/// are not decided yet count as well, since a moderator may take longer than the debounce; each is waited for as long as its decision may take.
/// The caller holds the conversation's lock.
pub(super) async fn pause(
    app: &App,
    conn: &mut PgConnection,
    messages: &[Said],
) -> sqlx::Result<Option<Duration>> {
    let first = messages.iter().find_map(|said| Some((said.address_id?, said.id)));
    let mut arrived = match first {
        Some((address_id, id)) => store::arrivals::arrived_since(conn, address_id, id).await?,
        None => Vec::new(),
    };
    let words = app.settings.words();
    // What is for the channel itself is no part of what is being written.
    arrived.retain(|arrival| {
        arrival.decided_at.is_some()
            || PersonCommand::of_stored(&arrival.body, &arrival.params, words) == PersonCommand::Text
    });
    let decision = app.settings.moderation.time_limit() + DECISION;
    // The database's clock wrote when they came; this machine's own may be wrong.
    let now = store::clock::now(conn).await?;
    Ok(until_complete(messages, &arrived, now, &app.settings.agent, decision))
}

/// How long these messages have to wait for those that arrived with them, if a decision takes no longer than `decision`.
fn until_complete(
    messages: &[Said],
    arrived: &[Arrival],
    now: DateTime<Utc>,
    runs: &AgentRuns,
    decision: Duration,
) -> Option<Duration> {
    let from = |ends_at: DateTime<Utc>| (ends_at - now).to_std().ok().filter(|pause| !pause.is_zero());
    let mut written: Vec<Utterance> = messages.iter().map(Utterance::of).collect();
    let latest = later(written.first()?.at, runs.debounce_cap);
    let is_awaited = |arrival: &&Arrival| arrival.decided_at.is_none() && arrival.received_at <= latest;
    let awaited: Vec<&Arrival> = arrived.iter().filter(is_awaited).collect();
    written.extend(awaited.iter().map(|arrival| Utterance::of_arrival(arrival)));
    written.sort_by_key(|written| written.at);
    let ends_at = end(&written, runs)?;
    if let Some(pause) = from(ends_at) {
        return Some(pause);
    }
    // They are decided one after the other, in their order.
    let last_decided = arrived.iter().filter_map(|arrival| arrival.decided_at).max();
    let decided_from = last_decided.max(awaited.first().map(|next| next.received_at))?;
    let decided_by = later(decided_from, decision);
    let pause = from(decided_by.min(later(ends_at, LONGEST_WAIT)))?;
    (!awaited.is_empty()).then_some(pause.min(LOOK_EVERY))
}

/// When something was written, and whether its writer has finished with it.
#[derive(Clone, Copy, Debug)]
struct Utterance {
    at: DateTime<Utc>,
    is_whole: bool,
}

impl Utterance {
    fn of(said: &Said) -> Self {
        // In the dashboard one sends when one has finished; a button or a command is finished as it is.
        let is_whole = said.address_id.is_none() || message_text::is_whole(&said.body, &said.params);
        Self { at: said.received_at, is_whole }
    }

    fn of_arrival(arrival: &Arrival) -> Self {
        Self { at: arrival.received_at, is_whole: message_text::is_whole(&arrival.body, &arrival.params) }
    }
}

/// When what was written is complete: a while after the last of it, but not too long after the first. `None`: there is nothing.
fn end(written: &[Utterance], runs: &AgentRuns) -> Option<DateTime<Utc>> {
    let (first, last) = (written.first()?, written.last()?);
    if last.is_whole {
        return Some(last.at);
    }
    Some(later(last.at, runs.debounce).min(later(first.at, runs.debounce_cap)))
}

fn later(moment: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let end = TimeDelta::from_std(time).ok().and_then(|time| moment.checked_add_signed(time));
    end.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use store::ids::AddressId;
    use whatsapp_text::text::Format;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn said(received_ms: i64, body: &str, params: Value) -> Said {
        let received_at = at(received_ms);
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

    fn text(ms: i64) -> Said {
        said(ms, "Compare these", json!({}))
    }

    fn runs() -> AgentRuns {
        AgentRuns {
            debounce: Duration::from_millis(1500),
            debounce_cap: Duration::from_secs(6),
            timeout: Duration::ZERO,
            attempts: 1,
            turn_budget: Duration::ZERO,
            tell_after: Duration::ZERO,
            format: Format::Auto,
        }
    }

    #[test]
    fn what_follows_within_the_debounce_belongs_to_it_within_the_cap() {
        let picture = || json!({ "NumMedia": "1" });
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
            let written: Vec<Utterance> = messages.iter().map(Utterance::of).collect();
            let end = end(&written, &runs()).unwrap();

            assert_eq!(end.timestamp_millis(), ends_ms, "{messages:?}");
        }
        assert!(end(&[], &runs()).is_none());
    }

    #[test]
    fn what_came_with_it_and_is_not_decided_yet_is_waited_for_as_long_as_its_decision_may_take() {
        let arrived = |received_ms: i64, decided_ms: Option<i64>| Arrival {
            body: "Compare these".to_owned(),
            params: json!({}),
            received_at: at(received_ms),
            decided_at: decided_ms.map(at),
        };
        let decided = arrived(0, Some(2000));
        for (case, others, now_ms, pause_ms) in [
            ("nothing else came", vec![], 1500, None),
            ("the debounce starts anew with the second", vec![arrived(1400, None)], 2000, Some(900)),
            ("the second is being decided", vec![arrived(300, None)], 2100, Some(500)),
            ("its decision is nearly late", vec![arrived(300, None)], 7800, Some(200)),
            ("its decision is too late", vec![arrived(300, None)], 8000, None),
            (
                "one was decided, the next has its own time",
                vec![arrived(300, Some(5000)), arrived(400, None)],
                9000,
                Some(500),
            ),
            ("it was let through", vec![arrived(300, Some(2500))], 2500, None),
            ("it came after the cap", vec![arrived(6001, None)], 6500, None),
            (
                "none is waited for very long",
                vec![arrived(300, Some(31_000)), arrived(400, None)],
                32_000,
                None,
            ),
        ] {
            let arrivals: Vec<Arrival> = std::iter::once(decided.clone()).chain(others).collect();
            let pause = until_complete(&[text(0)], &arrivals, at(now_ms), &runs(), Duration::from_secs(6));

            assert_eq!(pause, pause_ms.map(Duration::from_millis), "{case}");
        }
    }
}
