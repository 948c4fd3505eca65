//! Random expressions over random times, against a walk that asks of each second or minute whether it fits.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use proptest::prelude::*;

use super::Cron;

/// A field's text. Steps reach a second value, and only weekdays run over their end.
fn field(first: u32, last: u32, week: bool) -> impl Strategy<Value = String> {
    let value = first..=last;
    let step = 1..=(last - first);
    let range = (value.clone(), value.clone())
        .prop_map(move |(from, to)| if week { (from, to) } else { (from.min(to), from.max(to)) });
    let item = prop_oneof![
        4 => value.clone().prop_map(|value| value.to_string()),
        2 => range.clone().prop_map(|(from, to)| format!("{from}-{to}")),
        1 => (range, step.clone()).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
        1 => step.prop_map(|step| format!("*/{step}")),
        1 => (value, 1..=last).prop_filter_map("reaches a second value", move |(from, step)| {
            (from + step <= last).then(|| format!("{from}/{step}"))
        }),
    ];
    prop_oneof![
        3 => Just("*".to_owned()),
        4 => item.clone(),
        2 => prop::collection::vec(item, 2..4).prop_map(|items| items.join(",")),
    ]
}

fn expression(with_seconds: bool) -> impl Strategy<Value = String> {
    let second = if with_seconds { field(0, 59, false).boxed() } else { Just(String::new()).boxed() };
    let fields = (
        second,
        field(0, 59, false),
        field(0, 23, false),
        field(1, 31, false),
        field(1, 12, false),
        field(0, 6, true),
    );
    fields.prop_map(|(second, minute, hour, day, month, weekday)| {
        format!("{second} {minute} {hour} {day} {month} {weekday}").trim_start().to_owned()
    })
}

/// From 2020 to 2109.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (1_577_836_800_i64..4_400_000_000).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

/// Whether a value fits a field's text. It counts how far the value is from a range's beginning and builds no set.
fn fits_field(text: &str, value: u32, first: u32, size: u32) -> bool {
    text.split(',').any(|item| {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let number = |text: &str| text.parse::<u32>().unwrap();
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if range == "*" => (first, first + size - 1),
            None if step.is_some() => (number(range), first + size - 1),
            None => (number(range), number(range)),
        };
        let away = (value + size - from) % size;
        away <= (to + size - from) % size && away.is_multiple_of(step.map_or(1, number))
    })
}

fn fits_day(day: &str, weekday: &str, moment: DateTime<Utc>) -> bool {
    let by_day = fits_field(day, moment.day(), 1, 31);
    let by_weekday = fits_field(weekday, moment.weekday().num_days_from_sunday(), 0, 7);
    match day.starts_with('*') || weekday.starts_with('*') {
        true => by_day && by_weekday,
        false => by_day || by_weekday,
    }
}

fn fits(expression: &str, moment: DateTime<Utc>) -> bool {
    let mut fields: Vec<&str> = expression.split(' ').collect();
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    fits_field(fields[0], moment.second(), 0, 60)
        && fits_field(fields[1], moment.minute(), 0, 60)
        && fits_field(fields[2], moment.hour(), 0, 24)
        && fits_field(fields[4], moment.month(), 1, 12)
        && fits_day(fields[3], fields[5], moment)
}

/// The moments in `(after, after + window]`, found by asking each.
fn walked(expression: &str, after: DateTime<Utc>, window: TimeDelta, step: TimeDelta) -> Vec<DateTime<Utc>> {
    let times = std::iter::successors(Some(after + step), |moment| Some(*moment + step));
    times.take_while(|moment| *moment <= after + window).filter(|moment| fits(expression, *moment)).collect()
}

fn found(expression: &str, after: DateTime<Utc>, window: TimeDelta) -> Vec<DateTime<Utc>> {
    let cron = Cron::parse(expression).unwrap();
    cron.after(after).take_while(|moment| *moment <= after + window).collect()
}

/// A step of a day field alone that reaches one value is refused; the generator makes some.
fn is_taken(expression: &str) -> bool {
    Cron::parse(expression).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn minutes_are_those_that_fit(expression in expression(false), after in moment()) {
        prop_assume!(is_taken(&expression));
        let after = after.with_second(0).unwrap();
        let window = TimeDelta::days(3);

        let walked = walked(&expression, after, window, TimeDelta::minutes(1));

        prop_assert_eq!(found(&expression, after, window), walked);
    }

    #[test]
    fn seconds_are_those_that_fit(expression in expression(true), after in moment()) {
        prop_assume!(is_taken(&expression));
        let window = TimeDelta::hours(1);

        let walked = walked(&expression, after, window, TimeDelta::seconds(1));

        prop_assert_eq!(found(&expression, after, window), walked);
    }

    #[test]
    fn days_are_those_that_fit(day in field(1, 31, false), month in field(1, 12, false), weekday in field(0, 6, true), after in moment()) {
        let expression = format!("30 17 {day} {month} {weekday}");
        prop_assume!(is_taken(&expression));
        let after = after.date_naive().and_hms_opt(17, 30, 0).unwrap().and_utc();
        let window = TimeDelta::days(9 * 366);

        let walked = walked(&expression, after, window, TimeDelta::days(1));

        prop_assert_eq!(found(&expression, after, window), walked);
    }

    /// Whatever is written, an answer comes, and the place that it names is in the text.
    #[test]
    fn any_text_gets_an_answer(text in "[0-9*/,#LWa-zA-Z?~ \\-]{0,24}") {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert!(cron.per_day() >= 1);
            prop_assert!(cron.notes().iter().all(|note| !note.is_empty()));
        }
    }
}
