//! One line with its signs. WhatsApp takes a sign only at the edge of a word, with no white space behind the opening one and before the closing one;
//! where that cannot be had, the words go without.

use crate::escapes;
use crate::inlines::{Emphasis, Run, RunKind, Style};

/// A part of a run: words, or the white space around them, which no sign may touch.
pub(crate) struct RunPiece<'a> {
    pub(crate) text: &'a str,
    pub(crate) kind: RunKind,
    is_space: bool,
    pub(crate) style: Style,
}

/// Writes a line.
pub(crate) fn write(runs: &[Run<'_>], out: &mut String) {
    let mut pieces = pieces(runs);
    escapes::disarm(&mut pieces);
    for emphasis in [Emphasis::Bold, Emphasis::Italic, Emphasis::Strike] {
        settle(&mut pieces, emphasis);
    }
    let mut open: Vec<Emphasis> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut style = piece.style;
        if piece.is_space {
            // White space opens nothing, and keeps open only what goes on behind it.
            let next = pieces[at + 1..]
                .iter()
                .find(|next| !next.is_space)
                .map(|next| next.style)
                .unwrap_or_default();
            style = style
                .iter()
                .filter(|kind| next.has(*kind) && open.contains(kind))
                .fold(Style::default(), Style::with);
        }
        let kept = open.iter().copied().zip(style.iter()).take_while(|(open, wanted)| open == wanted).count();
        for emphasis in open.drain(kept..).rev() {
            out.push(emphasis.sign());
        }
        if !piece.is_space {
            for emphasis in style.iter().skip(kept) {
                out.push(emphasis.sign());
                open.push(emphasis);
            }
        }
        push_text(piece, out);
    }
    for emphasis in open.iter().rev() {
        out.push(emphasis.sign());
    }
}

fn pieces<'a>(runs: &'a [Run<'_>]) -> Vec<RunPiece<'a>> {
    let mut pieces = Vec::with_capacity(runs.len());
    for run in runs {
        let mut push = |text: &'a str, is_space| {
            if !text.is_empty() {
                pieces.push(RunPiece { text, kind: run.kind, is_space, style: run.style });
            }
        };
        if run.style == Style::default() || run.kind == RunKind::Code {
            let is_space = run.kind != RunKind::Code && run.text.trim().is_empty();
            push(&run.text, is_space);
            continue;
        }
        let words = run.text.trim_start();
        let (before, words) = run.text.split_at(run.text.len() - words.len());
        let (words, after) = words.split_at(words.trim_end().len());
        push(before, true);
        push(words, false);
        push(after, true);
    }
    pieces
}

/// Takes one kind of emphasis from where its signs would not count.
fn settle(pieces: &mut [RunPiece<'_>], emphasis: Emphasis) {
    let mut at = 0;
    while at < pieces.len() {
        if !pieces[at].style.has(emphasis) {
            at += 1;
            continue;
        }
        let end = pieces[at..]
            .iter()
            .position(|piece| !piece.style.has(emphasis))
            .map_or(pieces.len(), |length| at + length);
        let touches = |piece: &RunPiece<'_>| piece.is_space || piece.kind == RunKind::Url;
        let (mut first, mut last) = (at, end);
        while first < last && touches(&pieces[first]) {
            first += 1;
        }
        while last > first && touches(&pieces[last - 1]) {
            last -= 1;
        }
        let counts =
            first < last && is_at_edges(pieces, first, last) && !has_own_sign(&pieces[first..last], emphasis);
        for (index, piece) in pieces.iter_mut().enumerate().take(end).skip(at) {
            if !counts || index < first || index >= last {
                piece.style = piece.style.without(emphasis);
            }
        }
        at = end;
    }
}

/// Whether the words before and behind are others.
fn is_at_edges(pieces: &[RunPiece<'_>], first: usize, last: usize) -> bool {
    let before = pieces[..first].last().and_then(|piece| shown(piece).chars().next_back());
    let after = pieces.get(last).and_then(|piece| shown(piece).chars().next());
    !is_in_word(before) && !is_in_word(after)
}

/// How a piece looks to a sign beside it.
pub(crate) fn shown<'a>(piece: &RunPiece<'a>) -> &'a str {
    if piece.kind == RunKind::Code { "`" } else { piece.text }
}

/// Whether a sign beside this would be inside a word. Scripts that put no blanks between words have no such inside.
pub(crate) fn is_in_word(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(|char| char.is_alphanumeric() && !is_without_blanks(char))
}

/// Chinese, Japanese and Thai have no blanks between words, Korean puts endings to them.
fn is_without_blanks(char: char) -> bool {
    matches!(char, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}' | '\u{3000}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether the words have the sign itself where it would end them too soon.
fn has_own_sign(pieces: &[RunPiece<'_>], emphasis: Emphasis) -> bool {
    let sign = emphasis.sign();
    pieces.iter().filter(|piece| !matches!(piece.kind, RunKind::Code | RunKind::Url)).any(|piece| {
        piece.text.match_indices(sign).any(|(at, _)| {
            let before = piece.text[..at].chars().next_back();
            let after = piece.text[at + 1..].chars().next();
            let is_inside =
                before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric);
            let is_alone = before.is_some_and(char::is_whitespace) && after.is_some_and(char::is_whitespace);
            !is_inside && !is_alone
        })
    })
}

fn push_text(piece: &RunPiece<'_>, out: &mut String) {
    if piece.kind != RunKind::Code {
        out.push_str(piece.text);
        return;
    }
    // WhatsApp's one pair of backticks cannot hold a backtick, its three can.
    let sign = if piece.text.contains('`') { "```" } else { "`" };
    out.push_str(sign);
    out.push_str(piece.text);
    out.push_str(sign);
}
