//! Days and values in words.

use super::days::{Counted, Days, MonthDay, Nth, NthWeekday};
use super::field::Field;
use super::value_set::ValueSet;

/// `a, b and c`
pub(super) fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The values one by one, the middle of a long list left out.
pub(super) fn each(field: Field, values: ValueSet) -> String {
    let words: Vec<String> = values.iter().map(|value| field.word(value)).collect();
    match &words[..] {
        [first, second, third, _, .., last] if words.len() > 7 => {
            format!("{first}, {second}, {third} … {last}")
        }
        words => joined(words),
    }
}

/// What the day of the month allows.
pub(super) fn dates(days: &Days) -> String {
    let runs: Vec<String> = runs(days.dates)
        .into_iter()
        .flat_map(|(first, last)| match last - first {
            0 => vec![first.to_string()],
            1 => vec![first.to_string(), last.to_string()],
            _ => vec![format!("{first} to {last}")],
        })
        .collect();
    let number = if days.dates.len() == 1 { "day" } else { "days" };
    let plain = (!runs.is_empty()).then(|| format!("{number} {}", joined(&runs)));
    let counted = days.month_days.iter().map(|day| month_day(*day));
    joined(&plain.into_iter().chain(counted).collect::<Vec<_>>())
}

/// What the weekday allows.
pub(super) fn weekdays(days: &Days) -> String {
    let names: Vec<String> = days.weekdays.iter().map(|day| Field::Weekday.word(day)).collect();
    let plain = (!names.is_empty()).then(|| format!("every {}", joined(&names)));
    let counted = days.nth_weekdays.iter().map(|day| nth_weekday(*day));
    joined(&plain.into_iter().chain(counted).collect::<Vec<_>>())
}

/// A day whose date is another one in each month.
pub(super) fn month_day(day: MonthDay) -> String {
    let counted = match day.day {
        Counted::FromFirst(day) => format!("day {day}"),
        Counted::BeforeLast(0) if day.nearest_weekday => {
            return "the last day from Monday to Friday".to_owned();
        }
        Counted::BeforeLast(0) => "the last day".to_owned(),
        Counted::BeforeLast(1) => "the day before the last".to_owned(),
        Counted::BeforeLast(days) => format!("the day that is {days} days before the last"),
    };
    if day.nearest_weekday { format!("the day from Monday to Friday nearest to {counted}") } else { counted }
}

/// One of a month's Mondays, say.
pub(super) fn nth_weekday(day: NthWeekday) -> String {
    let name = Field::Weekday.word(day.weekday);
    match day.nth {
        Nth::Numbered(number) => {
            let ordinals = ["first", "second", "third", "fourth", "fifth"];
            format!("the {} {name} of the month", ordinals[usize::from(number) - 1])
        }
        Nth::Last => format!("the last {name} of the month"),
    }
}

/// Values without a gap between them, as first and last.
fn runs(values: ValueSet) -> Vec<(u8, u8)> {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for value in values.iter() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => runs.push((value, value)),
        }
    }
    runs
}
