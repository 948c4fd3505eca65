//! From TOML to a definition, and from keys back to their lines.

use serde::de::DeserializeOwned;
use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::durations;
use crate::schedules::definition::Definition;

/// The keys that are durations.
const DURATIONS: [&str; 4] = ["misfire_grace", "jitter", "expires", "every"];

/// What could be read of a file, and what is wrong with the rest.
pub(super) struct Read {
    /// `None`: so much is wrong that no definition is left. Otherwise it lacks what is wrong.
    pub(super) definition: Option<Definition>,
    /// Where, from line 1, and what.
    pub(super) wrong: Vec<(Option<usize>, String)>,
}

/// Reads a file's text. What is wrong is taken out, and the rest read again, until nothing is.
pub(super) fn read(text: &str) -> Read {
    let mut text = text.to_owned();
    let mut wrong = Vec::new();
    for (key, reason) in wrong_durations(&text) {
        wrong.push((line_of(&text, &[&key]), reason));
        let blanked = key_span(&text, &key).is_some_and(|span| blank(&mut text, span));
        if !blanked {
            return Read { definition: None, wrong };
        }
    }
    read_as(text, wrong)
}

fn read_as(mut text: String, mut wrong: Vec<(Option<usize>, String)>) -> Read {
    let is_whole = wrong.is_empty();
    let mut are_taken_out = !is_whole;
    loop {
        let error = match from_toml::<Definition>(&text) {
            Ok(definition) => return Read { definition: Some(definition), wrong },
            Err(error) => error,
        };
        let at = error.span().map(|span| span.start);
        // What was taken out is no error a second time.
        if !(are_taken_out && error.message().starts_with("missing field")) {
            wrong.push((at.map(|at| line_at(&text, at)), with_what_is_meant(error.message())));
        }
        // The place of what the file lacks is its beginning.
        if let Some(definition) = filled_up(&text) {
            return Read { definition: Some(definition), wrong };
        }
        let entry = at.and_then(|at| innermost(&text, at));
        if !entry.is_some_and(|span| blank(&mut text, span)) {
            return Read { definition: None, wrong };
        }
        are_taken_out = true;
    }
}

/// A definition with something harmless for each field that is missing, so that the rest can be judged; it never fires, since what is missing is an error.
/// `None`: more is wrong than that.
fn filled_up(text: &str) -> Option<Definition> {
    let mut table: Table = text.parse().ok()?;
    let harmless: Table =
        "audience = { everyone = true }\ncontent = { message = \"-\" }\ntimezone = \"UTC\"".parse().ok()?;
    for (name, value) in harmless {
        table.entry(name).or_insert(value);
    }
    table.try_into().ok()
}

/// Fields that people write where there are none, and what is probably meant.
const MEANT: [(&[&str], &str); 4] = [
    (&["plan", "user", "users", "everyone", "except_users"], "is `audience = { NAME = … }` meant?"),
    (
        &["text", "body", "message", "prompt"],
        "is `content = { message = \"…\" }` or `{ prompt = \"…\" }` meant?",
    ),
    (&["tz", "zone", "time_zone"], "is `timezone` meant?"),
    (&["schedule", "crontab", "when"], "is `cron`, `at` or `every` meant?"),
];

/// What is wrong, and where a field is unknown the one that is probably meant. Without that the list of all that are known follows.
fn with_what_is_meant(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let Some((name, _)) = rest.split_once('`') else { return message.to_owned() };
    let meant = MEANT.iter().find(|(names, _)| names.contains(&name));
    meant.map_or_else(
        || message.to_owned(),
        |(_, meant)| format!("unknown field `{name}`; {}", meant.replace("NAME", name)),
    )
}

fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str(text)
}

/// The line, from 1, that this byte is in.
fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where a key stands, or the innermost of the tables that it should be in.
pub(super) fn line_of(text: &str, key: &[&str]) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let (mut table, mut line) = (Some(file.get_ref()), None);
    for name in key {
        let Some((name, value)) = table?.iter().find(|(known, _)| known.get_ref() == name) else { break };
        line = Some(line_at(text, name.span().start));
        table = value.get_ref().as_table();
        if table.is_none() {
            break;
        }
    }
    line
}

/// The bytes of a key of the file's first table and its value.
fn key_span(text: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let (name, value) = file.get_ref().iter().find(|(name, _)| name.get_ref() == key)?;
    Some(name.span().start..value.span().end)
}

/// The bytes of the innermost `key = value` that holds this byte; a table within one line is one value.
fn innermost(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let mut table: &DeTable<'_> = file.get_ref();
    loop {
        let holds = |(name, value): &(&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| -> bool {
            let name: &toml::Spanned<std::borrow::Cow<'_, str>> = name;
            (name.span().start.min(value.span().start)..name.span().end.max(value.span().end)).contains(&at)
                || (value.get_ref().as_table().is_some_and(|inner| reaches(inner, at)))
        };
        let (name, value) = table.iter().find(holds)?;
        match value.get_ref().as_table() {
            Some(inner) if reaches(inner, at) && !text[value.span()].starts_with('{') => table = inner,
            Some(_) if !text[value.span()].starts_with('{') => return None,
            _ => return Some(name.span().start..value.span().end),
        }
    }
}

/// Whether a table has an entry at this byte.
fn reaches(table: &DeTable<'_>, at: usize) -> bool {
    table.iter().any(|(name, value)| {
        (name.span().start..value.span().end.max(name.span().end)).contains(&at)
            || value.get_ref().as_table().is_some_and(|inner| reaches(inner, at))
    })
}

/// Takes these bytes out of a text, whose lines stay. False, and nothing is taken out: the rest would be no TOML.
fn blank(text: &mut String, span: std::ops::Range<usize>) -> bool {
    let mut bytes = text.clone().into_bytes();
    bytes[span].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    match String::from_utf8(bytes) {
        Ok(rest) if rest != *text && DeTable::parse(&rest).is_ok() => {
            *text = rest;
            true
        }
        _ => false,
    }
}

/// The keys that should be durations and are none, and why. Files that are not TOML have none; they are told of otherwise.
fn wrong_durations(text: &str) -> Vec<(String, String)> {
    let file: Table = text.parse().unwrap_or_default();
    let reason = |key: &str, value: &toml::Value| {
        let renamed = durations::renamed(key, value).filter(|now| DURATIONS.contains(&now.name));
        match renamed {
            Some(now) => Some(format!("{key} = {value} is now {now}")),
            None if DURATIONS.contains(&key) => {
                durations::check(value).err().map(|why| format!("{key} is {value}; {why}"))
            }
            None => None,
        }
    };
    file.iter().filter_map(|(key, value)| Some((key.clone(), reason(key, value)?))).collect()
}
