//! `L`, `W` and `#` against a calendar that counts days one by one from a known Monday.

use std::collections::BTreeSet;

use super::{Cron, at};

/// A month's weekdays, Sunday 0, the first day's first.
type Month = Vec<u8>;

/// Year, month, day.
type Day = (u32, u32, u32);

/// All months of these years. 2024-01-01 was a Monday.
fn calendar(first: u32, last: u32) -> Vec<((u32, u32), Month)> {
    let mut months = Vec::new();
    let mut weekday = 1;
    for year in 2024..=last {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in
            (1..).zip([31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
        {
            let days: Month = (0..length).map(|day| (weekday + day) % 7).collect();
            weekday = (weekday + length) % 7;
            if year >= first {
                months.push(((year, month), days));
            }
        }
    }
    months
}

fn is_workday(weekday: u8) -> bool {
    (1..=5).contains(&weekday)
}

/// The workday of the month that is nearest to this day: the day itself, the one before, the one behind, then two days away.
fn nearest(month: &Month, day: usize) -> Option<usize> {
    month.get(day - 1)?;
    let candidates = [0_isize, -1, 1, -2, 2].map(|away| day.checked_add_signed(away));
    candidates
        .into_iter()
        .flatten()
        .find(|day| *day >= 1 && month.get(day - 1).is_some_and(|weekday| is_workday(*weekday)))
}

/// The n-th day with this weekday.
fn nth(month: &Month, weekday: u8, n: usize) -> Option<usize> {
    (1..=month.len()).filter(|day| month[day - 1] == weekday).nth(n - 1)
}

fn last(month: &Month, weekday: u8) -> Option<usize> {
    (1..=month.len()).rev().find(|day| month[day - 1] == weekday)
}

type Pick = fn(&Month) -> Vec<Option<usize>>;

/// An expression's day fields, and the days that it picks of a month.
const CASES: &[(&str, &str, Pick)] = &[
    ("L", "*", |month| vec![Some(month.len())]),
    ("l", "*", |month| vec![Some(month.len())]),
    ("L-3", "*", |month| vec![Some(month.len() - 3)]),
    ("L-30", "*", |month| vec![month.len().checked_sub(30)]),
    ("LW", "*", |month| vec![(1..=month.len()).rev().find(|day| is_workday(month[day - 1]))]),
    ("L,LW", "*", |month| {
        vec![Some(month.len()), (1..=month.len()).rev().find(|day| is_workday(month[day - 1]))]
    }),
    ("L-3W", "*", |month| vec![nearest(month, month.len() - 3)]),
    ("15W", "*", |month| vec![nearest(month, 15)]),
    ("1W", "*", |month| vec![nearest(month, 1)]),
    ("31w", "*", |month| vec![nearest(month, 31)]),
    ("29W", "*", |month| vec![nearest(month, 29)]),
    ("1,15W,L", "*", |month| vec![Some(1), nearest(month, 15), Some(month.len())]),
    ("*", "MON#1", |month| vec![nth(month, 1, 1)]),
    ("*", "1#1", |month| vec![nth(month, 1, 1)]),
    ("?", "wed#3", |month| vec![nth(month, 3, 3)]),
    ("*", "0#2", |month| vec![nth(month, 0, 2)]),
    ("*", "7#2", |month| vec![nth(month, 0, 2)]),
    ("*", "MON#5", |month| vec![nth(month, 1, 5)]),
    ("*", "FRIL", |month| vec![last(month, 5)]),
    ("*", "5L", |month| vec![last(month, 5)]),
    ("*", "7L", |month| vec![last(month, 0)]),
    ("*", "MON#1,MON#3", |month| vec![nth(month, 1, 1), nth(month, 1, 3)]),
    ("*", "TUE#1,FRIL", |month| vec![nth(month, 2, 1), last(month, 5)]),
    ("*", "TUE#2,SUN", |month| {
        let sundays = (1..=month.len()).filter(|day| month[day - 1] == 0).map(Some);
        sundays.chain([nth(month, 2, 2)]).collect()
    }),
    // Either of two restricted fields.
    ("L", "FRIL", |month| vec![Some(month.len()), last(month, 5)]),
    ("13", "MON#1", |month| vec![Some(13), nth(month, 1, 1)]),
    // Both, where one begins with a star.
    ("*/2", "MON#1", |month| vec![nth(month, 1, 1).filter(|day| day % 2 == 1)]),
    ("L", "*/6", |month| vec![Some(month.len()).filter(|day| !is_workday(month[day - 1]))]),
];

#[test]
fn counted_days_are_those_of_a_calendar() {
    for (first, last) in [(2024, 2032), (2096, 2104)] {
        let months = calendar(first, last);
        for (day, weekday, pick) in CASES {
            let expected: BTreeSet<Day> = months
                .iter()
                .flat_map(|((year, month), days)| {
                    pick(days).into_iter().flatten().map(|day| (*year, *month, day as u32))
                })
                .filter(|(_, _, day)| *day > 0)
                .collect();
            let cron = Cron::parse(&format!("0 12 {day} * {weekday}")).unwrap();
            let found: Vec<String> = cron
                .after(at(&format!("{first}-01-01T00:00:00Z")))
                .take_while(|moment| *moment < at(&format!("{}-01-01T00:00:00Z", last + 1)))
                .map(|moment| moment.format("%Y-%m-%d %H:%M").to_string())
                .collect();
            let expected: Vec<String> = expected
                .into_iter()
                .map(|(year, month, day)| format!("{year}-{month:02}-{day:02} 12:00"))
                .collect();
            assert_eq!(found, expected, "{day} {weekday} in {first} to {last}");
        }
    }
}
