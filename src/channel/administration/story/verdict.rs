//! What a story comes to, in words: what became of the message, what became of what was said to it, and what helps.

use queue::job_state::JobState;
use queue::job_stories::JobStory;
use store::apologies::NoApology;
use store::chunks::ChunkState;
use store::deliveries::{DeliveryState, Purpose};
use store::message_records::MessageRecord;
use store::messages::MessageOutcome;
use store::turns::TurnState;

use super::Facts;
use super::sends::{in_doubt_since, span};
use super::steps::parts;
use crate::administration::deliveries::{OutboundChunkView, OutboundView};
use crate::administration::turns::TurnView;

/// A sentence, and what helps.
type Told = (String, Option<String>);

impl Facts {
    /// What became of it all.
    pub(super) fn verdict(&self) -> Told {
        let said = self.deliveries.last().map(|delivery| self.of_delivery_state(delivery));
        let asked = match (self.messages.last(), self.turns.last()) {
            (Some(message), turn) if message.outcome.is_none() => Some(self.waiting(message, turn)),
            (Some(message), turn) => self.of_message_state(message, turn),
            (None, Some(turn)) => of_turn_state(turn),
            (None, None) => None,
        };
        match (asked, said) {
            (Some((asked, None)), Some((said, remedy))) => (format!("{asked} {said}"), remedy),
            (Some((asked, remedy)), Some((said, None))) => (format!("{asked} {said}"), remedy),
            (Some((asked, Some(one))), Some((said, Some(other)))) => {
                (format!("{asked} {said}"), Some(format!("{one} {other}")))
            }
            (Some(told), None) | (None, Some(told)) => told,
            (None, None) => ("Nothing is known of it.".to_owned(), None),
        }
    }

    /// What became of a message, as far as its delivery does not tell. `None`: it was answered, and there is a delivery.
    fn of_message_state(&self, message: &MessageRecord, turn: Option<&TurnView>) -> Option<Told> {
        let reason = message.outcome_reason.as_deref().unwrap_or("no reason is kept");
        let told = match message.outcome? {
            MessageOutcome::Answered if self.deliveries.is_empty() => match message.address_id {
                Some(_) => "Answered, with nothing that WhatsApp could show: nothing was sent to the phone."
                    .to_owned(),
                None => "Answered, in the dashboard.".to_owned(),
            },
            MessageOutcome::Answered => return None,
            MessageOutcome::Silent => "The agent chose to say nothing, so the person got nothing.".to_owned(),
            MessageOutcome::Failed => return Some(of_failure(message, turn)),
            MessageOutcome::Keyword => format!("It was a keyword: {reason}. The agent did not see it."),
            MessageOutcome::Claim => format!("It held a claim token: {reason}. The agent did not see it."),
            MessageOutcome::Browser => {
                "It was about the browser session. The agent did not see it.".to_owned()
            }
            MessageOutcome::NotLinked => {
                return Some((
                    "Not answered: the number is linked to no user, so the agent did not see it.".to_owned(),
                    Some("The user claims the number.".to_owned()),
                ));
            }
            outcome => format!("Not answered: {outcome}, {reason}. The agent did not see it."),
        };
        Some((told, None))
    }

    /// What a message waits for that has no outcome.
    fn waiting(&self, message: &MessageRecord, turn: Option<&TurnView>) -> Told {
        if let Some(turn) = turn.filter(|turn| turn.state == TurnState::Running) {
            let until = turn.ask_again_at.map(|at| format!("; the agent is left alone until {at:?}"));
            return (
                format!("Not answered yet: turn {} is at work on it{}.", turn.id, until.unwrap_or_default()),
                None,
            );
        }
        let live = self.jobs.iter().rev().find(|job| job.finished_at.is_none());
        if let Some(job) = live {
            return of_live_job(job);
        }
        if let Some(dead) = self.jobs.iter().rev().find(|job| job.state == JobState::Dead) {
            let reason = dead.reason.as_deref().unwrap_or_default();
            return (
                format!("Not answered: job {} ({}) gave up: {reason}.", dead.id, dead.kind),
                Some(format!("`cloudybot jobs retry {}` does its work again, or says why not.", dead.id)),
            );
        }
        (
            "Not answered, and nobody is at work on it: its job is gone.".to_owned(),
            Some(format!("`cloudybot messages replay {}` takes it in anew.", message.id)),
        )
    }
}

fn of_live_job(job: &JobStory) -> Told {
    let JobStory { id, kind, pool, .. } = job;
    if job.paused {
        return (
            format!("Not answered yet: job {id} ({kind}) waits, since pool {pool} or its kind is paused."),
            Some(format!("`cloudybot jobs resume pool {pool}`, once what it was paused for is over.")),
        );
    }
    let how = match (job.state, job.run_at) {
        (JobState::Running, _) => "is running".to_owned(),
        (JobState::Held, _) => "waits behind others of the same person".to_owned(),
        (JobState::Scheduled, Some(at)) => format!("waits until {at:?}"),
        (JobState::Parked, _) => "is parked: no process knows its kind".to_owned(),
        _ => "is due; is a process with workers running?".to_owned(),
    };
    (format!("Not answered yet: job {id} ({kind}) {how}."), None)
}

fn of_failure(message: &MessageRecord, turn: Option<&TurnView>) -> Told {
    let Some(turn) = turn else {
        let reason = message.outcome_reason.as_deref().unwrap_or("no reason is kept");
        return (format!("Not answered: {reason}."), None);
    };
    of_turn_state(turn).unwrap_or_else(|| ("Not answered.".to_owned(), None))
}

/// What became of a turn that said nothing of its own.
fn of_turn_state(turn: &TurnView) -> Option<Told> {
    match turn.state {
        TurnState::Replied => None,
        TurnState::Silent => match &turn.error {
            Some(reason) => Some((format!("The agent's answer was not waited for: {reason}."), None)),
            None => Some(("The agent chose to say nothing.".to_owned(), None)),
        },
        TurnState::Running => Some((format!("Turn {} is at work.", turn.id), None)),
        TurnState::Failed => {
            let error = turn.error.as_deref().unwrap_or("no reason is kept");
            let apology = match turn.no_apology {
                None => "",
                Some(NoApology::Retried) => " Nobody apologised again.",
                Some(NoApology::SameOutage) => {
                    " Nobody apologised: the person had read an apology in the same outage."
                }
            };
            let told = format!("Not answered: the agent failed in turn {}: {error}.{apology}", turn.id);
            let remedy = match turn.retried_as {
                Some(successor) => format!("Turn {successor} answers it once more."),
                None => format!("`cloudybot turns retry {}` asks the agent again.", turn.id),
            };
            Some((told, Some(remedy)))
        }
    }
}

fn of_purpose(delivery: &OutboundView, turn: Option<&TurnView>) -> &'static str {
    match delivery.purpose {
        Purpose::Reply if turn.is_some_and(|turn| turn.state == TurnState::Failed) => "The apology",
        Purpose::Reply => "The reply",
        Purpose::Notice => "The notice",
        Purpose::Notification => "The notification",
        Purpose::Scheduled => "The schedule's message",
    }
}

impl Facts {
    /// What became of what was said.
    fn of_delivery_state(&self, delivery: &OutboundView) -> Told {
        let what = of_purpose(delivery, self.turns.last());
        let reason = delivery.reason.as_deref().unwrap_or("no reason is kept");
        let is = |state: ChunkState| delivery.chunks.iter().filter(move |chunk| chunk.state == state);
        match delivery.state {
            DeliveryState::Delivered if is(ChunkState::Read).count() == delivery.chunks.len() => {
                (format!("{what} was read."), None)
            }
            DeliveryState::Delivered => (format!("{what} reached the phone."), None),
            DeliveryState::Sent => (
                format!(
                    "{what} left to Twilio; nothing says yet that it reached the phone. The phone may be off."
                ),
                None,
            ),
            DeliveryState::Open => self.of_open(delivery, what),
            DeliveryState::Waiting => {
                let until = delivery.waits_until.map_or_else(
                    || "the person's next message".to_owned(),
                    |at| format!("the end of quiet hours at {at:?}"),
                );
                (format!("{what} waits for {until}."), None)
            }
            DeliveryState::Failed => of_refused(delivery, what, reason),
            DeliveryState::Expired => (
                format!("The person got nothing: {what} was not sent in time: {reason}.", what = lower(what)),
                Some(resend(delivery)),
            ),
            DeliveryState::Blocked => {
                (format!("The person got nothing: {what} was blocked: {reason}.", what = lower(what)), None)
            }
            DeliveryState::Cancelled => {
                (format!("The person got nothing: {what} was cancelled: {reason}.", what = lower(what)), None)
            }
            DeliveryState::Unknown => (
                format!("Nobody knows whether the person got it: {} ended as unknown.", lower(what)),
                is(ChunkState::Unknown).next().map(verdict_of),
            ),
        }
    }

    fn of_open(&self, delivery: &OutboundView, what: &str) -> Told {
        let in_doubt = delivery.chunks.iter().find(|chunk| chunk.state == ChunkState::Sending);
        if let Some(chunk) = in_doubt {
            let attempt = self.send_attempts.iter().rfind(|attempt| attempt.chunk_id == chunk.id);
            if attempt.is_some_and(|attempt| attempt.outcome.is_none() && attempt.deadline_at > self.now) {
                return (format!("{what} is being sent."), None);
            }
            let lasts =
                attempt.and_then(in_doubt_since).map(|since| format!(", for {} now", span(since, self.now)));
            let told = format!(
                "Nobody knows whether Twilio has part {} of {}{}.",
                chunk.index + 1,
                lower(what),
                lasts.unwrap_or_default()
            );
            return (told, Some(verdict_of(chunk)));
        }
        let planned = delivery.chunks.iter().filter(|chunk| chunk.state == ChunkState::Planned);
        let job = self.jobs.iter().rev().find(|job| job.kind == "send_chunk" && job.finished_at.is_none());
        let why = delivery.chunks.iter().find_map(|chunk| chunk.reason.as_deref());
        let why = why.map(|why| format!(" The last attempt: {why}.")).unwrap_or_default();
        let left = parts(planned.count());
        match job {
            Some(job) if job.paused => (
                format!("{what} has not left: pool {} is paused. {left} to send.{why}", job.pool),
                Some("`cloudybot jobs probe` tries out whether Twilio takes it; `cloudybot jobs resume` ends a pause by hand.".to_owned()),
            ),
            _ => (format!("{what} has not left: {left} to send.{why}"), None),
        }
    }
}

fn of_refused(delivery: &OutboundView, what: &str, reason: &str) -> Told {
    let what = lower(what);
    let refused = delivery.chunks.iter().find(|chunk| chunk.state == ChunkState::Failed);
    let had = delivery
        .chunks
        .iter()
        .filter(|chunk| matches!(chunk.state, ChunkState::Sent | ChunkState::Delivered | ChunkState::Read))
        .count();
    let got = match had {
        0 => "The person got nothing".to_owned(),
        had => format!("The person got {had} of {}", parts(delivery.chunks.len())),
    };
    let Some(chunk) = refused else {
        return (format!("{got}: {what} failed: {reason}."), Some(resend(delivery)));
    };
    let Some(error) = &chunk.error else {
        return (format!("{got}: Twilio refused {what}: {reason}."), Some(resend(delivery)));
    };
    let when = if chunk.sid.is_some() { "took it and reported later that it failed" } else { "refused it" };
    let told =
        format!("{got}: {what} failed, since Twilio {when}, with code {}. {}", error.code, error.cause);
    (told, Some(format!("{} {}", error.remedy, resend(delivery))))
}

fn verdict_of(chunk: &OutboundChunkView) -> String {
    format!("Ask the person, then `cloudybot chunks verdict {} arrived|send-again`.", chunk.id)
}

fn resend(delivery: &OutboundView) -> String {
    match delivery.resent_as {
        Some(successor) => format!("Delivery {successor} sends it anew."),
        None => format!("`cloudybot deliveries resend {}` sends it anew, or says why not.", delivery.id),
    }
}

fn lower(what: &str) -> String {
    what.replacen('T', "t", 1)
}
