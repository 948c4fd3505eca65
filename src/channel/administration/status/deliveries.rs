//! What became of what was sent, and what is to be sent.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use queue::bounded_count::BoundedCount;
use sqlx::PgConnection;
use store::overview::{self, SendsInDoubt};
use twilio::explanations::explain;

use super::{Finding, Subject, Urgency};
use crate::alerts::settings::AlertSettings;
use crate::alerts::undelivered::{self, Undelivered, Whom};

/// What fails was planned so long before at most, mostly.
const USUAL_WAY: TimeDelta = TimeDelta::hours(1);

pub(super) async fn look(conn: &mut PgConnection, settings: &AlertSettings) -> sqlx::Result<Vec<Finding>> {
    let within = humantime::format_duration(settings.undelivered_within);
    Ok(vec![
        in_doubt(overview::in_doubt(conn).await?),
        match undelivered::lately(conn, settings).await? {
            None => Finding::fine(
                Subject::Undelivered,
                format!("within {within} no message failed that was not sent anew"),
            ),
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
    let Undelivered { failed, of, first, last, people, errors, are_too_many } = found;
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
    let in_rfc3339 = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let to = if *people == 1 { "1 person".to_owned() } else { format!("{people} people") };
    let when = match (in_rfc3339(*first), in_rfc3339(*last)) {
        (first, last) if first == last => format!("at {first}"),
        (first, last) => format!("the first at {first}, the last at {last}"),
    };
    // Nothing of ours helps a few people, and nothing of theirs everybody.
    let (whom, whose) = match found.whom() {
        Whom::Everybody => (
            "; nearly everybody at once, by one cause",
            "It is about our sender, our account or Twilio, not about these people: nothing is sent anew before that is mended. ",
        ),
        Whom::Few => (
            "; a few people, so it is about their phones or numbers",
            "Ask these people; nothing else has to be mended. ",
        ),
        Whom::Some => ("", ""),
    };
    let text = format!("{among} to {to} failed, {when}{whom}: {}", causes.join(", "));
    // The commonest one stands first.
    let code = errors.iter().find_map(|(code, _)| *code);
    let mend = code.map(|code| format!("{} ", explain(code).remedy)).unwrap_or_default();
    let chosen =
        code.map_or_else(|| " --state undelivered".to_owned(), |code| format!(" --error-code {code}"));
    let planned = in_rfc3339(*first - USUAL_WAY);
    let urgency = if *are_too_many { Urgency::Soon } else { Urgency::Note };
    Finding::of(
        urgency,
        Subject::Undelivered,
        text,
        format!(
            "{whose}{mend}`cloudybot deliveries list --state undelivered` lists them, `cloudybot deliveries resend{chosen} --since {planned}` sends them anew"
        ),
    )
}

#[cfg(test)]
mod tests {
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
        let hour = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        let failed = |failed, of, people, are_too_many| Undelivered {
            failed,
            of,
            first: hour,
            last: hour + TimeDelta::seconds(failed - 1),
            people,
            errors: vec![(Some(63024), failed)],
            are_too_many,
        };

        let (few, share, many) = (
            of_failed(&failed(1, None, 1, false)),
            of_failed(&failed(10, Some(1000), 7, false)),
            of_failed(&failed(18, Some(20), 12, true)),
        );

        assert_eq!((few.urgency, share.urgency, many.urgency), (Urgency::Note, Urgency::Note, Urgency::Soon));
        assert!(
            few.text.starts_with(
                "1 message to 1 person failed, at 1970-01-01T01:00:00Z; a few people, so it is about their"
            ),
            "{}",
            few.text
        );
        assert!(
            share.text.starts_with("10 of 1000 messages (1 %) to 7 people failed, the first at 1970-01-01T01:00:00Z, the last at 1970-01-01T01:00:09Z: 10 by 63024: "),
            "{}",
            share.text
        );
        assert!(many.text.contains("; nearly everybody at once, by one cause: 18 by 63024"), "{}", many.text);
        let remedy = many.remedy.unwrap();
        assert!(remedy.starts_with("It is about our sender, our account or Twilio"), "{remedy}");
        assert!(remedy.contains("resend --error-code 63024 --since 1970-01-01T00:00:00Z`"), "{remedy}");
    }
}
