//! `MEDIA:` and a path on a line of its own: by this OpenClaw's agents have their gateway send a file. This channel sends none, and a path of the
//! gateway's machine is nothing for a person.

use super::{WithheldKind, Without, code, gap};

const DIRECTIVE: &str = "MEDIA:";

/// Takes the lines out, except for those in fenced code.
pub(super) fn take_out(text: &str) -> Without<'_> {
    if !text.contains(DIRECTIVE) {
        return Without::nothing(text);
    }
    let mut kept = String::with_capacity(text.len());
    let (mut kept_up_to, mut at) = (0, 0);
    let mut found = false;
    while at < text.len() {
        let line = text[at..].split('\n').next().unwrap_or_default();
        let content = code::without_markers(line);
        let content_at = at + line.len() - content.len();
        if let Some(end) = code::end(text, content_at).filter(|_| content.starts_with(['`', '~'])) {
            at = end + text[end..].find('\n').map_or(text.len() - end, |newline| newline + 1);
        } else if is_directive(content) {
            found = true;
            kept.push_str(&text[kept_up_to..at]);
            at += line.len();
            at += gap(&kept, &text[at..]);
            kept_up_to = at;
        } else {
            at = (at + line.len() + 1).min(text.len());
        }
    }
    if !found {
        return Without::nothing(text);
    }
    kept.push_str(&text[kept_up_to..]);
    Without { text: kept.trim_end().to_owned().into(), kinds: vec![WithheldKind::MediaDirective] }
}

/// Whether a line names a file to send, and is not a heading, as "MEDIA: what the papers say" is.
fn is_directive(line: &str) -> bool {
    let line = line.trim_start_matches(['*', '_']);
    let Some(value) = line.strip_prefix(DIRECTIVE) else { return false };
    let value = value.trim_matches([' ', '\t', '\r', '*', '_', '`', '"', '\'', '<', '>']);
    let rooted = ["/", "./", "../", "~/", "\\\\", "file:", "http://", "https://", "data:"];
    let drive = |value: &str| {
        let mut chars = value.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && matches!(chars.next(), Some('\\' | '/'))
    };
    rooted.iter().any(|root| value.starts_with(root)) || drive(value) || is_file_name(value)
}

/// A name with a suffix, and without spaces.
fn is_file_name(value: &str) -> bool {
    let Some((stem, suffix)) = value.rsplit_once('.') else { return false };
    let suffix_fits = (1..=5).contains(&suffix.len()) && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
    !stem.is_empty() && suffix_fits && !value.contains(char::is_whitespace)
}
