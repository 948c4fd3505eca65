//! Calendars as Google, Apple and Outlook export them, and what must be refused.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::schedules::excepted_days::ExceptedDays;
use crate::schedules::excepted_days::tests::{day, of_year};

const GOOGLE: &str = include_str!("exports/google.ics");
const APPLE: &str = include_str!("exports/apple.ics");
const OUTLOOK: &str = include_str!("exports/outlook.ics");

fn calendar(file: &str) -> ExceptedDays {
    ExceptedDays::new(read_ics(file.as_bytes()).unwrap())
}

/// An all-day event with these lines, in a calendar.
fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n")
}

fn errors(file: &str) -> Vec<String> {
    read_ics(file.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn calendars_of_google_apple_and_outlook_are_read() {
    let google = calendar(GOOGLE);
    assert_eq!(of_year(&google, 2026), ["04-03", "04-04", "04-05", "04-06", "12-25"]);
    assert_eq!(of_year(&google, 2027), [""; 0]);

    let apple = calendar(APPLE);
    assert_eq!(of_year(&apple, 2024), ["11-28", "12-24", "12-25", "12-26"]);
    assert_eq!(of_year(&apple, 2026), ["05-25", "11-26", "12-24", "12-25", "12-26"]);
    assert_eq!(of_year(&apple, 2030), ["11-28", "12-24", "12-25", "12-26"]);

    let outlook = calendar(OUTLOOK);
    let august = ["08-17", "08-18", "08-19", "08-20", "08-21", "08-22", "08-23", "08-24", "08-25"];
    let september = ["09-07", "09-08", "09-09", "09-10", "09-11", "09-12", "09-13", "09-14", "09-15"];
    let december = ["12-24", "12-25", "12-26", "12-27", "12-28", "12-29", "12-30", "12-31"];
    assert_eq!(of_year(&outlook, 2026), [&august[..], &september, &december].concat());
    assert_eq!(of_year(&outlook, 2027), ["01-01"]);
    assert_eq!((of_year(&outlook, 2028), of_year(&outlook, 2032)), (vec!["02-29".to_owned()], vec![]));
}

/// A file with lines of at most 75 bytes, which fall wherever they will, also into a character.
fn folded(file: &str) -> Vec<u8> {
    let mut folded = Vec::new();
    for line in file.lines() {
        for (number, piece) in line.as_bytes().chunks(74).enumerate() {
            folded.extend_from_slice(if number > 0 { b"\r\n " } else { b"" });
            folded.extend_from_slice(piece);
        }
        folded.extend_from_slice(b"\r\n");
    }
    folded
}

#[test]
fn line_ends_folds_and_a_byte_order_mark_change_nothing() {
    for file in [GOOGLE, APPLE, OUTLOOK] {
        let rules = read_ics(file.as_bytes()).unwrap();

        for other in [
            file.replace('\n', "\r\n").into_bytes(),
            format!("\u{feff}{file}").into_bytes(),
            file.trim_end().as_bytes().to_vec(),
            format!("{file}\n\r\n \n").into_bytes(),
            file.to_lowercase().replace("\\n", "\\N").into_bytes(),
        ] {
            assert_eq!(read_ics(&other).unwrap(), rules);
        }
    }
    for shift in 0..4 {
        let summary = format!("SUMMARY:{}{}", "x".repeat(shift), "é😀ß".repeat(40));
        let file = event(&format!("{summary}\nDTSTART;VALUE=DATE;X-LONG=\"{}\":20261225", "ü:".repeat(60)));
        let folded = folded(&file);
        assert_eq!(read_ics(&folded).unwrap(), [DayRule::Date(day("2026-12-25"))]);
    }
    let latin = event("SUMMARY:Bu?tag\nDTSTART:20261118").replace('?', "\u{1}");
    let latin: Vec<u8> = latin.bytes().map(|byte| if byte == 1 { 0xDF } else { byte }).collect();
    assert_eq!(read_ics(&latin).unwrap(), [DayRule::Date(day("2026-11-18"))]);
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let start = "DTSTART;VALUE=DATE:20261225";
    for (lines, told) in [
        (
            "DTSTART:20261225T090000",
            "line 4: DTSTART is \"20261225T090000\", a time of the day; only all-day events",
        ),
        ("DTSTART;TZID=Europe/Berlin:20261225T000000", "line 4: DTSTART is"),
        ("DTSTART;VALUE=DATE:20260230", "line 4: DTSTART is 20260230, a day that does not exist"),
        ("DTSTART;VALUE=DATE:2026-12-25", "line 4: DTSTART is \"2026-12-25\", no date"),
        ("DTSTART;VALUE=DATE:", "line 4: DTSTART is \"\", no date"),
        ("SUMMARY:x", "line 3: the event has no DTSTART"),
        (&*format!("{start}\nDTSTART:20261226"), "line 5: the event has a second DTSTART"),
        (&*format!("{start}\nDTEND;VALUE=DATE:20261225"), "line 5: DTEND is not after DTSTART"),
        (&*format!("{start}\nDTEND:20261226T000000Z"), "line 5: DTEND is \"20261226T000000Z\", a time"),
        (&*format!("{start}\nDTEND:20261226\nDURATION:P1D"), "line 6: the event has both DTEND and DURATION"),
        (
            &*format!("{start}\nDURATION:PT24H"),
            "line 5: DURATION is \"PT24H\"; an all-day event lasts whole days",
        ),
        (&*format!("{start}\nDURATION:P0D"), "line 5: DURATION is \"P0D\""),
        (&*format!("{start}\nDURATION:-P1D"), "line 5: DURATION is \"-P1D\""),
        (&*format!("{start}\nDURATION:P99999999999W"), "line 5: DURATION is"),
        (&*format!("{start}\nDURATION:P4000000000D"), "line 4: the event ends after the year 9999"),
        (
            &*format!("{start}\nRRULE:FREQ=WEEKLY;BYDAY=FR"),
            "line 5: RRULE has FREQ=WEEKLY; only FREQ=YEARLY is understood",
        ),
        (&*format!("{start}\nRRULE:FREQ=YEARLY\nRRULE:FREQ=YEARLY"), "line 6: the event has a second RRULE"),
        (&*format!("{start}\nRRULE:BYMONTH=12"), "line 5: RRULE has no FREQ"),
        (&*format!("{start}\nRRULE:"), "line 5: RRULE has \"\", which is no part"),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;BYSETPOS=1"),
            "line 5: RRULE has BYSETPOS=1, which is not understood",
        ),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYYEARDAY=359"), "line 5: RRULE has BYYEARDAY=359"),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYWEEKNO=52"), "line 5: RRULE has BYWEEKNO=52"),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;RSCALE=HEBREW"), "line 5: RRULE has RSCALE=HEBREW"),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;WKST=XX"), "line 5: RRULE has WKST=XX"),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;BYMONTH=13"),
            "line 5: RRULE has BYMONTH=13; it must be 1 to 12",
        ),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTH=1"), "line 5: RRULE has BYMONTH twice"),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYMONTHDAY=0"), "line 5: RRULE has BYMONTHDAY with \"0\""),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYDAY=FRI"), "line 5: RRULE has BYDAY with \"FRI\""),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;BYDAY=é"), "line 5: RRULE has BYDAY with"),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;BYDAY=54MO"),
            "line 5: RRULE has BYDAY with \"54\"; it must be 1 to 53",
        ),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;BYMONTH=12;BYDAY=6FR"),
            "line 5: RRULE has BYDAY=6FR with BYMONTH",
        ),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;COUNT=0"), "line 5: RRULE has COUNT=0"),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;COUNT=2;UNTIL=20301225"),
            "line 5: RRULE has both COUNT and UNTIL",
        ),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;UNTIL=20301224T230000Z"),
            "line 5: UNTIL is \"20301224T230000Z\", a time of the day",
        ),
        (&*format!("{start}\nRRULE:FREQ=YEARLY;UNTIL=20251225"), "line 5: RRULE ends before 2026-12-25"),
        (
            &*format!("{start}\nRRULE:FREQ=YEARLY;BYMONTH=12;BYDAY=4TH"),
            "line 5: 2026-12-25 is none of the rule's own days",
        ),
        (
            &*format!("{start}\nDURATION:P400D\nRRULE:FREQ=YEARLY"),
            "line 6: an event that comes again each year lasts 1 to 366 days",
        ),
        (
            &*format!("{start}\nRECURRENCE-ID;VALUE=DATE:20261225"),
            "line 5: RECURRENCE-ID changes one of an event's days",
        ),
        (&*format!("{start}\nSTATUS:CANCELLED\nRECURRENCE-ID:20261225"), "line 6: RECURRENCE-ID"),
        (&*format!("{start}\nEXRULE:FREQ=YEARLY"), "line 5: EXRULE is not understood"),
        (&*format!("{start}\nEXDATE:20271225T000000Z"), "line 5: EXDATE is \"20271225T000000Z\", a time"),
        (&*format!("{start}\nRDATE;VALUE=PERIOD:20261226T000000Z/PT1H"), "line 5: RDATE is"),
        (
            &*format!("{start}\nDESCRIPTION:one\ntwo three"),
            "line 6: the line has no property like SUMMARY:…; what goes on",
        ),
        (&*format!("{start}\nDESCRIPTION:one\nsee http://x"), "line 6: the line has no property"),
        (&*format!("{start}\nDESCRIPTION;LANGUAGE=de"), "line 5: no colon and value"),
        (
            &*format!("{start}\n\n folded"),
            "line 6: the line begins with a blank, which folds it into the line before",
        ),
        (
            &*format!("{start}\nBEGIN:VFREEBUSY\nEND:VFREEBUSY"),
            "line 5: BEGIN:VFREEBUSY stands within VEVENT",
        ),
    ] {
        let errors = errors(&event(lines));
        assert!(errors.len() == 1 && errors[0].starts_with(told), "{lines}: {errors:?}");
    }
}

#[test]
fn a_file_that_is_no_whole_calendar_is_refused() {
    for (file, told) in [
        ("", vec!["line 1: the file holds no BEGIN:VCALENDAR"]),
        ("\n\n", vec!["line 1: the file holds no BEGIN:VCALENDAR"]),
        (
            "<!DOCTYPE html>\n<p>Sign in</p>",
            vec!["line 1: the line has no property", "line 2: the line has no property"],
        ),
        (
            "BEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT\n",
            vec!["line 1: BEGIN:VEVENT stands outside of a calendar"],
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nEND:VCALENDAR\n",
            vec!["line 2: BEGIN:VEVENT has no END:VEVENT before line 4"],
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\n",
            vec!["line 1: BEGIN:VCALENDAR has no END:VCALENDAR", "line 2: BEGIN:VEVENT has no END"],
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nBEGIN:VEVENT\nDTSTART:20261226\nEND:VEVENT\nEND:VCALENDAR",
            vec!["line 2: BEGIN:VEVENT has no END:VEVENT before line 4"],
        ),
        ("BEGIN:VCALENDAR\nEND:VEVENT\nEND:VCALENDAR", vec!["line 2: END:VEVENT ends nothing"]),
        (
            "BEGIN:VCALENDAR\nVERSION:1.0\nEND:VCALENDAR",
            vec!["line 2: VERSION is \"1.0\"; only iCalendar 2.0"],
        ),
        ("BEGIN:VCALENDAR\nCALSCALE:HEBREW\nEND:VCALENDAR", vec!["line 2: CALSCALE is \"HEBREW\""]),
        ("BEGIN:VCALENDAR\nMETHOD:CANCEL\nEND:VCALENDAR", vec!["line 2: METHOD is \"CANCEL\""]),
        (
            "BEGIN:VCALENDAR\nEND:VCALENDAR\nDTSTART:20261225",
            vec!["line 3: DTSTART stands outside of a calendar"],
        ),
        (
            " BEGIN:VCALENDAR\nEND:VCALENDAR",
            vec!["line 1: the line begins with a blank", "line 2: END:VCALENDAR ends nothing"],
        ),
    ] {
        let errors = errors(file);
        let all = errors.len() == told.len()
            && errors.iter().zip(&told).all(|(error, told)| error.starts_with(told));
        assert!(all, "{file:?}: {errors:?}");
    }
    let utf16: Vec<u8> = GOOGLE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = read_ics(&[&[0xFF, 0xFE], &utf16[..]].concat()).unwrap_err();
    assert_eq!(utf16[0].to_string(), "line 1: the file is UTF-16: save it as UTF-8");
    let large = format!("{GOOGLE}{}", "\n".repeat(1024 * 1024));
    assert!(errors(&large)[0].contains("bytes; a calendar may have 1048576"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let bad = "BEGIN:VEVENT\nDTSTART:20261225T090000\nEND:VEVENT\n";
    let good = "BEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT\n";
    let both = "BEGIN:VEVENT\nDTSTART:20261225\nRRULE:FREQ=DAILY\nRDATE:x\nEND:VEVENT\n";

    let errors = errors(&format!("BEGIN:VCALENDAR\n{bad}{good}oops\n{both}END:VCALENDAR\n"));

    let lines: Vec<&str> = errors.iter().filter_map(|error| error.split(':').next()).collect();
    assert_eq!(lines, ["line 3", "line 8", "line 11", "line 12"], "{errors:?}");
}

#[test]
fn dates_beside_the_rule_are_added_and_left_out() {
    let rdate =
        calendar(&event("DTSTART:20261225\nRDATE:20270106\nRDATE:20270107,20270108\nEXDATE:20270107"));
    assert_eq!(
        (of_year(&rdate, 2026), of_year(&rdate, 2027)),
        (vec!["12-25".to_owned()], vec!["01-06".into(), "01-08".into()])
    );

    let none = calendar(&event("DTSTART:20261225\nEXDATE:20261225"));
    assert!(none.is_empty());
}

#[test]
fn ten_thousand_events_are_read_and_asked_at_once() {
    let first = day("2000-01-01");
    let once: String = first
        .iter_days()
        .take(10_000)
        .map(|day| format!("BEGIN:VEVENT\nDTSTART:{}\nDURATION:P2D\nEND:VEVENT\n", day.format("%Y%m%d")))
        .collect();
    let yearly: String = first
        .iter_days()
        .take(10_000)
        .map(|day| {
            format!(
                "BEGIN:VEVENT\nDTSTART:{}\nRRULE:FREQ=YEARLY;COUNT=999\nEND:VEVENT\n",
                day.format("%Y%m%d")
            )
        })
        .collect();
    for events in [once, yearly] {
        let begun = Instant::now();

        let days = calendar(&format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n"));
        assert!(days.contains(day("2020-02-29")) && !days.contains(day("1999-12-31")));

        let took = begun.elapsed();
        assert!(days.rules().len() == 10_000 && took.as_secs() < 10, "{took:?}");
    }
}

#[test]
fn the_database_keeps_what_a_calendar_says() {
    for file in [GOOGLE, APPLE, OUTLOOK] {
        let days = calendar(file);

        let kept: ExceptedDays = serde_json::from_str(&serde_json::to_string(&days).unwrap()).unwrap();

        assert_eq!(kept, days);
    }
}

proptest! {
    #[test]
    fn a_file_that_was_damaged_is_read_or_refused_by_lines_that_it_has(
        number in 0..3_usize,
        cuts in prop::collection::vec((0..2000_usize, 0..40_usize, prop_oneof![
            any::<Vec<u8>>(),
            Just(b"\n".to_vec()),
            Just(b"\n ".to_vec()),
            Just(b":".to_vec()),
            Just(b"99999999".to_vec()),
            Just(b"BEGIN:VEVENT\n".to_vec()),
        ]), 1..6),
    ) {
        let mut file = [GOOGLE, APPLE, OUTLOOK][number].as_bytes().to_vec();
        for (begin, length, with) in cuts {
            let begin = begin.min(file.len());
            let end = (begin + length).min(file.len());
            file.splice(begin..end, with);
        }

        let lines = file.split(|byte| *byte == b'\n').count();
        match read_ics(&file) {
            Ok(rules) => {
                let days = ExceptedDays::new(rules);
                let lines: Vec<String> = days.clone().into();
                prop_assert_eq!(ExceptedDays::try_from(lines).unwrap(), days);
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty() && errors.is_sorted_by_key(|error| error.line));
                prop_assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)), "{:?}", errors);
            }
        }
    }
}
