//! Tables as lines that a phone can show: WhatsApp's screen has room for about thirty letters, and no columns.
//!
//! A table of two columns is a line per row, `*Monday*: 12°`. A wider one is a block per row, each value behind its column's name.

use std::borrow::Cow;

use crate::inlines::{Emphasis, Run, RunKind, Style};
use crate::line;

/// A table in the making.
pub(crate) struct Table<'a> {
    pub(crate) start: usize,
    rows: Vec<Vec<Vec<Run<'a>>>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(start: usize) -> Self {
        Self { start, rows: Vec::new() }
    }

    /// Begins a row; the first is the head.
    pub(crate) fn begin_row(&mut self) {
        self.rows.push(Vec::new());
    }

    pub(crate) fn add_cell(&mut self, mut runs: Vec<Run<'a>>) {
        for run in &mut runs {
            if matches!(run.kind, RunKind::Break | RunKind::Edge) {
                run.kind = RunKind::Text;
                run.text = Cow::Borrowed(", ");
            }
        }
        if let Some(row) = self.rows.last_mut() {
            row.push(runs);
        }
    }

    /// The table's lines; an empty one is a gap.
    pub(crate) fn lines(self) -> Vec<String> {
        let Some((head, rows)) = self.rows.split_first() else { return Vec::new() };
        let mut lines = Vec::new();
        match head.len() {
            0 | 1 => {
                lines.push(emphasised(head.first(), Some(Emphasis::Bold)));
                lines.extend(rows.iter().map(|row| emphasised(row.first(), None)));
            }
            2 => {
                lines.push(pair(head, Emphasis::Italic, Some(Emphasis::Italic)));
                lines.extend(rows.iter().map(|row| pair(row, Emphasis::Bold, None)));
            }
            _ => {
                for row in rows {
                    if !lines.is_empty() {
                        lines.push(String::new());
                    }
                    lines.extend(block(head, row));
                }
                if rows.is_empty() {
                    lines.extend(head.iter().map(|name| emphasised(Some(name), Some(Emphasis::Bold))));
                }
            }
        }
        lines
    }
}

/// A row of two columns. Emphasis that covers both is one.
fn pair(row: &[Vec<Run<'_>>], name: Emphasis, value: Option<Emphasis>) -> String {
    let (first, second) = (row.first(), row.get(1));
    let colon = if is_empty(first) || is_empty(second) || ends_with_colon(first) { " " } else { ": " };
    if Some(name) == value {
        let mut runs = styled(first, Some(name));
        runs.push(Run {
            kind: RunKind::Text,
            text: Cow::Borrowed(colon),
            style: Style::default().with(name),
        });
        runs.extend(styled(second, value));
        return written(&runs);
    }
    format!("{}{colon}{}", emphasised(first, Some(name)), emphasised(second, value)).trim().to_owned()
}

/// A row of a wider table: its first column is its title.
fn block(head: &[Vec<Run<'_>>], row: &[Vec<Run<'_>>]) -> Vec<String> {
    let mut lines = Vec::new();
    for (column, (name, value)) in head.iter().zip(row).enumerate() {
        if is_empty(Some(value)) {
            continue;
        }
        let emphasis = (column == 0).then_some(Emphasis::Bold);
        let mut runs = Vec::new();
        if !is_empty(Some(name)) {
            let colon = if ends_with_colon(Some(name)) { " " } else { ": " };
            runs = styled(Some(name), emphasis);
            let style = emphasis.map_or_else(Style::default, |emphasis| Style::default().with(emphasis));
            runs.push(Run { kind: RunKind::Text, text: Cow::Borrowed(colon), style });
        }
        runs.extend(styled(Some(value), emphasis));
        lines.push(written(&runs));
    }
    lines
}

fn emphasised(cell: Option<&Vec<Run<'_>>>, emphasis: Option<Emphasis>) -> String {
    written(&styled(cell, emphasis))
}

fn styled<'a>(cell: Option<&Vec<Run<'a>>>, emphasis: Option<Emphasis>) -> Vec<Run<'a>> {
    let mut runs = cell.cloned().unwrap_or_default();
    if let Some(emphasis) = emphasis {
        for run in &mut runs {
            run.style = run.style.iter().fold(Style::default().with(emphasis), Style::with);
        }
    }
    runs
}

fn written(runs: &[Run<'_>]) -> String {
    let mut text = String::new();
    line::write(runs, &mut text);
    text.trim().to_owned()
}

fn is_empty(cell: Option<&Vec<Run<'_>>>) -> bool {
    cell.is_none_or(|runs| runs.iter().all(|run| run.text.trim().is_empty()))
}

fn ends_with_colon(cell: Option<&Vec<Run<'_>>>) -> bool {
    cell.and_then(|runs| runs.last()).is_some_and(|run| run.text.trim_end().ends_with([':', '：', '?']))
}
