//! The words by which an OpenClaw agent chooses silence: `NO_REPLY`, and `HEARTBEAT_OK` where nothing is the matter. Alone they mean silence; models add
//! reasons, write them in bold, and end other text with them.
//!
//! At the beginning of a text the token is meant, and what follows is the reason, unless it is long: OpenClaw, too, takes up to 300 characters behind
//! `HEARTBEAT_OK` for none (`ackMaxChars`). At the end, the text before it is said. In the middle, in quotes and in code somebody speaks about it.

use super::{WithheldKind, Without};

const TOKENS: [(&str, WithheldKind); 2] =
    [("NO_REPLY", WithheldKind::Silence), ("HEARTBEAT_OK", WithheldKind::Heartbeat)];

/// A longer text behind a token is no reason for silence.
const REASON_CHARS: usize = 300;

/// Marks of emphasis, and brackets, which may stand directly around a token.
const MARKS: [char; 7] = ['*', '_', '~', '(', ')', '[', ']'];

/// Takes the tokens out of the beginning and the end.
pub(super) fn take_out(text: &str) -> Without<'_> {
    let mut kinds = Vec::new();
    if let Some((_, kind)) = TOKENS.into_iter().find(|(token, _)| is_alone(text, token)) {
        return Without { text: "".into(), kinds: vec![kind] };
    }
    let mut text = text;
    if let Some((kind, rest)) = TOKENS.into_iter().find_map(|token| behind_token(text, token)) {
        kinds.push(kind);
        if rest.chars().count() <= REASON_CHARS {
            return Without { text: "".into(), kinds };
        }
        text = rest;
    }
    let mut closing = "";
    while let Some((kind, before, marks)) = TOKENS.into_iter().find_map(|token| before_token(text, token)) {
        kinds.push(kind);
        (text, closing) = (before, marks);
    }
    match closing {
        _ if !kinds.is_empty() && text.chars().all(is_around) => Without { text: "".into(), kinds },
        "" => Without { text: text.into(), kinds },
        marks => Without { text: format!("{text}{marks}").into(), kinds },
    }
}

/// What may stand around a token that is all of a text.
fn is_around(c: char) -> bool {
    is_blank(c) || c.is_ascii_punctuation() || matches!(c, '…' | '–' | '—' | '•' | '“' | '”' | '‘' | '’')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn is_alone(text: &str, token: &str) -> bool {
    text.trim_matches(is_around).eq_ignore_ascii_case(token)
}

/// What follows a token at the beginning of a text. In small letters the token may also be a name; then only what is clearly set off follows it.
fn behind_token<'a>(text: &'a str, (token, kind): (&str, WithheldKind)) -> Option<(WithheldKind, &'a str)> {
    let begin =
        text.trim_start_matches(|c| is_blank(c) || MARKS.contains(&c) || matches!(c, '>' | '#' | '-'));
    let written = begin.get(..token.len()).filter(|written| written.eq_ignore_ascii_case(token))?;
    let is_exact = written == token;
    let behind = begin[token.len()..].trim_start_matches(['*', '~', ')', ']']);
    let in_italics = text[..text.len() - begin.len()].ends_with('_');
    let behind = behind.strip_prefix('_').filter(|_| in_italics).unwrap_or(behind);
    let line = behind.trim_start_matches([' ', '\t']);
    let reason = line.trim_start_matches(PAUSES);
    let paused = reason.len() < line.len();
    let is_separate = line.len() < behind.len();
    let follows = line.starts_with(['\n', '\r'])
        || (paused && reason.chars().next().is_none_or(is_blank))
        || (is_separate && (is_exact || line.starts_with(['(', '['])))
        // "NO_REPLY: thanks", "NO_REPLYThe person said thanks"
        || (is_exact && (line.starts_with([':', ';', '–', '—', '|']) || is_capitalized(behind)));
    follows.then(|| (kind, reason.trim_start_matches(is_blank)))
}

/// What may stand between a token and the reason.
const PAUSES: [char; 11] = ['.', ',', ':', ';', '!', '?', '…', '-', '–', '—', '|'];

fn is_capitalized(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_uppercase)
        && !chars.next().is_some_and(|c| c.is_uppercase() || c == '_')
}

/// What stands before a token at the end of a text, and the marks behind the token that close what was opened before it.
fn before_token<'a>(
    text: &'a str,
    (token, kind): (&str, WithheldKind),
) -> Option<(WithheldKind, &'a str, &'a str)> {
    let content = text.trim_end_matches(is_blank);
    let unmarked = content.trim_end_matches(|c| MARKS.contains(&c) || matches!(c, '.' | '!' | '…'));
    let stem = unmarked.get(..unmarked.len().checked_sub(token.len())?)?;
    let written = &unmarked[stem.len()..];
    if !written.eq_ignore_ascii_case(token) {
        return None;
    }
    let behind = &content[unmarked.len()..];
    let before = stem.trim_end_matches(MARKS);
    let said = before.trim_end_matches(is_blank);
    let is_apart = match before.chars().next_back() {
        None => true,
        Some(c) => is_blank(c) || ends_sentence(c),
    };
    let margin =
        before.trim_end_matches(|c| c != '\n' && (is_blank(c) || matches!(c, '>' | '-' | '*' | '#' | '•')));
    let is_own_line = margin.is_empty() || margin.ends_with('\n');
    let ends_with_token = written == token && !behind.contains(['.', '!', '…']);
    let follows_sentence = said.trim_end_matches(MARKS).chars().next_back().is_none_or(ends_sentence);
    if !is_apart || !(is_own_line || follows_sentence || ends_with_token) {
        return None;
    }
    let said = if is_own_line { margin.trim_end_matches(is_blank) } else { said };
    let opened_here = before.len() < stem.len();
    let marks =
        if opened_here { "" } else { &behind[..behind.len() - behind.trim_start_matches(MARKS).len()] };
    Some((kind, said, marks))
}

/// Full stops of all scripts and emoji; not what joins words, opens something, or leads on.
fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '؟' | '।')
        || (!c.is_alphanumeric() && !c.is_ascii() && !is_blank(c) && !is_around(c))
}
