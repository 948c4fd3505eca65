//! What became of what was sent, and what is to be sent.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use queue::bounded_count::BoundedCount;
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::overview::{self, SentLately, Waiting};
use twilio::explanations::explain;

use super::{Finding, Subject, Urgency};

/// From this share of messages on that did not arrive a person is needed.
const TOO_MANY_PERCENT: i64 = 5;

pub(super) async fn look(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let since = store::clock::now(conn).await? - TimeDelta::hours(1);
    Ok(vec![
        in_doubt(overview::in_doubt(conn).await?),
        undelivered(&overview::sent_lately(conn).await?, since),
    ])
}

fn in_doubt(waiting: Waiting) -> Finding {
    let sends = BoundedCount::of(waiting.number);
    if sends.is_none() {
        return Finding::fine(Subject::InDoubt, "no send");
    }
    let text = format!("{}: nobody knows whether Twilio has it", sends.of_what("send"));
    Finding::of(Urgency::Soon, Subject::InDoubt, text, "`cloudybot chunks in-doubt`").since(waiting.since)
}

fn undelivered(sent: &[SentLately], since: DateTime<Utc>) -> Finding {
    let number = |is: &dyn Fn(&SentLately) -> bool| -> i64 {
        sent.iter().filter(|one| is(one)).map(|one| one.number).sum()
    };
    let all = number(&|_| true);
    let failed = number(&|one| matches!(one.state, ChunkState::Failed | ChunkState::Expired));
    if failed == 0 {
        return Finding::fine(Subject::Undelivered, format!("none of {all} messages of the last hour"));
    }
    let causes: Vec<String> = sent
        .iter()
        .filter_map(|one| match (one.state, one.error_code) {
            (ChunkState::Failed, Some(code)) => {
                Some(format!("{} by {code}: {}", one.number, explain(code).cause))
            }
            (ChunkState::Failed, None) => Some(format!("{} without a code of Twilio's", one.number)),
            (ChunkState::Expired, _) => Some(format!("{} not sent in time", one.number)),
            _ => None,
        })
        .take(5)
        .collect();
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    // The commonest one stands first.
    let code = sent.iter().find_map(|one| one.error_code);
    let mend = code.map(|code| format!("{} ", explain(code).remedy)).unwrap_or_default();
    let chosen =
        code.map_or_else(|| " --state undelivered".to_owned(), |code| format!(" --error-code {code}"));
    let percent = failed * 100 / all.max(1);
    let urgency = if percent >= TOO_MANY_PERCENT { Urgency::Soon } else { Urgency::Note };
    let text = format!("{failed} of {all} messages of the last hour ({percent} %): {}", causes.join(", "));
    Finding::of(
        urgency,
        Subject::Undelivered,
        text,
        format!(
            "{mend}`cloudybot deliveries list --state undelivered` lists them, `cloudybot deliveries resend{chosen} --since {since}` sends them anew"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_did_not_arrive_needs_a_person_and_a_few_are_worth_knowing() {
        let sent = |state, error_code, number| SentLately { state, error_code, number };
        let delivered = |number| sent(ChunkState::Delivered, None, number);
        let failed = |number| sent(ChunkState::Failed, Some(63024), number);

        let (none, few, many) = (
            undelivered(&[delivered(9)], DateTime::UNIX_EPOCH),
            undelivered(&[delivered(99), failed(1)], DateTime::UNIX_EPOCH),
            undelivered(&[delivered(90), failed(10)], DateTime::UNIX_EPOCH),
        );

        assert_eq!((none.urgency, few.urgency, many.urgency), (Urgency::Fine, Urgency::Note, Urgency::Soon));
        assert!(
            many.text.starts_with("10 of 100 messages of the last hour (10 %): 10 by 63024: "),
            "{}",
            many.text
        );
        assert!(many.remedy.unwrap().contains("resend --error-code 63024 --since 1970-01-01T00:00:00Z`"));
    }
}
