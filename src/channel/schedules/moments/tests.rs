//! Due moments against tables that were made by hand, and against an independent walk through a year, minute by minute.

use chrono::{Datelike as _, Timelike as _};

use super::*;
use crate::schedules::crontab::Cron;

fn by(expression: &str) -> Timing {
    Timing::of(Recurrence::Cron(Box::new(Cron::parse(expression).unwrap())))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn due(cron: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let found = between(&by(cron), zone.parse().unwrap(), at(after), at(until));
    found.iter().map(|moment| moment.at.format("%m-%d %H:%M:%S").to_string()).collect()
}

#[test]
fn weekdays_are_numbered_as_in_every_crontab() {
    // 2026-11-22 is a Sunday.
    for (field, days) in [
        ("0", vec![22]),
        ("7", vec![22]),
        ("SUN", vec![22]),
        ("1", vec![23]),
        ("1-5", vec![23, 24, 25, 26, 27]),
        ("mon-fri", vec![23, 24, 25, 26, 27]),
        ("5-7", vec![22, 27, 28]),
        ("sat-mon", vec![22, 23, 28]),
        ("*/2", vec![22, 24, 26, 28]),
        ("1,3", vec![23, 25]),
        ("2/2", vec![24, 26, 28]),
    ] {
        let found = due(&format!("0 12 * * {field}"), "UTC", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z");
        let expected: Vec<String> = days.iter().map(|day| format!("11-{day} 12:00:00")).collect();
        assert_eq!(found, expected, "{field}");
    }
}

#[test]
fn two_restricted_days_mean_either() {
    let found = due("0 9 13 * 5", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");

    assert_eq!(found, ["11-06 09:00:00", "11-13 09:00:00", "11-20 09:00:00", "11-27 09:00:00"]);
    let found = due("0 9 1 * 0", "UTC", "2026-10-01T00:00:00Z", "2026-10-12T00:00:00Z");
    assert_eq!(found, ["10-01 09:00:00", "10-04 09:00:00", "10-11 09:00:00"]);
    // A star with a step restricts nothing by itself: an odd day that is a Friday.
    let found = due("0 9 */2 * 5", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    assert_eq!(found, ["11-13 09:00:00", "11-27 09:00:00"]);
}

#[test]
fn macros_and_seconds_are_understood() {
    for (cron, expected) in [
        ("@daily", vec!["11-24 00:00:00", "11-25 00:00:00"]),
        ("@Weekly", vec![]),
        ("30 15 10 * * *", vec!["11-23 10:15:30", "11-24 10:15:30"]),
        ("0 */12 * * *", vec!["11-23 12:00:00", "11-24 00:00:00", "11-24 12:00:00", "11-25 00:00:00"]),
    ] {
        assert_eq!(due(cron, "UTC", "2026-11-23T00:00:00Z", "2026-11-25T00:00:00Z"), expected, "{cron}");
    }
}

#[test]
fn a_skipped_time_falls_due_after_the_gap_and_a_repeated_one_once() {
    // New York: 02:00 to 03:00 is skipped on 2026-03-08, 01:00 to 02:00 is repeated on 2026-11-01.
    assert_eq!(
        due("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"),
        ["03-08 07:00:00", "03-09 06:30:00"]
    );
    assert_eq!(
        due("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"),
        ["11-01 05:30:00", "11-02 06:30:00"]
    );
    // Several skipped times are one moment.
    assert_eq!(
        due("0,15,30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", "2026-03-08T23:00:00Z"),
        ["03-08 07:00:00"]
    );
    // Lord Howe moves by half an hour: 02:00 to 02:30 is skipped on 2026-10-04.
    assert_eq!(
        due("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-04T12:00:00Z"),
        ["10-03 15:30:00"]
    );
}

#[test]
fn every_quarter_of_an_hour_is_every_real_one() {
    let spring = due("*/15 * * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T23:00:00Z");
    let autumn = due("*/15 * * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z");

    assert_eq!((spring.len(), autumn.len()), (96, 96), "a day of moments is a day, whatever clocks show");
}

#[test]
fn the_next_moments_are_found_however_rare() {
    let zone: Tz = "UTC".parse().unwrap();

    let leap = next(&by("0 0 29 2 *"), zone, at("2026-11-23T00:00:00Z"), 1);
    let never = next(&by("0 0 31 2 *"), zone, at("2026-11-23T00:00:00Z"), 1);

    assert_eq!(leap[0].at, at("2028-02-29T00:00:00Z"));
    assert!(never.is_empty());
}

#[test]
fn the_last_moments_are_found_without_looking_at_all_of_them() {
    let every_second = by("* * * * * *");
    let (found, more) =
        last(&every_second, Tz::UTC, at("2020-01-01T00:00:00Z"), at("2026-11-23T00:00:00Z"), 3);
    assert_eq!((found.len(), found[2].at, more), (3, at("2026-11-23T00:00:00Z"), true));

    let monthly = by("@monthly");
    let (found, more) = last(&monthly, Tz::UTC, at("2026-08-01T00:00:00Z"), at("2026-11-23T00:00:00Z"), 3);
    assert_eq!((found.len(), found[0].at, more), (3, at("2026-09-01T00:00:00Z"), false));
}

#[test]
fn days_of_changing_clocks_have_a_note() {
    let zone: Tz = "America/New_York".parse().unwrap();
    let told = |cron: &str, after: &str| {
        let timing = by(cron);
        let moment = next(&timing, zone, at(after), 1)[0];
        note(&timing, zone, moment).unwrap_or("").split(';').next().unwrap().to_owned()
    };

    assert_eq!(told("30 2 * * *", "2026-03-08T00:00:00Z"), "the clocks skip the time that is due");
    assert_eq!(told("30 1 * * *", "2026-11-01T00:00:00Z"), "the clocks show this time twice");
    assert_eq!(told("30 8 * * *", "2026-03-08T00:00:00Z"), "");
    assert_eq!(told("*/15 * * * *", "2026-11-01T05:00:00Z"), "");
}

/// Does this minute of the clock fit? Written anew, field by field, so that it shares nothing with what it checks.
fn fits(
    local: NaiveDateTime,
    minutes: &[u32],
    hours: &[u32],
    day: Option<u32>,
    weekday: Option<u32>,
) -> bool {
    let time = minutes.contains(&local.minute()) && hours.contains(&local.hour());
    let by_day = day.is_some_and(|day| local.day() == day);
    let by_weekday = weekday.is_some_and(|weekday| local.weekday().num_days_from_sunday() == weekday);
    time && match (day, weekday) {
        (None, None) => true,
        (Some(_), None) => by_day,
        (None, Some(_)) => by_weekday,
        (Some(_), Some(_)) => by_day || by_weekday,
    }
}

/// An expression with its minutes, hours, day and weekday, and whether every real moment counts.
type Case = (&'static str, Vec<u32>, Vec<u32>, Option<u32>, Option<u32>, bool);

#[test]
fn a_year_in_five_zones_is_what_a_walk_through_it_says() {
    let all_hours: Vec<u32> = (0..24).collect();
    let (begin, end) = (at("2026-01-01T12:00:00Z"), at("2027-01-01T12:00:00Z"));
    for zone in ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"] {
        let zone: Tz = zone.parse().unwrap();
        let cases: [Case; 6] = [
            ("30 8 * * *", vec![30], vec![8], None, None, false),
            ("30 2 * * *", vec![30], vec![2], None, None, false),
            ("15 1 * * *", vec![15], vec![1], None, None, false),
            ("*/15 * * * *", vec![0, 15, 30, 45], all_hours.clone(), None, None, true),
            ("0 9 13 * 5", vec![0], vec![9], Some(13), Some(5), false),
            ("@monthly", vec![0], vec![0], Some(1), None, false),
        ];
        for (cron, minutes, hours, day, weekday, every_hour) in cases {
            let found: Vec<_> =
                between(&by(cron), zone, begin, end).into_iter().map(|moment| moment.at).collect();

            // Real minutes, one after the other, and what the clocks show at each.
            let mut expected = Vec::new();
            let mut shown_before = begin.with_timezone(&zone).naive_local();
            let mut moment = begin + TimeDelta::minutes(1);
            let mut seen = std::collections::HashSet::new();
            while moment <= end {
                let shown = moment.with_timezone(&zone).naive_local();
                let fitting = fits(shown, &minutes, &hours, day, weekday);
                // Clocks that jumped forward have skipped what lies between.
                let mut skipped = shown_before + TimeDelta::minutes(1);
                let mut skipped_one = false;
                while skipped < shown {
                    skipped_one |= fits(skipped, &minutes, &hours, day, weekday) && !every_hour;
                    skipped += TimeDelta::minutes(1);
                }
                if skipped_one || fitting && (every_hour || seen.insert(shown)) {
                    expected.push(moment);
                }
                if skipped_one && fitting {
                    seen.insert(shown);
                }
                shown_before = shown;
                moment += TimeDelta::minutes(1);
            }
            assert_eq!(found, expected, "{cron} in {zone}");

            // A scheduler looks at it bit by bit; nothing falls between two looks.
            let mut by_bits = Vec::new();
            let mut looked_until = begin;
            while looked_until < end {
                let until = end.min(looked_until + TimeDelta::minutes(7 * 60 + 15));
                by_bits.extend(
                    between(&by(cron), zone, looked_until, until).into_iter().map(|moment| moment.at),
                );
                looked_until = until;
            }
            assert_eq!(by_bits, expected, "{cron} in {zone}");
        }
    }
}

fn shown(timing: &Timing, zone: &str, after: &str, until: &str) -> Vec<String> {
    let found = between(timing, zone.parse().unwrap(), at(after), at(until));
    found
        .iter()
        .map(|moment| format!("{} {}", moment.at.format("%m-%d %H:%M"), moment.local.format("%d %H:%M")))
        .collect()
}

#[test]
fn one_date_is_one_moment_in_each_zone() {
    let timing = Timing::of(Recurrence::At("2026-12-24T18:00".parse().unwrap()));

    for (zone, moment) in [
        ("Europe/Berlin", "12-24 17:00 24 18:00"),
        ("Asia/Tokyo", "12-24 09:00 24 18:00"),
        ("America/Vancouver", "12-25 01:00 24 18:00"),
    ] {
        assert_eq!(shown(&timing, zone, "2026-11-01T00:00:00Z", "2027-11-01T00:00:00Z"), [moment], "{zone}");
    }
    assert!(next(&timing, Tz::UTC, at("2026-12-24T18:00:00Z"), 1).is_empty(), "it comes once");
    // New York skips 02:30 on 2026-03-08 and shows 01:30 twice on 2026-11-01.
    for (time, moment) in
        [("2026-03-08T02:30", "03-08 07:00 08 02:30"), ("2026-11-01T01:30", "11-01 05:30 01 01:30")]
    {
        let timing = Timing::of(Recurrence::At(time.parse().unwrap()));
        assert_eq!(
            shown(&timing, "America/New_York", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            [moment],
            "{time}"
        );
    }
}

#[test]
fn an_interval_is_counted_in_real_time_from_its_anchor() {
    let every = |step: u64, anchor: Option<&str>| {
        let anchor = anchor.map(|anchor| anchor.parse().unwrap());
        Timing::of(Recurrence::Every(Interval { step: std::time::Duration::from_secs(step * 60), anchor }))
    };

    // Without an anchor, the steps of 90 minutes begin at midnight UTC.
    assert_eq!(
        shown(&every(90, None), "Europe/Berlin", "2026-11-28T22:00:00Z", "2026-11-29T02:00:00Z"),
        ["11-28 22:30 28 22:30", "11-29 00:00 29 00:00", "11-29 01:30 29 01:30"]
    );
    // The anchor is the first moment, and a change of clocks moves what clocks show at the later ones: Berlin's jump on 2026-03-29.
    assert_eq!(
        shown(
            &every(12 * 60, Some("2026-03-28T20:00")),
            "Europe/Berlin",
            "2026-03-01T00:00:00Z",
            "2026-03-29T20:00:00Z"
        ),
        ["03-28 19:00 28 20:00", "03-29 07:00 29 08:00", "03-29 19:00 29 20:00"]
    );
    let anchored = every(90, Some("2026-11-28T06:00"));
    assert_eq!(next(&anchored, Tz::UTC, at("2026-11-28T06:00:00Z"), 1)[0].at, at("2026-11-28T07:30:00Z"));
}

#[test]
fn nothing_falls_due_after_the_last_day() {
    let mut timing = by("0 9 * * *");
    timing.until = Some("2026-11-29".parse().unwrap());

    // The last day is the zone's own: nine o'clock of the 29th in Auckland is still the 28th in UTC.
    for (zone, last) in
        [("Pacific/Auckland", "11-28 20:00 29 09:00"), ("Pacific/Honolulu", "11-29 19:00 29 09:00")]
    {
        let found = shown(&timing, zone, "2026-11-27T00:00:00Z", "2027-11-27T00:00:00Z");
        assert_eq!(found.last().unwrap(), last, "{zone}");
    }
    timing.until = Some("2026-11-29T08:59".parse().unwrap());
    assert!(next(&timing, Tz::UTC, at("2026-11-28T09:00:00Z"), 1).is_empty());
}

#[test]
fn a_moment_stands_for_the_time_that_clocks_were_to_show_or_for_itself() {
    assert_eq!(
        shown(&by("30 2 * * *"), "America/New_York", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"),
        ["03-08 07:00 08 02:30"]
    );
    assert_eq!(
        shown(&by("30 2,3 * * *"), "America/New_York", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"),
        ["03-08 07:00 08 02:30", "03-08 07:30 08 03:30"]
    );
    assert_eq!(
        shown(&by("0 2,3 * * *"), "America/New_York", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"),
        ["03-08 07:00 08 03:00"]
    );
    assert_eq!(
        shown(&by("0 * * * *"), "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        ["11-01 06:00 01 06:00"]
    );
}

#[test]
fn a_day_is_excepted_on_the_clocks_of_each_zone() {
    let mut daily = by("0 9 * * *");
    let mut hourly = by("0 * * * *");
    for timing in [&mut daily, &mut hourly] {
        timing.except = serde_json::from_str("[\"2026-12-25\"]").unwrap();
    }
    for (zone, first, last) in [
        ("Pacific/Auckland", "2026-12-24T11:00:00Z", "2026-12-25T10:00:00Z"),
        ("Pacific/Honolulu", "2026-12-25T10:00:00Z", "2026-12-26T09:00:00Z"),
    ] {
        let zone: Tz = zone.parse().unwrap();
        let (begin, end) = (at("2026-12-23T00:00:00Z"), at("2026-12-28T00:00:00Z"));
        let excepted = |timing: &Timing| -> Vec<DateTime<Utc>> {
            let found = between(timing, zone, begin, end).into_iter();
            found.filter(|moment| is_excepted(timing, zone, *moment)).map(|moment| moment.at).collect()
        };
        assert_eq!(excepted(&daily).len(), 1, "{zone}");
        let hours = excepted(&hourly);
        assert_eq!((hours.len(), hours[0], hours[23]), (24, at(first), at(last)), "{zone}");
    }
}
