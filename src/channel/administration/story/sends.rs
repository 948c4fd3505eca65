//! What was learned of a send, in order: also what proved to be wrong later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use store::delivery_records::{Learned, SendAttemptRecord};
use store::send_attempts::SendOutcome;

use super::steps::{code, step};
use super::{StoryPart, StoryStep};

/// Of a send that was proven to have arrived: why that was not known at first.
#[must_use]
pub fn once_in_doubt(reason: &str) -> String {
    format!("; in doubt at first: {}", reason.strip_prefix("in doubt: ").unwrap_or(reason))
}

/// A send that was clear at once is one step; of one in doubt all that was learned of it, in order, since what comes later may contradict it.
pub(super) fn of_send(attempt: &SendAttemptRecord, accepted_at: Option<DateTime<Utc>>) -> Vec<StoryStep> {
    let number = attempt.attempt;
    let told = |at, end, what| {
        step(StoryPart::Chunk, attempt.chunk_id, at, end, format!("attempt {number}: {what}"))
    };
    if attempt.history.is_empty() {
        let what = match attempt.outcome {
            Some(outcome) => of_outcome(attempt, outcome, attempt.error_message.as_deref()),
            None => "under way, or its process died".to_owned(),
        };
        let end = accepted_at.filter(|_| attempt.outcome == Some(SendOutcome::Accepted));
        return vec![told(attempt.started_at, end, what)];
    }
    let mut steps = vec![told(attempt.started_at, None, "handed to Twilio".to_owned())];
    let miss = "a first list of Twilio's does not have it".to_owned();
    steps.extend(attempt.first_miss_at.map(|at| told(at, None, miss)));
    steps.extend(attempt.history.iter().map(|learned| {
        let Learned { at, outcome, reason, verdict, by } = learned;
        let by = by.as_deref().unwrap_or("an administrator");
        let what = match (verdict, outcome) {
            (Some(verdict), _) => format!("{by} says of it: {verdict}"),
            (None, Some(outcome)) => of_outcome(attempt, *outcome, reason.as_deref()),
            (None, None) => "something that this version does not know".to_owned(),
        };
        let is_doubt = *outcome == Some(SendOutcome::InDoubt);
        let lasted = in_doubt_since(attempt).filter(|_| !is_doubt);
        let lasted = lasted.map(|since| format!("; until then it was in doubt for {}", span(since, *at)));
        told(*at, None, what + &lasted.unwrap_or_default())
    }));
    steps
}

/// When nobody knew for the first time whether Twilio took it.
pub(super) fn in_doubt_since(attempt: &SendAttemptRecord) -> Option<DateTime<Utc>> {
    let doubt = attempt.history.iter().find(|learned| learned.outcome == Some(SendOutcome::InDoubt));
    doubt.map(|learned| learned.at)
}

/// How long that is, in whole seconds.
pub(super) fn span(since: DateTime<Utc>, until: DateTime<Utc>) -> String {
    let seconds = (until - since).num_seconds().max(0).unsigned_abs();
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn of_outcome(attempt: &SendAttemptRecord, outcome: SendOutcome, reason: Option<&str>) -> String {
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let code = code(attempt.error_code);
    match outcome {
        SendOutcome::Accepted => {
            let doubt = reason.map(once_in_doubt).unwrap_or_default();
            format!("Twilio took it as {}{doubt}", attempt.sid.as_deref().unwrap_or("?"))
        }
        SendOutcome::Refused => format!("Twilio refused it{why}{code}"),
        SendOutcome::NotSent => format!("not sent{why}{code}"),
        SendOutcome::InDoubt => format!("nobody knows whether Twilio took it{why}"),
        SendOutcome::Missed => "two lists of Twilio's do not have it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use store::ids::ChunkId;
    use store::in_doubt::AdminVerdict;

    use super::*;

    #[test]
    fn what_is_learned_later_of_a_send_stands_behind_what_was_said_before() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let learned = |seconds, outcome, verdict: Option<AdminVerdict>| Learned {
            at: at(seconds),
            outcome,
            reason: None,
            verdict,
            by: verdict.map(|_| "ada".to_owned()),
        };
        let attempt = SendAttemptRecord {
            chunk_id: ChunkId(7),
            attempt: 1,
            started_at: at(0),
            deadline_at: at(20),
            outcome: Some(SendOutcome::Accepted),
            sid: Some("SM1".to_owned()),
            error_code: None,
            error_message: Some("in doubt: no answer".to_owned()),
            first_miss_at: Some(at(80)),
            history: vec![
                learned(20, Some(SendOutcome::InDoubt), None),
                learned(140, None, Some(AdminVerdict::SendAgain)),
                learned(145, Some(SendOutcome::Accepted), None),
            ],
        };

        let steps = of_send(&attempt, Some(at(145)));

        let told: Vec<(i64, &str)> =
            steps.iter().map(|step| (step.at.timestamp(), step.what.as_str())).collect();
        assert_eq!(
            told,
            [
                (0, "attempt 1: handed to Twilio"),
                (80, "attempt 1: a first list of Twilio's does not have it"),
                (20, "attempt 1: nobody knows whether Twilio took it"),
                (140, "attempt 1: ada says of it: send_again; until then it was in doubt for 2m"),
                (145, "attempt 1: Twilio took it as SM1; until then it was in doubt for 2m 5s"),
            ]
        );
    }
}
