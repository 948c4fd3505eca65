//! Where URLs begin and end. An author ends one with a space, and closes brackets, sentences and emphasis right behind it.

use std::ops::Range;

/// A longer scheme is none.
const LONGEST_SCHEME: usize = 24;

/// The URL whose scheme ends at the colon at `colon`, not before `from`.
pub(super) fn with_scheme(source: &str, colon: usize, from: usize) -> Option<Range<usize>> {
    let rest = source[colon..].strip_prefix("://")?;
    rest.chars().next().filter(|first| !first.is_whitespace() && !matches!(first, '*' | '_' | '`'))?;
    let is_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let length =
        source.as_bytes()[from..colon].iter().rev().take(LONGEST_SCHEME).take_while(is_scheme).count();
    let start = colon - length;
    let begins_with_letter = source.as_bytes()[start..colon].first().is_some_and(u8::is_ascii_alphabetic);
    begins_with_letter.then(|| start..end(source, colon + 3)).filter(|url| url.end > colon + 3)
}

/// The URL without a scheme that begins with `www.` at `at`.
pub(super) fn with_www(source: &str, at: usize, from: usize) -> Option<Range<usize>> {
    let head = source.as_bytes().get(at..at + 4)?;
    if !head.eq_ignore_ascii_case(b"www.") {
        return None;
    }
    let before = source[from..at].chars().next_back();
    let is_inside =
        before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '.' | '/' | '@' | '-'));
    let after = source[at + 4..].chars().next().is_some_and(char::is_alphanumeric);
    (!is_inside && after).then(|| at..end(source, at + 4)).filter(|url| url.end > at + 4)
}

/// The length of `<https://…>` or `<a@b.example>` at the begin of a text.
pub(super) fn in_angle_brackets(rest: &str) -> Option<usize> {
    let inner = rest[1..].find(|char: char| char == '>' || char == '<' || char.is_whitespace())?;
    let text = &rest[1..=inner];
    let has_scheme = text.find(':').is_some_and(|colon| {
        colon >= 2
            && text.as_bytes()[0].is_ascii_alphabetic()
            && text[..colon].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    (rest.as_bytes()[inner + 1] == b'>' && (has_scheme || text.contains('@'))).then_some(inner + 2)
}

/// Where a URL ends that goes on at `from`.
fn end(source: &str, from: usize) -> usize {
    let mut open = Vec::new();
    let mut end = source.len();
    let mut before = '\0';
    for (offset, char) in source[from..].char_indices() {
        let closes = match char {
            '(' => Some(')'),
            '[' => Some(']'),
            _ => None,
        };
        let stops = match char {
            '<' | '>' | '"' | '`' | '|' | '{' | '}' => true,
            ')' | ']' => open.pop() != Some(char),
            // An escape: only a sign can be behind it.
            '\\' => !source[from + offset + 1..].starts_with(['_', '*', '~', '&', '#', '-', '.', '(', ')']),
            _ => char.is_whitespace() || char.is_control() || is_wide_punctuation(char),
        };
        // An escaped bracket closes nothing.
        if stops && before != '\\' {
            end = from + offset;
            break;
        }
        open.extend(closes);
        before = char;
    }
    let url = &source[..end];
    let mut trimmed =
        url.trim_end_matches(['?', '!', '.', ',', ':', ';', '*', '_', '~', '\'', '’', '”', '…', '\\']);
    // A bracket that is still open belongs to the sentence.
    while let Some(rest) = trimmed.strip_suffix(['(', '[']) {
        trimmed = rest;
    }
    trimmed.len().max(from)
}

/// Chinese and Japanese put their stops right behind a URL.
fn is_wide_punctuation(char: char) -> bool {
    matches!(char, '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff3d}' | '\u{ff5b}'..='\u{ff65}' | '“' | '”' | '«' | '»')
}
