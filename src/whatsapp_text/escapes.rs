//! Signs that their author has escaped. WhatsApp has no backslash: a pair such as `\*x\*` would become bold, so the signs of a pair give way to others
//! that look alike. A sign that pairs with nothing, as in `5 \* 3`, stays.

use crate::inlines::{Emphasis, RunKind};
use crate::line::{self, RunPiece};

/// What WhatsApp takes for signs.
pub(crate) const SIGNS: [char; 4] = ['*', '_', '~', '`'];

/// Looks like a sign, and is none.
fn look_alike(sign: char) -> &'static str {
    match sign {
        '*' => "∗",
        '_' => "＿",
        '~' => "∼",
        _ => "‵",
    }
}

/// One or more of the same sign in the words of a line.
struct SignRow {
    sign: char,
    /// Where it stands in the line.
    at: usize,
    length: usize,
    opens: bool,
    closes: bool,
    /// The pieces that hold it: the first, and the one behind the last.
    pieces: (usize, usize),
}

/// Puts others in the place of the escaped signs that WhatsApp would pair, with each other or with signs of ours.
pub(crate) fn disarm(pieces: &mut [RunPiece<'_>]) {
    if pieces.iter().all(|piece| piece.kind != RunKind::Sign) {
        return;
    }
    let rows = rows(pieces);
    for sign in SIGNS {
        let of_sign = || rows.iter().filter(|row| row.sign == sign);
        let emphasis = emphasis(sign);
        let is_emphasised = |piece: &RunPiece<'_>| emphasis.is_some_and(|emphasis| piece.style.has(emphasis));
        let first_opens = of_sign().find(|row| row.opens).map(|row| row.at);
        let last_closes = of_sign().rev().find(|row| row.closes).map(|row| row.at);
        let last_emphasised = pieces.iter().rposition(is_emphasised);
        let mut pairs = vec![false; pieces.len()];
        for row in of_sign() {
            let (first, end) = row.pieces;
            let closes_another = row.closes && first_opens.is_some_and(|at| at < row.at);
            let is_closed = row.opens
                && (last_closes.is_some_and(|at| at > row.at) || last_emphasised.is_some_and(|at| at >= end));
            pairs[first..end].fill(closes_another || is_closed);
        }
        for (piece, pairs) in pieces.iter_mut().zip(pairs) {
            if piece.kind == RunKind::Sign && piece.text.starts_with(sign) && (pairs || is_emphasised(piece))
            {
                piece.text = look_alike(sign);
            }
        }
    }
}

fn emphasis(sign: char) -> Option<Emphasis> {
    [Emphasis::Bold, Emphasis::Italic, Emphasis::Strike].into_iter().find(|emphasis| emphasis.sign() == sign)
}

fn rows(pieces: &[RunPiece<'_>]) -> Vec<SignRow> {
    let mut rows: Vec<SignRow> = Vec::new();
    let mut before = None;
    // The row that the last character belongs to.
    let mut is_open = false;
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let has_signs = !matches!(piece.kind, RunKind::Code | RunKind::Url);
        for char in line::shown(piece).chars() {
            at += 1;
            let last = rows.last_mut().filter(|_| is_open);
            match last {
                Some(row) if has_signs && row.sign == char => {
                    row.length += 1;
                    row.pieces.1 = index + 1;
                }
                last => {
                    if let Some(row) = last {
                        end(row, Some(char));
                    }
                    is_open = has_signs && SIGNS.contains(&char);
                    if is_open {
                        let opens = !line::is_in_word(before);
                        let closes = before.is_some_and(|before: char| !before.is_whitespace());
                        rows.push(SignRow {
                            sign: char,
                            at,
                            length: 1,
                            opens,
                            closes,
                            pieces: (index, index + 1),
                        });
                    }
                }
            }
            before = Some(char);
        }
    }
    if let Some(row) = rows.last_mut().filter(|_| is_open) {
        end(row, None);
    }
    rows
}

/// What stands behind a row decides, too. A name keeps its two underscores: people know what `__init__` is.
fn end(row: &mut SignRow, after: Option<char>) {
    let is_name = row.sign == '_' && row.length > 1;
    row.opens &= !is_name && after.is_some_and(|after| !after.is_whitespace());
    row.closes &= !is_name && !line::is_in_word(after);
}
