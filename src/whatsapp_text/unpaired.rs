//! Pairs of asterisks that CommonMark leaves alone, since a quotation mark or a blank stands on the wrong side: `中文**“引用”**中文`, `**Note: **call`.
//! Authors mean bold, and nobody wants to read the asterisks.

use std::borrow::Cow;

use crate::inlines::{Emphasis, Inlines, Run, RunKind, Style};

const SIGN: &str = "**";

/// Makes what stands between such a pair bold.
pub(crate) fn pair(inlines: &mut Inlines<'_>) {
    if !inlines.runs.iter().any(|run| run.kind == RunKind::Text && run.text.contains('*')) {
        return;
    }
    let runs = split(std::mem::take(&mut inlines.runs));
    inlines.runs = resolve(runs);
}

/// Gives each row of asterisks a run of its own; the parser may have cut it.
fn split(runs: Vec<Run<'_>>) -> Vec<Run<'_>> {
    let mut parts: Vec<Run<'_>> = Vec::with_capacity(runs.len() + 4);
    for run in runs {
        if run.kind != RunKind::Text || !run.text.contains('*') {
            parts.push(run);
            continue;
        }
        let mut rest = &*run.text;
        while !rest.is_empty() {
            let is_sign = rest.starts_with('*');
            let length = rest.find(|char| (char == '*') != is_sign).unwrap_or(rest.len());
            let (part, after) = rest.split_at(length);
            rest = after;
            match parts.last_mut() {
                Some(last)
                    if is_sign
                        && last.kind == RunKind::Text
                        && last.style == run.style
                        && last.text.ends_with('*') =>
                {
                    last.text.to_mut().push_str(part);
                }
                _ => parts.push(Run {
                    kind: RunKind::Text,
                    text: Cow::Owned(part.to_owned()),
                    style: run.style,
                }),
            }
        }
    }
    parts
}

fn resolve(mut runs: Vec<Run<'_>>) -> Vec<Run<'_>> {
    let mut open: Option<usize> = None;
    let mut signs = Vec::new();
    for at in 0..runs.len() {
        if matches!(runs[at].kind, RunKind::Break | RunKind::Edge) {
            open = None;
        }
        if runs[at].kind != RunKind::Text || runs[at].text != SIGN {
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| runs[before].text.chars().next_back());
        let after = runs.get(at + 1).and_then(|run| run.text.chars().next());
        let is_blank = |char: Option<char>| char.is_none_or(char::is_whitespace);
        match open {
            Some(opened) if at > opened + 1 => {
                signs.push((opened, at));
                open = None;
            }
            // It opens before words, and not within one: there it is an operator.
            _ if !is_blank(after) && !before.is_some_and(|char| char.is_ascii_alphanumeric()) => {
                open = Some(at)
            }
            _ => open = None,
        }
    }
    for &(opened, closed) in &signs {
        for run in &mut runs[opened + 1..closed] {
            // The outermost: the signs inside were paired before.
            run.style = run
                .style
                .without(Emphasis::Bold)
                .iter()
                .fold(Style::default().with(Emphasis::Bold), Style::with);
        }
        for sign in [opened, closed] {
            runs[sign].text = Cow::Borrowed("");
        }
    }
    runs.retain(|run| !run.text.is_empty() || matches!(run.kind, RunKind::Break | RunKind::Edge));
    runs
}
