//! How a command writes its answer: a table or lines for a person, JSON for a program.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

/// Why a command has no answer.
pub(crate) const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// Whom an action's audit row names.
pub(crate) fn actor() -> String {
    std::env::var("USER").unwrap_or_else(|_| "command line".to_owned())
}

/// Writes the answer. Whoever reads it may have had enough, `head` say; that is no error.
pub(crate) fn print(
    as_json: bool,
    answer: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let answer = if as_json { serde_json::to_string_pretty(answer)? + "\n" } else { text() };
    match std::io::stdout().write_all(answer.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes the answer, a line for each value.
pub(crate) fn print_lines(as_json: bool, answer: &impl Serialize) -> anyhow::Result<()> {
    let value = serde_json::to_value(answer)?;
    print(as_json, &value, || lines(&value, ""))
}

/// A line for each value, named by its path.
pub(crate) fn lines(value: &Value, path: &str) -> String {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| lines(value, &join(name))).collect(),
        Value::Array(items) => {
            (1..).zip(items).map(|(number, item): (u32, _)| lines(item, &join(&number.to_string()))).collect()
        }
        Value::String(text) => format!("{path:<30} {text}\n"),
        Value::Null => format!("{path:<30} -\n"),
        other => format!("{path:<30} {other}\n"),
    }
}

/// A moment in RFC 3339, in UTC and whole seconds.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Columns as wide as their widest cell.
pub(crate) fn table<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(head.iter().map(|cell| (*cell).to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: String =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}
