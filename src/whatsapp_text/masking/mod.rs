//! Finds what no Markdown parser may touch, and hides it behind as many harmless bytes, so that every offset stays what it was.

/// Names with underscores around them.
mod names;
/// Products, powers and paths with asterisks in them.
mod operators;
/// Where URLs begin and end.
mod urls;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::mathematics;
use crate::tags;

/// A text that is safe to be parsed, and what was hidden in it.
pub(crate) struct MaskedText {
    /// As long as the source.
    pub(crate) text: String,
    /// In order, none inside another.
    pub(crate) marks: Vec<Mark>,
}

/// A part of the source that was hidden and is written in a way of its own. Inside code it has no meaning.
pub(crate) struct Mark {
    pub(crate) range: Range<usize>,
    pub(crate) kind: MarkKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MarkKind {
    /// A bare URL.
    Url,
    /// Mathematics; what stands between its signs.
    Mathematics(Range<usize>),
    /// One HTML tag.
    Tag,
    /// An HTML element whose text is code; that text.
    Code(Range<usize>),
}

/// Hides what must not be parsed.
pub(crate) fn mask(source: &str) -> MaskedText {
    let mut masking = Masking {
        source,
        bytes: source.as_bytes().to_vec(),
        marks: Vec::new(),
        free_from: 0,
        closed_letters: tags::closed_letters(source),
    };
    let mut at = 0;
    let mut token_end = 0;
    while at < source.len() {
        let next = match source.as_bytes()[at] {
            b'\\' => masking.mathematics(at).unwrap_or(at + 2),
            b'$' => masking.mathematics(at).unwrap_or(at + 1),
            b'<' => masking.tag(at).unwrap_or(at + 1),
            b':' => masking.url(urls::with_scheme(source, at, masking.free_from)).unwrap_or(at + 1),
            b'w' | b'W' => masking.url(urls::with_www(source, at, masking.free_from)).unwrap_or(at + 1),
            b'*' | b'_' if at >= token_end => {
                token_end = masking.token(at);
                at + 1
            }
            _ => at + 1,
        };
        at = next;
    }
    let text = String::from_utf8(masking.bytes).unwrap_or_else(|_| source.to_owned());
    MaskedText { text, marks: masking.marks }
}

/// The begin of a text, so that what is never closed is not looked for to the end each time.
pub(crate) fn head(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

struct Masking<'a> {
    source: &'a str,
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// Nothing before is still to be hidden.
    free_from: usize,
    /// Where the last `</b>` begins, by its letter.
    closed_letters: BTreeMap<u8, usize>,
}

impl Masking<'_> {
    /// Hides a part; line breaks stay, so that every line does.
    fn hide(&mut self, range: Range<usize>, with: u8) {
        for byte in &mut self.bytes[range] {
            if *byte != b'\n' {
                *byte = with;
            }
        }
    }

    fn mark(&mut self, range: Range<usize>, kind: MarkKind) -> usize {
        let with = if kind == MarkKind::Tag { b';' } else { b'x' };
        self.hide(range.clone(), with);
        self.free_from = range.end;
        self.marks.push(Mark { range: range.clone(), kind });
        range.end
    }

    fn mathematics(&mut self, at: usize) -> Option<usize> {
        let (whole, content) = mathematics::at(self.source, at)?;
        Some(self.mark(whole, MarkKind::Mathematics(content)))
    }

    fn url(&mut self, url: Option<Range<usize>>) -> Option<usize> {
        Some(self.mark(url?, MarkKind::Url))
    }

    /// Hides a known HTML tag, and steps over a link in angle brackets, which the parser knows.
    fn tag(&mut self, at: usize) -> Option<usize> {
        let rest = &self.source[at..];
        if let Some(length) = urls::in_angle_brackets(rest) {
            self.free_from = at + length;
            return Some(at + length);
        }
        let tag = tags::parse(rest)?;
        if !tag.is_known() || tag.is_raw() || rest[..tag.length].contains('\n') {
            return None;
        }
        let is_closed = |letter| self.closed_letters.get(&letter).is_some_and(|last| *last > at);
        if !tag.is_closing && tag.letter().is_some_and(|letter| !is_closed(letter)) {
            return None;
        }
        if let Some(content) = tag.code_content(rest) {
            let whole = at..at + content.whole_bytes;
            return Some(self.mark(whole, MarkKind::Code(at + content.text.start..at + content.text.end)));
        }
        Some(self.mark(at..at + tag.length, MarkKind::Tag))
    }

    /// Hides the signs of the word around `at` that are no emphasis; returns the word's end.
    fn token(&mut self, at: usize) -> usize {
        let token = operators::token_around(self.source, at, self.free_from);
        for sign in operators::literal_signs(self.source, token.clone()) {
            self.hide(sign, b'x');
        }
        token.end
    }
}
