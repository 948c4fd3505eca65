//! A field as it was written: items between commas.

use super::error::Fault;
use super::field::Field;
use super::item::Item;
use super::part::Part;
use super::value_set::ValueSet;

/// A field's items.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) field: Field,
    /// As it was written.
    pub(super) text: String,
    /// With the text of each.
    pub(super) written: Vec<(String, Item)>,
}

impl List {
    /// Reads a field.
    pub(super) fn parse(field: Field, part: Part<'_>) -> Result<Self, Fault> {
        if let Some(empty) = part.split(',').find(|item| item.text.is_empty()) {
            let items: Vec<&str> =
                part.split(',').map(|item| item.text).filter(|text| !text.is_empty()).collect();
            let meant =
                if items.is_empty() { String::new() } else { format!(": is {} meant?", items.join(",")) };
            return Err(Fault::at(empty.at, format!("{}: an item of the list is empty{meant}", part.text)));
        }
        let alone = !part.text.contains(',');
        let mut written = Vec::new();
        for item in part.split(',') {
            let read = Item::parse(field, item)?;
            refuse_useless_step(field, item, &read, alone)?;
            written.push((item.text.to_owned(), read));
        }
        Ok(Self { field, text: part.text.to_owned(), written })
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.written.iter().map(|(_, item)| item)
    }

    /// The values that it allows in every month.
    pub(super) fn values(&self) -> ValueSet {
        self.items().map(|item| item.values(self.field)).fold(ValueSet::default(), ValueSet::union)
    }

    /// As crontab has it, a day field that begins with a star, also as `*/2`, leaves the day to the other one: then a day must fit both.
    pub(super) fn begins_with_star(&self) -> bool {
        self.text.starts_with(['*', '?'])
    }

    /// Whether it allows every value.
    pub(super) fn is_open(&self) -> bool {
        self.values() == Item::Any.values(self.field)
    }
}

/// A step that reaches no second value is a slip: `*/60` is minute 0 alone, and `*/90` is not every 90 minutes.
///
/// Beside other items of a day field such a star says that a day must fit both fields (`*/100,1-7 * MON`), and has its use.
fn refuse_useless_step(field: Field, part: Part<'_>, item: &Item, alone: bool) -> Result<(), Fault> {
    let step = match item {
        Item::AnyStep(step) if alone || !field.is_of_days() => *step,
        Item::From { step, .. } => *step,
        _ => return Ok(()),
    };
    let values = item.values(field);
    let Some(value) = values.iter().next().filter(|_| values.len() == 1) else { return Ok(()) };
    let number = part.text.split_once('/').map_or("", |(_, number)| number);
    let (unit, size) = match field {
        Field::Second => ("s", 60),
        Field::Minute => ("m", 60),
        Field::Hour => ("h", 24),
        Field::Day | Field::Month | Field::Weekday => ("", u8::MAX),
    };
    let every = match field {
        _ if step <= size => String::new(),
        _ => format!(", or every = \"{number}{unit}\" in place of cron"),
    };
    let only = format!("{}: that is {} {} alone", part.text, field.name(), field.word(value));
    Err(Fault::at(part.at, format!("{only}: write {}{every}", field.short(value))))
}
