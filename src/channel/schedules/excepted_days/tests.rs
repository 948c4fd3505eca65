//! Days as files write them, and yearly rules against what everybody knows and an expansion of their own.

use chrono::Weekday;
use proptest::prelude::*;

use super::*;

pub(super) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn days(lines: &[&str]) -> ExceptedDays {
    lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>().try_into().unwrap()
}

/// Those of a year's days that are excepted.
pub(super) fn of_year(days: &ExceptedDays, year: i32) -> Vec<String> {
    let all = NaiveDate::from_yo_opt(year, 1).unwrap().iter_days().take_while(|day| day.year() == year);
    all.filter(|day| days.contains(*day)).map(|day| day.format("%m-%d").to_string()).collect()
}

#[test]
fn a_file_lists_dates_spans_and_days_of_each_year() {
    let listed = days(&[
        "2026-12-25",
        "2026-12-24/2027-01-02",
        "05-01",
        "02-29",
        "2026-05-30/2026-06-02",
        "2026-06-01/2026-06-01",
    ]);

    assert_eq!(
        of_year(&listed, 2026),
        [
            "05-01", "05-30", "05-31", "06-01", "06-02", "12-24", "12-25", "12-26", "12-27", "12-28",
            "12-29", "12-30", "12-31"
        ]
    );
    assert_eq!(of_year(&listed, 2027), ["01-01", "01-02", "05-01"]);
    assert_eq!(of_year(&listed, 2028), ["02-29", "05-01"]);
    assert!(!listed.is_empty() && ExceptedDays::default().is_empty());
    assert!(!ExceptedDays::default().contains(day("2026-12-25")));
}

#[test]
fn a_line_that_is_no_day_is_told_with_what_would_be() {
    for (line, told) in [
        (
            "25.12.2026",
            "\"25.12.2026\" is no day; write \"2026-12-25\", \"2026-12-24/2027-01-02\", or \"12-25\"",
        ),
        ("2026-02-29", "\"2026-02-29\" is no day: there is no 2026-02-29"),
        ("2026-13-01", "there is no 2026-13-01"),
        ("02-30", "is no day of any year; it is the month and then its day"),
        ("25-12", "it is the month and then its day"),
        ("2027-01-02/2026-12-24", "ends before it begins: write \"2026-12-24/2027-01-02\""),
        ("2026-12-24/12-26", "is no day"),
        ("2026-12-24 / 2026-12-26", "is no day"),
        ("2026-1-1", "is no day"),
        ("+026-01-01", "is no day"),
        (" 12-25", "is no day"),
        ("12-2５", "is no day"),
        ("", "is no day"),
        ("2026", "is no day"),
        ("2020-05-25/P1D RRULE:FREQ=DAILY", "only FREQ=YEARLY"),
        ("2020-05-25/1 RRULE:FREQ=YEARLY", "is no yearly rule"),
        ("2020-05-25/P0D RRULE:FREQ=YEARLY", "lasts 1 to 366 days"),
        ("2020-05-25/P1D RRULE:FREQ=YEARLY EXDATE:2024", "is \"2024\", no date"),
    ] {
        let error = line.parse::<DayRule>().unwrap_err().to_string();
        assert!(error.contains(told), "{line}: {error}");
    }
}

#[test]
fn rules_are_kept_as_the_lines_that_they_were_read_from() {
    let lines = [
        "2026-12-25",
        "2026-12-24/2027-01-02",
        "02-29",
        "2020-05-25/P1D RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO",
        "2020-12-24/P3D RRULE:FREQ=YEARLY",
        "2021-01-31/P2D RRULE:FREQ=YEARLY;INTERVAL=2;UNTIL=20310101;BYMONTH=1,3;BYMONTHDAY=-1,15;BYDAY=SU,1MO EXDATE:20230115,20250115",
    ];
    let kept = days(&lines);

    let json = serde_json::to_string(&kept).unwrap();

    assert_eq!(json, serde_json::to_string(&lines).unwrap());
    assert_eq!(serde_json::from_str::<ExceptedDays>(&json).unwrap(), kept);
    let wrong = serde_json::from_str::<ExceptedDays>("[\"2026-12-25\", \"x\"]").unwrap_err().to_string();
    assert!(wrong.contains("\"x\" is no day"), "{wrong}");
}

#[test]
fn yearly_rules_fall_on_the_days_that_everybody_knows() {
    // American holidays, elections, RFC 5545's own examples, and the last days of months.
    for (line, year, expected) in [
        ("2020-11-26/P1D RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", 2026, vec!["11-26"]),
        ("2020-11-26/P1D RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", 2028, vec!["11-23"]),
        ("2020-11-26/P1D RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", 2019, vec![]),
        ("2020-05-25/P1D RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO", 2027, vec!["05-31"]),
        (
            "1996-11-05/P1D RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            2004,
            vec!["11-02"],
        ),
        (
            "1996-11-05/P1D RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            2006,
            vec![],
        ),
        ("1997-05-19/P1D RRULE:FREQ=YEARLY;BYDAY=20MO", 1998, vec!["05-18"]),
        ("1997-05-19/P1D RRULE:FREQ=YEARLY;BYDAY=20MO", 1999, vec!["05-17"]),
        (
            "1997-03-13/P1D RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
            1998,
            vec!["03-05", "03-12", "03-19", "03-26"],
        ),
        (
            "1997-03-10/P1D RRULE:FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
            2003,
            vec!["01-10", "02-10", "03-10"],
        ),
        ("1997-03-10/P1D RRULE:FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", 2005, vec![]),
        ("1997-06-10/P1D RRULE:FREQ=YEARLY;COUNT=10;BYMONTH=6,7", 2001, vec!["06-10", "07-10"]),
        ("1997-06-10/P1D RRULE:FREQ=YEARLY;COUNT=10;BYMONTH=6,7", 2002, vec![]),
        ("2020-02-29/P1D RRULE:FREQ=YEARLY", 2027, vec![]),
        ("2020-02-29/P1D RRULE:FREQ=YEARLY", 2028, vec!["02-29"]),
        ("2021-02-28/P1D RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", 2028, vec!["02-29"]),
        (
            "2021-01-31/P1D RRULE:FREQ=YEARLY;BYMONTHDAY=31",
            2027,
            vec!["01-31", "03-31", "05-31", "07-31", "08-31", "10-31", "12-31"],
        ),
        ("2020-12-31/P3D RRULE:FREQ=YEARLY", 2027, vec!["01-01", "01-02", "12-31"]),
        ("2020-12-31/P3D RRULE:FREQ=YEARLY EXDATE:20261231", 2027, vec!["12-31"]),
        ("2020-12-25/P1D RRULE:FREQ=YEARLY;UNTIL=20261225", 2026, vec!["12-25"]),
        ("2020-12-25/P1D RRULE:FREQ=YEARLY;UNTIL=20261225", 2027, vec![]),
        ("2020-01-06/P1D RRULE:FREQ=YEARLY;BYDAY=1MO,-1FR", 2027, vec!["01-04", "12-31"]),
    ] {
        assert_eq!(of_year(&days(&[line]), year), expected, "{line} in {year}");
    }
}

/// The days of a rule in a year, put together from lists as RFC 5545 describes it.
fn expanded(months: &[u32], month_days: &[i32], weekdays: &[(i32, Weekday)], year: i32) -> Vec<NaiveDate> {
    let whole_year: Vec<NaiveDate> =
        NaiveDate::from_yo_opt(year, 1).unwrap().iter_days().take_while(|day| day.year() == year).collect();
    let month = |month: u32| -> Vec<NaiveDate> {
        whole_year.iter().copied().filter(|day| day.month() == month).collect()
    };
    let nth = |days: &[NaiveDate], nth: i32| -> Option<NaiveDate> {
        let place =
            usize::try_from(if nth > 0 { nth - 1 } else { i32::try_from(days.len()).unwrap() + nth }).ok()?;
        days.get(place).copied()
    };
    let scopes: Vec<Vec<NaiveDate>> = if months.is_empty() {
        vec![whole_year.clone()]
    } else {
        months.iter().map(|number| month(*number)).collect()
    };
    let mut of_month_days: Vec<NaiveDate> = Vec::new();
    for number in 1..=12 {
        if months.is_empty() || months.contains(&number) {
            of_month_days.extend(month_days.iter().filter_map(|place| nth(&month(number), *place)));
        }
    }
    let mut of_weekdays: Vec<NaiveDate> = Vec::new();
    for (place, weekday) in weekdays {
        for scope in &scopes {
            let all: Vec<NaiveDate> = scope.iter().copied().filter(|day| day.weekday() == *weekday).collect();
            if *place == 0 { of_weekdays.extend(all) } else { of_weekdays.extend(nth(&all, *place)) }
        }
    }
    let mut days = match (month_days.is_empty(), weekdays.is_empty()) {
        (false, false) => of_month_days.into_iter().filter(|day| of_weekdays.contains(day)).collect(),
        (false, true) => of_month_days,
        (true, _) => of_weekdays,
    };
    days.sort();
    days.dedup();
    days
}

fn joined<T: ToString>(name: &str, list: &[T]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    if list.is_empty() { String::new() } else { format!(";{name}={}", list.join(",")) }
}

proptest! {
    #[test]
    fn a_rules_days_are_those_of_its_expansion(
        months in prop::collection::vec(1..=12_u32, 0..3),
        month_days in prop::collection::vec(prop_oneof![-31..=-1, 1..=31], 0..4),
        weekdays in prop::collection::vec((prop_oneof![Just(0), -5..=-1, 1..=5], 0..7_usize), 0..3),
        interval in 1..4_usize,
        count in prop::option::of(1..20_usize),
    ) {
        const NAMES: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        if month_days.is_empty() && weekdays.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = weekdays
            .iter()
            .map(|(nth, weekday)| format!("{}{}", if *nth == 0 { String::new() } else { nth.to_string() }, NAMES[*weekday]))
            .collect();
        let weekdays: Vec<(i32, Weekday)> =
            weekdays.iter().map(|(nth, weekday)| (*nth, Weekday::try_from(u8::try_from(*weekday).unwrap()).unwrap())).collect();
        let years = 2000..2030;
        let first = years.clone().find_map(|year| expanded(&months, &month_days, &weekdays, year).first().copied());
        let Some(first) = first else { return Ok(()) };
        let all = (first.year()..years.end).step_by(interval).flat_map(|year| expanded(&months, &month_days, &weekdays, year));
        let expected: Vec<NaiveDate> = all.take(count.unwrap_or(usize::MAX)).collect();
        let count = count.map(|count| format!(";COUNT={count}")).unwrap_or_default();
        let line = format!(
            "{first}/P1D RRULE:FREQ=YEARLY;INTERVAL={interval}{count}{}{}{}",
            joined("BYMONTH", &months), joined("BYMONTHDAY", &month_days), joined("BYDAY", &named)
        );

        let rule: DayRule = line.parse().unwrap();

        let end = NaiveDate::from_yo_opt(years.end, 1).unwrap();
        let found: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < end).filter(|day| rule.contains(*day)).collect();
        prop_assert_eq!(found, expected, "{}", line);
        prop_assert_eq!(rule.to_string().parse::<DayRule>().unwrap(), rule);
    }
}
