//! What a list proves.

use super::*;
use twilio::listed::UnreadableEntry;

const TO: &str = "whatsapp:+5215512345678";
const TO_SHORT: &str = "whatsapp:+525512345678";
const FROM: &str = "whatsapp:+14155238886";

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap()
}

fn text() -> Sought<'static> {
    Sought { body: Some("Hello"), to: TO, from: FROM, started_at: at(0), until: at(80) }
}

fn template() -> Sought<'static> {
    Sought { body: None, ..text() }
}

fn message(sid: &str, body: &str, secs: i64) -> ListedMessage {
    ListedMessage {
        sid: sid.to_owned(),
        status: "sent".to_owned(),
        direction: "outbound-api".to_owned(),
        body: body.to_owned(),
        from: FROM.to_owned(),
        to: TO.to_owned(),
        created_at: Some(at(secs)),
        ..ListedMessage::default()
    }
}

fn found(sid: &str) -> ListVerdict {
    ListVerdict::Found(sid.to_owned())
}

/// The verdict with SIDs `SM9…` owned by others; `None`: unproven, whatever the reason.
fn verdict(sought: &Sought<'_>, listed: &[ListedMessage], rivals: &[Rival]) -> Option<ListVerdict> {
    let listed: Vec<Entry> = listed.iter().cloned().map(Ok).collect();
    proven(judge(sought, &listed, &HashSet::from(["SM9".to_owned()]), rivals))
}

fn proven(verdict: ListVerdict) -> Option<ListVerdict> {
    Some(verdict).filter(|verdict| !matches!(verdict, ListVerdict::Unproven(_)))
}

#[test]
fn a_text_is_found_by_its_words() {
    let changed = |change: fn(&mut ListedMessage)| {
        let mut message = message("SM1", "Hello", 1);
        change(&mut message);
        message
    };
    let one = message("SM1", "Hello", 1);
    for (listed, expected) in [
        (vec![], Some(ListVerdict::Missed)),
        (vec![one.clone()], Some(found("SM1"))),
        (vec![one.clone(), one.clone()], Some(found("SM1"))),
        (vec![message("SM2", "Hello", 2), one.clone()], Some(found("SM1"))),
        (vec![message("SM1", "Hello ", -4)], Some(found("SM1"))),
        (vec![message("SM1", "Bye", 1)], Some(ListVerdict::Missed)),
        (vec![message("SM9", "Hello", 1)], Some(ListVerdict::Missed)),
        (vec![message("SM9", "Hello", 1), one.clone()], Some(found("SM1"))),
        // Long after the attempt it is still nobody else's.
        (vec![message("SM1", "Hello", 3600)], Some(found("SM1"))),
        (vec![changed(|m| m.direction = "inbound".to_owned())], Some(ListVerdict::Missed)),
        (vec![changed(|m| m.direction = String::new())], Some(found("SM1"))),
        (vec![changed(|m| m.to = TO_SHORT.to_owned())], Some(found("SM1"))),
        (vec![changed(|m| m.to = "whatsapp:MX.abc".to_owned())], Some(found("SM1"))),
        (vec![changed(|m| m.to = String::new())], Some(found("SM1"))),
        (vec![changed(|m| m.to = "whatsapp:+15005550100".to_owned())], Some(ListVerdict::Missed)),
        (vec![changed(|m| m.from = "whatsapp:+15005550100".to_owned())], Some(ListVerdict::Missed)),
        (vec![changed(|m| m.media = 1)], Some(ListVerdict::Missed)),
        // A wrong clock, or no date at all: neither found nor missed.
        (vec![message("SM1", "Hello", -60)], None),
        (vec![message("SM1", "Hello", -3600)], Some(ListVerdict::Missed)),
        (vec![changed(|m| m.created_at = None)], None),
    ] {
        assert_eq!(verdict(&text(), &listed, &[]), expected, "{listed:#?}");
    }
}

#[test]
fn a_list_without_bodies_finds_a_single_message_and_misses_none() {
    for (listed, expected) in [
        (vec![message("SM1", "", 1)], Some(found("SM1"))),
        (vec![message("SM1", "", 1), message("SM1", "", 1)], Some(found("SM1"))),
        (vec![message("SM1", "", 1), message("SM9", "", 1)], Some(found("SM1"))),
        (vec![message("SM1", "", 1), message("SM2", "", 2)], None),
        (vec![message("SM1", "", 600)], Some(ListVerdict::Missed)),
        (vec![message("SM1", "", -60)], None),
        // Redaction is not on, so it is something else that has no words; nobody can say.
        (vec![message("SM1", "", 1), message("SM2", "Bye", 1)], None),
        (vec![message("SM1", "", 1), message("SM2", "Hello", 1)], Some(found("SM2"))),
    ] {
        assert_eq!(verdict(&text(), &listed, &[]), expected, "{listed:#?}");
    }
}

#[test]
fn a_template_is_found_by_its_person_and_time_alone() {
    let answer = ListedMessage { direction: "outbound-reply".to_owned(), ..message("SM2", "You're out", 1) };
    for (listed, expected) in [
        (vec![], Some(ListVerdict::Missed)),
        (vec![message("SM1", "Dear Alice", 1)], Some(found("SM1"))),
        (vec![message("SM1", "", 79)], Some(found("SM1"))),
        (vec![message("SM1", "Dear Alice", 600)], Some(ListVerdict::Missed)),
        (vec![answer, message("SM1", "Dear Alice", 1)], Some(found("SM1"))),
        (vec![message("SM9", "Dear Alice", 1)], Some(ListVerdict::Missed)),
        (vec![message("SM1", "Dear Alice", 1), message("SM2", "Hello", 9)], None),
    ] {
        assert_eq!(verdict(&template(), &listed, &[]), expected, "{listed:#?}");
    }
}

#[test]
fn a_message_that_may_be_another_chunks_is_not_adopted() {
    let rival = |body: Option<&str>, secs: i64| Rival { body: body.map(str::to_owned), started_at: at(secs) };
    for (sought, body, rivals, expected) in [
        (template(), "Dear Alice", vec![rival(None, 0)], None),
        (template(), "Dear Alice", vec![rival(Some("Bye"), 0)], Some(found("SM1"))),
        (template(), "Bye", vec![rival(Some("Bye"), 0)], None),
        (template(), "Dear Alice", vec![rival(None, 60)], Some(found("SM1"))),
        (text(), "", vec![rival(Some("Bye"), 0)], None),
        // The same words: who takes which is all the same.
        (text(), "Hello", vec![rival(Some("Hello"), 0)], Some(found("SM1"))),
    ] {
        let listed = [message("SM1", body, 1)];

        assert_eq!(verdict(&sought, &listed, &rivals), expected, "{sought:?} {body:?} {rivals:?}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_proves_no_miss() {
    let unusable = |sid: Option<&str>| {
        Err(UnreadableEntry { sid: sid.map(str::to_owned), reason: "its body is neither".to_owned() })
    };
    let owned = HashSet::from(["SM9".to_owned()]);
    let judged = |listed: Vec<Entry>| proven(judge(&text(), &listed, &owned, &[]));

    assert_eq!(judged(vec![unusable(None)]), None);
    assert_eq!(judged(vec![unusable(Some("SM1"))]), None);
    assert_eq!(judged(vec![unusable(Some("SM9"))]), Some(ListVerdict::Missed));
    assert_eq!(judged(vec![unusable(None), Ok(message("SM1", "Hello", 1))]), Some(found("SM1")));
    assert_eq!(judged(vec![unusable(None), Ok(message("SM1", "", 1))]), None);
}
