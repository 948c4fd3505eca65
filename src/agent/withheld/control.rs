//! Characters that control a terminal, and whole sequences of them (ECMA-48): colours, titles, cursor moves. Line breaks and tabs are ordinary text.

use super::{WithheldKind, Without};

const ESCAPE: char = '\u{1B}';
const BELL: char = '\u{7}';
const STRING_TERMINATOR: char = '\u{9C}';

/// Takes them out. What breaks a line becomes a line break.
pub(super) fn take_out(text: &str) -> Without<'_> {
    if !text.contains(is_control) {
        return Without::nothing(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, control, after)) = split_at_control(rest) {
        kept.push_str(before);
        if matches!(control, '\u{B}' | '\u{C}' | '\u{85}') {
            kept.push('\n');
        }
        rest = &after[sequence_bytes(control, after)..];
    }
    kept.push_str(rest);
    Without { text: kept.into(), kinds: vec![WithheldKind::ControlCharacter] }
}

fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn split_at_control(text: &str) -> Option<(&str, char, &str)> {
    let (at, control) = text.char_indices().find(|(_, c)| is_control(*c))?;
    Some((&text[..at], control, &text[at + control.len_utf8()..]))
}

/// How much of what follows belongs to the character.
fn sequence_bytes(control: char, after: &str) -> usize {
    // Each of the second set of control characters may also be written as ESC and a letter.
    let (introducer, prefix, body) = match (control, after.chars().next()) {
        (ESCAPE, Some(next)) => (next, next.len_utf8(), &after[next.len_utf8()..]),
        ('\u{90}'..='\u{9F}', _) => {
            let letter = u8::try_from(u32::from(control) - 0x40).map(char::from).unwrap_or_default();
            (letter, 0, after)
        }
        _ => return 0,
    };
    match introducer {
        '[' => prefix + control_sequence_bytes(body),
        ']' | 'P' | 'X' | '^' | '_' => match string_bytes(body) {
            0 if introducer.is_alphabetic() => 0,
            bytes => prefix + bytes,
        },
        '(' | ')' if body.starts_with(['A', 'B', '0', '1', '2']) => prefix + 1,
        // Saves and restores the cursor, sets the keypad. Of letters nobody knows whether they are words.
        '7' | '8' | '=' | '>' | '\\' => prefix,
        _ => 0,
    }
}

/// Parameters, intermediates, and the letter that says what they are for.
fn control_sequence_bytes(body: &str) -> usize {
    let behind = body.trim_start_matches(|c| ('0'..='?').contains(&c));
    let behind = behind.trim_start_matches(|c| (' '..='/').contains(&c));
    let letter = behind.starts_with(|c| ('@'..='~').contains(&c));
    body.len() - behind.len() + usize::from(letter)
}

/// A string up to its end mark. One that is not ended on its line is words.
fn string_bytes(body: &str) -> usize {
    let Some(end) = body.find([BELL, STRING_TERMINATOR, ESCAPE, '\n']) else { return 0 };
    let mark = &body[end..];
    let terminator =
        ["\u{1B}\\", "\u{7}", "\u{9C}"].into_iter().find(|terminator| mark.starts_with(terminator));
    terminator.map_or(0, |terminator| end + terminator.len())
}
