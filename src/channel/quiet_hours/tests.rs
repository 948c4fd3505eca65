//! Quiet hours by examples, and against a walk that looks at the clocks every minute.

use proptest::prelude::*;

use super::*;

fn hours(from: &str, to: &str) -> QuietHours {
    QuietHours::new(time(from).unwrap(), time(to).unwrap()).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn hours_cover_their_first_minute_and_not_their_last() {
    for (from, to, covered, not_covered) in [
        ("12:00", "13:30", vec!["12:00", "13:29"], vec!["11:59", "13:30", "00:00"]),
        ("22:00", "07:00", vec!["22:00", "23:59", "00:00", "06:59"], vec!["21:59", "07:00", "12:00"]),
        ("22:00", "00:00", vec!["22:00", "23:59"], vec!["00:00", "21:59"]),
        ("00:00", "23:59", vec!["00:00", "23:58"], vec!["23:59"]),
        ("00:01", "00:00", vec!["00:01", "23:59"], vec!["00:00"]),
    ] {
        let hours = hours(from, to);
        for local in covered {
            assert!(hours.covers(time(local).unwrap()), "{hours} {local}");
        }
        for local in not_covered {
            assert!(!hours.covers(time(local).unwrap()), "{hours} {local}");
        }
    }
    assert!(hours("22:00", "07:00").covers(NaiveTime::from_hms_milli_opt(6, 59, 59, 999).unwrap()));
}

#[test]
fn they_end_when_the_zones_clocks_are_past_them() {
    for (from, to, zone, moment, end) in [
        ("22:00", "07:00", "Europe/Berlin", "2026-11-28T20:59:59Z", None),
        ("22:00", "07:00", "Europe/Berlin", "2026-11-28T21:00:00Z", Some("2026-11-29T06:00:00Z")),
        ("22:00", "07:00", "Europe/Berlin", "2026-11-29T05:59:59.5Z", Some("2026-11-29T06:00:00Z")),
        ("22:00", "07:00", "Europe/Berlin", "2026-11-29T06:00:00Z", None),
        ("22:00", "07:00", "Asia/Kathmandu", "2026-11-28T16:15:00Z", Some("2026-11-29T01:15:00Z")),
        // Clocks go forward from 02:00 to 03:00: the night is an hour shorter, and 02:30 is never shown.
        ("22:00", "07:00", "Europe/Berlin", "2026-03-28T21:00:00Z", Some("2026-03-29T05:00:00Z")),
        ("22:00", "02:30", "Europe/Berlin", "2026-03-28T21:00:00Z", Some("2026-03-29T01:00:00Z")),
        ("22:00", "03:00", "Europe/Berlin", "2026-03-29T00:59:59Z", Some("2026-03-29T01:00:00Z")),
        ("02:10", "02:50", "Europe/Berlin", "2026-03-29T00:59:59Z", None),
        // Clocks go back from 03:00 to 02:00: a time inside is shown again after the end.
        ("22:00", "07:00", "Europe/Berlin", "2026-10-24T20:00:00Z", Some("2026-10-25T06:00:00Z")),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-24T20:00:00Z", Some("2026-10-25T00:30:00Z")),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T00:45:00Z", None),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T01:00:00Z", Some("2026-10-25T01:30:00Z")),
        // 03:00 is shown once, after the hour was repeated.
        ("22:00", "03:00", "Europe/Berlin", "2026-10-25T00:30:00Z", Some("2026-10-25T02:00:00Z")),
        // Havana goes back from 01:00 to 00:00, so midnight is shown twice; Beirut skips it.
        ("21:00", "00:00", "America/Havana", "2025-11-02T03:00:00Z", Some("2025-11-02T04:00:00Z")),
        ("21:00", "00:00", "Asia/Beirut", "2026-03-28T21:00:00Z", Some("2026-03-28T22:00:00Z")),
        // Lord Howe changes by half an hour.
        ("22:00", "02:15", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", Some("2026-10-03T15:30:00Z")),
        // Samoa left out a whole day.
        ("22:00", "07:00", "Pacific/Apia", "2011-12-30T09:00:00Z", Some("2011-12-30T17:00:00Z")),
    ] {
        let found = hours(from, to).end_of(at(moment), zone.parse().unwrap());

        assert_eq!(found, end.map(at), "{from}–{to} {zone} {moment}");
    }
}

#[test]
fn the_end_of_several_is_outside_all_of_them() {
    let zone: Tz = "Europe/Berlin".parse().unwrap();
    let end = |hours: &[QuietHours], moment| end_of_all(hours, at(moment), zone);
    let (evening, night, noon) = (hours("19:00", "22:00"), hours("22:00", "07:00"), hours("11:00", "13:00"));

    assert_eq!(end(&[], "2026-11-28T20:00:00Z"), Quiet::No);
    assert_eq!(end(&[noon, night], "2026-11-28T18:30:00Z"), Quiet::No);
    assert_eq!(end(&[noon, night], "2026-11-28T22:00:00Z"), Quiet::Until(at("2026-11-29T06:00:00Z")));
    assert_eq!(end(&[night, evening], "2026-11-28T18:30:00Z"), Quiet::Until(at("2026-11-29T06:00:00Z")));
    let late = hours("06:30", "11:30");
    assert_eq!(
        end(&[noon, late, night, evening], "2026-11-28T18:30:00Z"),
        Quiet::Until(at("2026-11-29T12:00:00Z"))
    );
}

#[test]
fn hours_that_cover_the_whole_day_never_end() {
    let moment = at("2026-11-28T12:00:00Z");
    for (all, always) in [
        (vec![hours("07:00", "22:00"), hours("22:00", "07:00")], true),
        (vec![hours("07:00", "22:30"), hours("22:00", "07:00")], true),
        (vec![hours("00:00", "12:00"), hours("12:00", "18:00"), hours("18:00", "00:00")], true),
        (vec![hours("07:00", "22:00"), hours("22:01", "07:00")], false),
        (vec![hours("07:00", "22:00"), hours("07:00", "22:00")], false),
        (vec![hours("00:00", "23:59")], false),
    ] {
        let found = end_of_all(&all, moment, Tz::UTC);

        assert_eq!(found == Quiet::Always, always, "{all:?}");
        assert_eq!(cover_the_day(&all), always, "{all:?}");
    }
}

#[test]
fn they_are_read_strictly_and_written_as_they_are_read() {
    let night: QuietHours = serde_json::from_str(r#"{"from": "22:00", "to": "07:00"}"#).unwrap();
    assert_eq!(night, hours("22:00", "07:00"));
    assert_eq!(serde_json::to_string(&night).unwrap(), r#"{"from":"22:00","to":"07:00"}"#);
    assert_eq!(toml::from_str::<QuietHours>("from = \"22:00\"\nto = \"07:00\"").unwrap(), night);
    assert_eq!(night.to_string(), "22:00–07:00");

    for (given, told) in [
        (r#"{"from": "24:00", "to": "07:00"}"#, "from is \"24:00\"; it must be a time from 00:00 to 23:59"),
        (r#"{"from": "22:00", "to": "7:00"}"#, "to is \"7:00\"; it must be"),
        (r#"{"from": "22:00", "to": "07:60"}"#, "to is \"07:60\""),
        (r#"{"from": "22:00", "to": "07:00:00"}"#, "to is \"07:00:00\""),
        (r#"{"from": "22:00", "to": " 7:00"}"#, "to is \" 7:00\""),
        (r#"{"from": "22:00", "to": "+7:00"}"#, "to is \"+7:00\""),
        (r#"{"from": "22:00", "to": "٠٧:٠٠"}"#, "to is"),
        (r#"{"from": "22:00", "to": ""}"#, "to is \"\""),
        (r#"{"from": "08:00", "to": "08:00"}"#, "from and to are both 08:00: quiet hours need two different"),
        (r#"{"from": "22:00"}"#, "missing field `to`"),
        (r#"{"from": "22:00", "to": "07:00", "zone": "UTC"}"#, "unknown field `zone`"),
        (r#"{"from": 22, "to": "07:00"}"#, "expected a string"),
    ] {
        let error = serde_json::from_str::<QuietHours>(given).unwrap_err().to_string();
        assert!(error.contains(told), "{given}: {error}");
    }
    let odd = NaiveTime::from_hms_opt(22, 0, 1).unwrap();
    assert!(QuietHours::new(odd, time("07:00").unwrap()).is_err());
}

/// Zones, and days on which their clocks change: by an hour, at midnight, by half an hour, by a day.
const CHANGES: [(&str, &str); 12] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("America/Havana", "2025-11-02T05:00:00Z"),
    ("Asia/Beirut", "2026-03-28T22:00:00Z"),
    ("Asia/Beirut", "2026-10-24T21:00:00Z"),
    ("Pacific/Chatham", "2026-04-04T14:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kolkata", "2026-03-29T01:00:00Z"),
];

/// What a walk finds that looks at the clocks every minute.
fn walk(all: &[QuietHours], moment: DateTime<Utc>, zone: Tz) -> Quiet {
    let quiet =
        |moment: DateTime<Utc>| all.iter().any(|hours| hours.covers(moment.with_timezone(&zone).time()));
    if !quiet(moment) {
        return Quiet::No;
    }
    let minute = moment - TimeDelta::seconds(i64::from(moment.second()));
    let end = (1..=3 * 24 * 60).map(|minutes| minute + TimeDelta::minutes(minutes)).find(|end| !quiet(*end));
    end.map_or(Quiet::Always, Quiet::Until)
}

fn any_hours() -> impl Strategy<Value = QuietHours> {
    let time = || (0..24_u32, prop_oneof![Just(0), Just(30), 0..60_u32]);
    (time(), time()).prop_filter_map("two times", |(from, to)| {
        let time = |(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        QuietHours::new(time(from), time(to)).ok()
    })
}

proptest! {
    #[test]
    fn a_walk_minute_by_minute_ends_at_the_same_moment(
        change in 0..CHANGES.len(),
        seconds in -36 * 3600..36 * 3600_i64,
        all in prop::collection::vec(any_hours(), 0..4),
    ) {
        let (zone, change) = CHANGES[change];
        let (zone, moment): (Tz, _) = (zone.parse().unwrap(), at(change) + TimeDelta::seconds(seconds));

        prop_assert_eq!(end_of_all(&all, moment, zone), walk(&all, moment, zone));
        for one in &all {
            let end = one.end_of(moment, zone).map_or(Quiet::No, Quiet::Until);
            prop_assert_eq!(end, walk(&[*one], moment, zone));
        }
    }
}
