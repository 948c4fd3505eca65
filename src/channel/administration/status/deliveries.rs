//! What became of what was sent, and what is to be sent.

use chrono::{SecondsFormat, TimeDelta};
use queue::bounded_count::BoundedCount;
use sqlx::PgConnection;
use store::overview::{self, SendsInDoubt};
use twilio::explanations::explain;

use super::{Finding, Subject, Urgency};
use crate::alerts::settings::AlertSettings;
use crate::alerts::undelivered::{self, Undelivered};

/// What fails was planned so long before at most, mostly.
const USUAL_WAY: TimeDelta = TimeDelta::hours(1);

pub(super) async fn look(conn: &mut PgConnection, settings: &AlertSettings) -> sqlx::Result<Vec<Finding>> {
    let within = humantime::format_duration(settings.undelivered_within);
    Ok(vec![
        in_doubt(overview::in_doubt(conn).await?),
        match undelivered::lately(conn, settings).await? {
            None => Finding::fine(Subject::Undelivered, format!("no message has failed for {within}")),
            Some(found) => of_failed(&found),
        },
    ])
}

fn in_doubt(doubt: SendsInDoubt) -> Finding {
    let sends = BoundedCount::of(doubt.number);
    if sends.is_none() {
        return Finding::fine(Subject::InDoubt, "no send");
    }
    let sends = sends.of_what("send");
    let text = format!("{sends}: nobody knows whether Twilio has it");
    let (text, remedy) = match doubt.lost_answers {
        Some(lost) if lost >= NO_CHANCE => (
            format!("{text}; {lost} answers of Twilio's about one of them were lost"),
            "look at the way to Twilio (proxy, firewall) and at its status page: a verdict does not mend that; `cloudybot chunks in-doubt`",
        ),
        _ => (
            text,
            "`cloudybot chunks in-doubt` says until when Twilio's list may tell, and what a person can decide",
        ),
    };
    Finding::of(Urgency::Soon, Subject::InDoubt, text, remedy).since(doubt.since)
}

/// So many answers are not lost by chance.
const NO_CHANCE: i64 = 3;

fn of_failed(found: &Undelivered) -> Finding {
    let Undelivered { failed, of, since, errors, are_too_many } = found;
    let causes: Vec<String> = errors
        .iter()
        .map(|(code, number)| match code {
            Some(code) => format!("{number} by {code}: {}", explain(*code).cause),
            None => format!("{number} without a code of Twilio's"),
        })
        .collect();
    let among = match of {
        Some(all) => format!("{failed} of {all} messages ({} %)", failed * 100 / all.max(&1)),
        None => BoundedCount::of(*failed).of_what("message"),
    };
    let in_rfc3339 = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = format!("{among} failed since {}: {}", in_rfc3339(*since), causes.join(", "));
    // The commonest one stands first.
    let code = errors.iter().find_map(|(code, _)| *code);
    let mend = code.map(|code| format!("{} ", explain(code).remedy)).unwrap_or_default();
    let chosen =
        code.map_or_else(|| " --state undelivered".to_owned(), |code| format!(" --error-code {code}"));
    let planned = in_rfc3339(*since - USUAL_WAY);
    let urgency = if *are_too_many { Urgency::Soon } else { Urgency::Note };
    Finding::of(
        urgency,
        Subject::Undelivered,
        text,
        format!(
            "{mend}`cloudybot deliveries list --state undelivered` lists them, `cloudybot deliveries resend{chosen} --since {planned}` sends them anew"
        ),
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn answers_that_are_lost_again_and_again_are_the_ways_fault_and_no_verdict_mends_it() {
        let doubt = |lost| in_doubt(SendsInDoubt { number: 2, since: None, lost_answers: Some(lost) });

        assert_eq!(doubt(2).text, "2 sends: nobody knows whether Twilio has it");
        assert!(doubt(3).text.ends_with("3 answers of Twilio's about one of them were lost"));
        assert!(doubt(3).remedy.unwrap().contains("the way to Twilio"));
    }

    #[test]
    fn so_many_that_there_is_an_alert_need_a_person_and_a_few_are_worth_knowing() {
        let failed = |failed, of, are_too_many| Undelivered {
            failed,
            of,
            since: DateTime::UNIX_EPOCH + TimeDelta::hours(1),
            errors: vec![(Some(63024), failed)],
            are_too_many,
        };

        let (few, share, many) = (
            of_failed(&failed(1, None, false)),
            of_failed(&failed(10, Some(1000), false)),
            of_failed(&failed(10, Some(20), true)),
        );

        assert_eq!((few.urgency, share.urgency, many.urgency), (Urgency::Note, Urgency::Note, Urgency::Soon));
        assert!(
            few.text.starts_with("1 message failed since 1970-01-01T01:00:00Z: 1 by 63024: "),
            "{}",
            few.text
        );
        assert!(many.text.starts_with("10 of 20 messages (50 %) failed since "), "{}", many.text);
        assert!(many.remedy.unwrap().contains("resend --error-code 63024 --since 1970-01-01T00:00:00Z`"));
    }
}
