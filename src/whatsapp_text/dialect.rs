//! Whose signs a text has: Markdown's or WhatsApp's. A single asterisk is bold in WhatsApp and italic in Markdown, so the whole text decides.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Tag};

/// Whether an author used WhatsApp's signs: `*x*` stands beside `_x_` or `~x~`, and nothing that only Markdown has is there.
pub(crate) fn is_whatsapp(masked: &str, events: &[(Event<'_>, Range<usize>)]) -> bool {
    let mut code = Vec::new();
    let mut in_block = false;
    for (event, range) in events {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if !language.is_empty() => {
                return false;
            }
            Event::Start(Tag::CodeBlock(_)) => {
                in_block = true;
                code.push(range.clone());
            }
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_block = false,
            Event::Code(_) if !in_block => code.push(range.clone()),
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) if masked[range.clone()].contains('[') => {
                return false;
            }
            Event::Start(Tag::Table(_)) => return false,
            Event::Start(Tag::Heading { .. }) if masked[range.clone()].trim_start().starts_with('#') => {
                return false;
            }
            _ => {}
        }
    }
    let mut found = Found::default();
    let mut from = 0;
    for code in code {
        if from <= code.start {
            found.look(&masked[from..code.start]);
        }
        from = from.max(code.end);
    }
    found.look(&masked[from..]);
    found.bold && (found.italic || found.strike) && !found.doubled
}

/// The signs of a text, outside of code.
#[derive(Default)]
struct Found {
    bold: bool,
    italic: bool,
    strike: bool,
    /// `**`, `__` or `~~`, which WhatsApp has not.
    doubled: bool,
}

impl Found {
    fn look(&mut self, text: &str) {
        self.doubled |= ["**", "__", "~~"].iter().any(|sign| text.contains(sign));
        for line in text.lines() {
            self.bold |= has_span(line, b'*');
            self.italic |= has_span(line, b'_');
            self.strike |= has_span(line, b'~');
        }
    }
}

/// Whether a line has words between two single signs of this kind, both at the edge of a word.
fn has_span(line: &str, sign: u8) -> bool {
    let bytes = line.as_bytes();
    let neighbours = |at: usize| (line[..at].chars().next_back(), line[at + 1..].chars().next());
    let is_word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
    let is_blank = |char: Option<char>| char.is_none_or(char::is_whitespace);
    let mut open = false;
    for at in (0..bytes.len()).filter(|at| bytes[*at] == sign) {
        if at > 0 && bytes[at - 1] == b'\\' {
            continue;
        }
        let (before, after) = neighbours(at);
        if open && !is_blank(before) && !is_word(after) {
            return true;
        }
        open |= !is_word(before) && !is_blank(after);
    }
    false
}
