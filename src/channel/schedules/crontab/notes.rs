//! What an author should know about an expression that is right, but perhaps not what was meant.

use super::days::{Nth, NthWeekday};
use super::field::Field;
use super::item::Item;
use super::list::List;
use super::words;
use super::{Cron, Days};

impl Cron {
    /// Sentences for an author: where crontab's meaning surprises, and how a form is read that crontab itself refuses.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.written.with_seconds {
            notes.push(
                "six fields: the first is the second, then minute, hour, day, month and weekday".to_owned(),
            );
        }
        for list in &self.written.lists {
            for (text, item) in &list.written {
                notes.extend(reading(list.field, text, item));
            }
            notes.extend(star_in_list(list));
            notes.extend(uneven(list, self.is_open_below(list.field)));
        }
        notes.extend(self.both_day_fields());
        notes.extend(self.left_out_months());
        notes.extend(self.plain_beside_nth());
        notes.extend(self.numbered_weekdays());
        notes
    }

    fn list(&self, field: Field) -> &List {
        &self.written.lists[field as usize]
    }

    /// Whether all fields after this one allow everything.
    fn is_open_below(&self, field: Field) -> bool {
        self.written.lists[field as usize + 1..].iter().all(List::is_open)
    }

    /// How the two day fields go together, where both restrict the day.
    fn both_day_fields(&self) -> Option<String> {
        let (day, weekday) = (self.list(Field::Day), self.list(Field::Weekday));
        let (dates, weekdays) = (words::dates(&self.days), words::weekdays(&self.days));
        if self.days.either {
            let first = nth_of_week(&self.days, &self.list(Field::Weekday).text);
            let instead = first.map_or(String::new(), |(nth, meaning)| {
                format!("; for {meaning} write {nth} and * for the day")
            });
            return Some(format!(
                "{} * {}: a day need fit only one of the two day fields: on {dates} and on {weekdays}{instead}",
                day.text, weekday.text
            ));
        }
        let restricts = |list: &List| !list.is_open();
        let star = if day.begins_with_star() { day } else { weekday };
        (restricts(day) && restricts(weekday)).then(|| {
            format!(
                "{} * {}: {} begins with a star, so a day must fit both day fields: {dates}, if it is also {weekdays}",
                day.text, weekday.text, star.text
            )
        })
    }

    /// Months that have none of the days.
    fn left_out_months(&self) -> Option<String> {
        let day = self.list(Field::Day);
        let least = self.days.dates.iter().next()?;
        let plain = self.days.month_days.is_empty() && self.list(Field::Weekday).is_open();
        if !plain || least < 29 || self.never_due {
            return None;
        }
        let lacks = |month: &u8| match month {
            2 => true,
            4 | 6 | 9 | 11 => least > 30,
            _ => false,
        };
        let months: Vec<String> =
            self.months.iter().filter(lacks).map(|month| Field::Month.word(month)).collect();
        if months.is_empty() {
            return None;
        }
        let have = if months.len() == 1 { "has" } else { "have" };
        let leap = if least == 29 { " but in a leap year" } else { "" };
        let months = words::joined(&months);
        Some(format!("{}: {months} {have} no such day{leap}; the last day of every month is L", day.text))
    }

    /// Where six fields are usual, in Quartz, Sunday is 1.
    fn numbered_weekdays(&self) -> Option<String> {
        let list = self.list(Field::Weekday);
        let numbers =
            list.written.iter().any(|(text, _)| text.starts_with(|sign: char| sign.is_ascii_digit()));
        let days = words::weekdays(&self.days);
        (self.written.with_seconds && numbers)
            .then(|| format!("{}: {days}, since Sunday is 0 and 7", list.text))
    }

    /// `MON#1,3` is the first Monday and every Wednesday.
    fn plain_beside_nth(&self) -> Option<String> {
        let list = self.list(Field::Weekday);
        let numbered = |(text, item): &(String, Item)| match item {
            Item::NthWeekday(NthWeekday { nth: Nth::Numbered(_), .. }) => Some(text.clone()),
            _ => None,
        };
        let number =
            list.written.iter().find(|(text, _)| matches!(text.as_str(), "1" | "2" | "3" | "4" | "5"))?;
        let nth = list.written.iter().find_map(numbered)?;
        let (name, _) = nth.split_once('#')?;
        let day = Field::Weekday.word(number.0.parse().ok()?);
        Some(format!("{}: {1} is every {day}; for another {name} write {name}#{1}", list.text, number.0))
    }
}

/// How an item is read that crontab refuses, and what a rare one comes to.
fn reading(field: Field, text: &str, item: &Item) -> Option<String> {
    let values = item.values(field);
    match item {
        Item::From { .. } => Some(format!("{text} ({}): {}", field.name(), words::each(field, values))),
        Item::Range { from, to, .. } if to < from => {
            Some(format!("{text} goes over the end of the week: {}", words::each(field, values)))
        }
        Item::Range { step, .. } if *step > 1 && values.len() == 1 => {
            Some(format!("{text} ({}): that is {} alone", field.name(), words::each(field, values)))
        }
        Item::MonthDay(day) => Some(format!("{text}: {}", words::month_day(*day))),
        Item::NthWeekday(day) => {
            let fifth = format!(", in months that have five; the last one is {}L", field.short(day.weekday));
            let fifth = if day.nth == Nth::Numbered(5) { fifth } else { String::new() };
            Some(format!("{text}: {}{fifth}", words::nth_weekday(*day)))
        }
        _ => None,
    }
}

/// `5,*` is every minute.
fn star_in_list(list: &List) -> Option<String> {
    let star = list.written.len() > 1 && list.items().any(|item| *item == Item::Any);
    star.then(|| format!("{}: with a star in the list it is every {}", list.text, list.field.name()))
}

/// A step that does not go evenly into its field.
fn uneven(list: &List, open_below: bool) -> Option<String> {
    let [(text, Item::AnyStep(step) | Item::From { step, .. })] = &list.written[..] else { return None };
    let field = list.field;
    let values: Vec<u8> = list.values().iter().collect();
    let (first, last) = (*values.first()?, *values.last()?);
    let gap = field.last() - last + 1 + first - field.first();
    if gap == *step || *step == 1 {
        return None;
    }
    let (unit, whole) = match field {
        Field::Second => ("s", "minute"),
        Field::Minute => ("m", "hour"),
        Field::Hour => ("h", "day"),
        Field::Day => {
            return Some(format!(
                "{text}: days begin anew with every month, so the step from its last one is another"
            ));
        }
        Field::Month => ("", "year"),
        Field::Weekday => ("", "week"),
    };
    let evenly = if open_below && !unit.is_empty() {
        format!("; evenly it is every = \"{step}{unit}\" in place of cron")
    } else {
        String::new()
    };
    let (begin, end) = (field.word(first), field.word(last));
    Some(format!(
        "{text} begins anew with every {whole}: from {end} to {begin} the step is {gap}, not {step}{evenly}"
    ))
}

/// Seven days that begin a month's first, second, third or fourth week hold each weekday once: `1-7` with `MON` was meant to be the first Monday.
fn nth_of_week(days: &Days, weekday: &str) -> Option<(String, String)> {
    let first = days.dates.iter().next()?;
    let week = days.dates.len() == 7 && days.dates.iter().eq(first..first + 7) && first % 7 == 1;
    let one_day = days.weekdays.len() == 1 && days.nth_weekdays.is_empty() && days.month_days.is_empty();
    if !week || !one_day {
        return None;
    }
    let nth = NthWeekday { weekday: days.weekdays.iter().next()?, nth: Nth::Numbered(first / 7 + 1) };
    Some((format!("{weekday}#{}", first / 7 + 1), format!("{} alone", words::nth_weekday(nth))))
}
