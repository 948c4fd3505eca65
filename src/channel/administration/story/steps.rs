//! The steps of a story, each with its time.

use chrono::{DateTime, Utc};
use queue::attempt_end::AttemptEnd;
use queue::job_state::JobState;
use queue::job_stories::JobStory;
use store::apologies::NoApology;
use store::ids::ChunkId;
use store::message_records::MessageRecord;
use twilio::explanations::explain;

use super::sends::of_send;
use super::{Facts, StoryPart, StoryStep};
use crate::administration::deliveries::OutboundView;
use crate::administration::turns::TurnView;

pub(super) fn step(
    part: StoryPart,
    id: impl ToString,
    at: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    what: impl Into<String>,
) -> StoryStep {
    let took_ms = end.map(|end| (end - at).num_milliseconds());
    StoryStep { at, took_ms, part, id: id.to_string(), what: what.into() }
}

impl Facts {
    /// All that happened, in order.
    pub(super) fn steps(&self) -> Vec<StoryStep> {
        let mut steps = Vec::new();
        for message in &self.messages {
            steps.extend(of_message(message));
        }
        for job in &self.jobs {
            steps.extend(self.of_job(job));
        }
        for turn in &self.turns {
            steps.extend(of_turn(turn));
        }
        for delivery in &self.deliveries {
            steps.extend(self.of_delivery(delivery));
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn of_job(&self, job: &JobStory) -> Vec<StoryStep> {
        let JobStory { kind, .. } = job;
        let mut steps = vec![step(StoryPart::Job, job.id, job.created_at, None, format!("{kind}: enqueued"))];
        let own = self.job_attempts.iter().filter(|attempt| attempt.job_id == job.id);
        for attempt in own {
            let at = attempt.started_at.unwrap_or(attempt.ended_at);
            let error = attempt.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            let what = match attempt.outcome {
                AttemptEnd::Snoozed => format!("{kind}: put itself off{error}"),
                AttemptEnd::HandedBack => format!("{kind}: handed back{error}"),
                outcome => format!("{kind}: {outcome}{error}"),
            };
            steps.push(step(StoryPart::Job, job.id, at, Some(attempt.ended_at), what));
        }
        let reason = job.reason.as_deref().unwrap_or_default();
        match (job.state, job.claimed_at, job.finished_at) {
            (JobState::Running, Some(at), _) => {
                steps.push(step(StoryPart::Job, job.id, at, None, format!("{kind}: is running")));
            }
            (JobState::Done, at, Some(end)) => {
                steps.push(step(
                    StoryPart::Job,
                    job.id,
                    at.unwrap_or(end),
                    Some(end),
                    format!("{kind}: done"),
                ));
            }
            (JobState::Cancelled, _, Some(end)) => {
                steps.push(step(StoryPart::Job, job.id, end, None, format!("{kind}: cancelled: {reason}")));
            }
            // The attempt that it died of is told already.
            _ => {}
        }
        steps
    }

    fn of_delivery(&self, delivery: &OutboundView) -> Vec<StoryStep> {
        let part = StoryPart::Delivery;
        let OutboundView { purpose, chunks, .. } = delivery;
        let anew = delivery.resent_from.map(|from| format!(", which sends {from} anew")).unwrap_or_default();
        let planned = format!("{purpose} planned in {}{anew}", parts(chunks.len()));
        let mut steps = vec![step(part, delivery.id, delivery.created_at, None, planned)];
        for chunk in chunks {
            let attempts = self.send_attempts.iter().filter(|attempt| attempt.chunk_id == chunk.id);
            let is_kept =
                attempts.clone().flat_map(|attempt| &attempt.history).any(|one| one.verdict.is_some());
            steps.extend(attempts.flat_map(|attempt| of_send(attempt, chunk.accepted_at)));
            if let Some(verdict) = chunk.verdict.filter(|_| !is_kept) {
                let what = format!("an administrator's verdict: {verdict}");
                steps.push(step(StoryPart::Chunk, chunk.id, chunk.updated_at, None, what));
            }
        }
        let chunks: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
        for callback in self.callbacks.iter().filter(|callback| chunks.contains(&callback.chunk_id)) {
            let what = format!("Twilio reports {}{}", callback.status, code(callback.error_code));
            steps.push(step(StoryPart::Chunk, callback.chunk_id, callback.received_at, None, what));
        }
        if let Some(at) = delivery.closed_at {
            // Its state may be of later: a message that was sent can still fail.
            let reason = delivery.reason.as_deref().map(|reason| format!("; {reason}")).unwrap_or_default();
            let what = format!("nothing is left to send{reason}");
            steps.push(step(part, delivery.id, at, None, what));
        }
        steps
    }
}

pub(super) fn parts(number: usize) -> String {
    if number == 1 { "1 part".to_owned() } else { format!("{number} parts") }
}

/// A code, and what it means.
pub(super) fn code(code: Option<i32>) -> String {
    code.map(|code| format!(" ({code}: {})", explain(code).cause)).unwrap_or_default()
}

fn of_message(message: &MessageRecord) -> Vec<StoryStep> {
    let part = StoryPart::Message;
    let received = if message.backfilled {
        "fetched from Twilio's list, since its webhook never came"
    } else if message.address_id.is_none() {
        "written in the dashboard"
    } else {
        "webhook received"
    };
    let mut steps = vec![step(part, message.id, message.received_at, None, received)];
    if message.backfilled {
        steps.push(step(part, message.id, message.written_at, None, "written, as Twilio lists it"));
    }
    if let Some(at) = message.admitted_at {
        steps.push(step(part, message.id, at, None, "within the limits"));
    }
    if let Some(at) = message.accepted_at {
        steps.push(step(part, message.id, at, None, "taken into the user's thread"));
    }
    if let Some(at) = message.retried_at {
        steps.push(step(part, message.id, at, None, "tried again by hand"));
    }
    if let (Some(outcome), Some(at)) = (message.outcome, message.outcome_at) {
        let reason =
            message.outcome_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        steps.push(step(part, message.id, at, None, format!("{outcome}{reason}")));
    }
    steps
}

fn of_turn(turn: &TurnView) -> Vec<StoryStep> {
    let part = StoryPart::Turn;
    let begun = turn.retry_of.map_or_else(
        || format!("began, with {}", turn.agent),
        |failed| format!("began, with {}, once more for turn {failed}", turn.agent),
    );
    let mut steps = vec![step(part, turn.id, turn.started_at, None, begun)];
    for call in &turn.calls {
        let times = if call.tries > 1 { format!(" after {} tries", call.tries) } else { String::new() };
        let what = match (&call.error, call.ended_at) {
            (Some(error), _) => format!("call {} of the agent{times} failed: {error}", call.call),
            (None, Some(_)) => format!("call {} of the agent{times} answered", call.call),
            (None, None) => {
                format!("call {} of the agent{times} is under way, or its process died", call.call)
            }
        };
        steps.push(step(part, turn.id, call.started_at, call.ended_at, what));
    }
    if let Some(at) = turn.told_at {
        let what = if turn.no_apology == Some(NoApology::SameOutage) {
            "it takes longer; the person has read an apology and is not told"
        } else {
            "the person was told that it takes longer"
        };
        steps.push(step(part, turn.id, at, None, what));
    }
    if let Some(at) = turn.finished_at {
        let error = turn.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let no_apology = turn.no_apology.map(|why| format!("; no apology: {why}")).unwrap_or_default();
        steps.push(step(part, turn.id, at, None, format!("ended: {}{error}{no_apology}", turn.state)));
    }
    steps
}
