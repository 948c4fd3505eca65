//! What stands between the commas of a field.

use super::days::{MonthDay, NthWeekday};
use super::error::Fault;
use super::field::Field;
use super::part::Part;
use super::value_set::ValueSet;

/// An item of a field's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `*`, or `?` for a day that is left open.
    Any,
    /// `*/5`
    AnyStep(u8),
    /// `5`
    Value(u8),
    /// `5/15`: from 5 to the field's end.
    From { from: u8, step: u8 },
    /// `1-5`, `1-59/2`. A weekday's may run over the end of the week.
    Range { from: u8, to: u8, step: u8 },
    /// `L`, `L-3`, `LW`, `15W`
    MonthDay(MonthDay),
    /// `MON#1`, `FRIL`
    NthWeekday(NthWeekday),
}

impl Item {
    /// Reads an item.
    pub(super) fn parse(field: Field, part: Part<'_>) -> Result<Self, Fault> {
        refuse_foreign_signs(part)?;
        if let Some((base, step)) = part.split_once('/') {
            return stepped(field, part, base, step);
        }
        if part.text == "*" || part.text == "?" && field.is_of_days() {
            return Ok(Self::Any);
        }
        if part.text.contains('*') {
            return Err(stray_star(field, part));
        }
        if part.text == "?" {
            return Err(Fault::at(part.at, "? stands in the day fields only: write *"));
        }
        if let Some(extension) = extension(field, part)? {
            return Ok(extension);
        }
        match part.split_once('-') {
            Some((from, to)) => range(field, part, from, to),
            None => Ok(Self::Value(field.value(part)?)),
        }
    }

    /// The values that it allows in every month.
    pub(super) fn values(&self, field: Field) -> ValueSet {
        let stepped = |from: u8, to: u8, step: u8| {
            let value = move |value| if field == Field::Weekday { value % 7 } else { value };
            (from..=to).step_by(usize::from(step)).map(value).collect()
        };
        match *self {
            Self::Any => stepped(field.first(), field.last(), 1),
            Self::AnyStep(step) => stepped(field.first(), field.last(), step),
            Self::Value(value) => stepped(value, value, 1),
            Self::From { from, step } => stepped(from, field.last(), step),
            // Saturday to Monday, and 5-0, go over the end of the week.
            Self::Range { from, to, step } => stepped(from, if to < from { to + 7 } else { to }, step),
            Self::MonthDay(_) | Self::NthWeekday(_) => ValueSet::default(),
        }
    }
}

/// Letters, digits and the signs of a crontab are left; any other sign has no meaning in an item.
fn refuse_foreign_signs(part: Part<'_>) -> Result<(), Fault> {
    let known = |sign: char| sign.is_ascii_alphanumeric() || "*?/-#".contains(sign);
    let Some((at, sign)) = part.text.char_indices().find(|(_, sign)| !known(*sign)) else { return Ok(()) };
    let text = part.text;
    Err(Fault::at(
        part.at + at,
        match sign {
            '~' => format!("{text}: random values are not supported: write one value"),
            '+' => format!("{text}: a number has no sign: is {} meant?", text.replace('+', "")),
            ':' => format!("{text}: a time of day is two fields, the minute first: 9:30 is 30 9"),
            _ if sign.is_numeric() => format!("{sign} is none of the digits 0 to 9"),
            _ => format!("{sign} has no meaning here"),
        },
    ))
}

/// A star with something beside it that is no step.
fn stray_star(field: Field, part: Part<'_>) -> Fault {
    let text = part.text;
    let behind = part.strip_prefix('*');
    let before = part.strip_suffix('*');
    let reason = if let Some(step) = behind.filter(|step| step.is_number()) {
        let meant = if step.text == "1" { "is 1 or *" } else { &format!("is */{}", step.text) };
        format!("{text}: {meant} meant?")
    } else if let Some(value) = before.filter(|value| value.is_number()) {
        format!("{text}: is {0} or */{0} meant?", value.text)
    } else if let Some(from) = before.and_then(|before| before.strip_suffix('-')) {
        format!("{text}: is {}-{} meant?", from.text, field.last())
    } else if text.bytes().all(|byte| byte == b'*') {
        format!("{text}: is * meant?")
    } else {
        format!("{text}: a star stands alone or before a step, as in */15")
    };
    Fault::at(part.at, reason)
}

fn stepped(field: Field, part: Part<'_>, base: Part<'_>, step: Part<'_>) -> Result<Item, Fault> {
    let text = part.text;
    if base.text.is_empty() {
        let meant =
            if step.is_number() { format!("is *{text} meant?") } else { "no command stands here".to_owned() };
        return Err(Fault::at(part.at, format!("{text}: {meant}")));
    }
    if step.text.is_empty() {
        return Err(Fault::at(step.at, format!("{text}: a step is missing behind the slash")));
    }
    if !step.is_number() {
        let reason = format!("{text}: one number stands behind the slash, as in */15 or 10-40/15");
        return Err(Fault::at(step.at, reason));
    }
    let step_number: u8 = step.text.parse().unwrap_or(u8::MAX);
    if step_number == 0 {
        return Err(Fault::at(step.at, format!("{text}: a step is 1 or more")));
    }
    match Item::parse(field, base)? {
        Item::Any if base.text == "?" => {
            Err(Fault::at(part.at, format!("{text}: is */{} meant?", step.text)))
        }
        Item::Any => Ok(Item::AnyStep(step_number)),
        Item::Value(from) => {
            let from = if field == Field::Weekday { from % 7 } else { from };
            Ok(Item::From { from, step: step_number })
        }
        Item::Range { from, to, .. } => Ok(Item::Range { from, to, step: step_number }),
        _ => Err(Fault::at(step.at, format!("{text}: a step stands behind a star, a value or a range"))),
    }
}

fn range(field: Field, part: Part<'_>, from: Part<'_>, to: Part<'_>) -> Result<Item, Fault> {
    let text = part.text;
    if from.text.is_empty() {
        let meant = if to.is_number() {
            format!("is {0} or {1}-{0} meant?", to.text, field.first())
        } else {
            "a range has a beginning".to_owned()
        };
        return Err(Fault::at(part.at, format!("{text}: {meant}")));
    }
    if to.text.is_empty() {
        let reason = format!("{text}: is {0} or {0}-{1} meant?", from.text, field.last());
        return Err(Fault::at(part.at, reason));
    }
    if to.text.contains('-') {
        return Err(Fault::at(to.at, format!("{text}: a range has one beginning and one end")));
    }
    let (first, last) = (field.value(from)?, field.value(to)?);
    if last < first && field != Field::Weekday {
        let names = [first, field.last(), field.first(), last].map(|value| field.short(value));
        let [first, end, begin, last] = names;
        let over_the_end = format!("{first}-{end},{begin}-{last}");
        let reason =
            format!("{text} runs backwards: is {last}-{first} meant, or {over_the_end} over the end?");
        return Err(Fault::at(part.at, reason));
    }
    Ok(Item::Range { from: first, to: last, step: 1 })
}

/// One of the forms with `L`, `W` and `#`, which belong to the day fields.
fn extension(field: Field, part: Part<'_>) -> Result<Option<Item>, Fault> {
    let text = part.text;
    if text.contains('#') {
        if field != Field::Weekday {
            return Err(Fault::at(part.at, format!("{text}: # stands in the weekday, as in MON#1")));
        }
        return NthWeekday::parse(part).map(|day| Some(Item::NthWeekday(day)));
    }
    let month_day = part.strip_prefix('L').is_some() || part.strip_suffix('W').is_some();
    let last = part.strip_suffix('L').filter(|day| day.text.is_empty() || Field::Weekday.value(*day).is_ok());
    let stands_in = |place: Field| {
        let reason = format!("{text} stands in the {}, not in the {}", place.name(), field.name());
        Err(Fault::at(part.at, reason))
    };
    match field {
        Field::Day if month_day || last.is_some() => Ok(Some(Item::MonthDay(MonthDay::parse(part)?))),
        Field::Weekday if last.is_some() => Ok(Some(Item::NthWeekday(NthWeekday::parse(part)?))),
        _ if MonthDay::parse(part).is_ok() => stands_in(Field::Day),
        _ if last.is_some() => stands_in(Field::Weekday),
        _ => Ok(None),
    }
}
