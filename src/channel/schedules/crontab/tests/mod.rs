//! What expressions mean, against cronie's own parser, tables made by hand and calendars walked through otherwise.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Cron;
use super::field::Field;

/// cronie's own field sets.
mod by_cronie;
/// Field sets worked out by hand.
mod by_hand;
/// `DIFFERENCES.md`.
mod differences;
/// `L`, `W` and `#`.
mod extensions;
/// What an author is told.
mod notes;
/// What is refused, and how.
mod slips;
/// Random expressions over random times.
mod walk;

type Set = BTreeSet<u8>;

/// The sets of minute, hour, day, month and weekday, and whether a day need fit only one of two restricted day fields.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    sets: [Set; 5],
    either: bool,
}

impl Meaning {
    /// As it should be: sets like `0,5-7`, `*` for all, a weekday's 7 for Sunday.
    fn of(texts: [&str; 5], either: bool) -> Self {
        let mut fields = Field::ALL[1..].iter();
        let sets = texts.map(|text| set(*fields.next().unwrap(), text));
        Self::judged(sets, either)
    }

    /// Either or both is all one where a day field allows every day.
    fn judged(sets: [Set; 5], either: bool) -> Self {
        let restricted = sets[2].len() < 31 && sets[4].len() < 7;
        let day_open = sets[2].len() == 31 && sets[4].len() == 7;
        Self { either: either && (restricted || !day_open), sets }
    }

    /// As it is. The expression has five fields, without `L`, `W` and `#`.
    fn read(cron: &Cron) -> Self {
        assert_eq!(cron.seconds.iter().collect::<Vec<_>>(), [0]);
        assert!(cron.days.month_days.is_empty() && cron.days.nth_weekdays.is_empty());
        let values = [cron.minutes, cron.hours, cron.days.dates, cron.months, cron.days.weekdays];
        Self::judged(values.map(|values| values.iter().collect()), cron.days.either)
    }
}

fn set(field: Field, text: &str) -> Set {
    let all = format!("{}-{}", field.first(), field.last());
    let text = if text == "*" { &all } else { text };
    let number = |text: &str| -> u8 { text.parse().unwrap() };
    let items = text.split(',').filter(|item| !item.is_empty()).flat_map(|item| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        number(first)..=number(last)
    });
    items.map(|value| if field == Field::Weekday { value % 7 } else { value }).collect()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The next moments after this one.
fn next(expression: &str, after: &str, number: usize) -> Vec<String> {
    let cron = Cron::parse(expression).unwrap();
    let moments = cron.after(at(after)).take(number);
    moments.map(|moment| moment.format("%Y-%m-%d %H:%M:%S").to_string()).collect()
}
