//! How a command writes its answer: a table or lines for a person, JSON for a program.

use std::io::{IsTerminal as _, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::ordered::Ordered;

/// Why a command has no answer.
pub(crate) const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// Whom an action's audit row names.
pub(crate) fn actor() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("command line (user id {})", rustix::process::getuid().as_raw()))
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
    let answer = Ordered::of(answer)?;
    print(as_json, &answer, || answer.lines(""))
}

/// Asks the person at the terminal before something is done that cannot be undone. Without a terminal only `--yes` says yes.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    anyhow::ensure!(std::io::stdin().is_terminal(), "{question} Nothing was done: say --yes if it is meant");
    ask(question)
}

/// Asks a person at the terminal before much is done. A program has said what it means.
pub(crate) fn confirm_at_terminal(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    ask(question)
}

fn ask(question: &str) -> anyhow::Result<()> {
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    anyhow::ensure!(["y", "yes"].contains(&answer.as_str()), "nothing was done");
    Ok(())
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
