//! Words and code, as the source has them: the parser has seen a masked text, and its ranges lead back.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::CowStr;

use super::Reader;
use crate::entities;
use crate::escapes;
use crate::inlines::{Emphasis, RunKind};
use crate::links;
use crate::masking::MarkKind;
use crate::mathematics;
use crate::tags;

impl<'a> Reader<'a> {
    pub(super) fn text(&mut self, text: &str, range: Range<usize>) {
        let is_source = self.masked.text[range.clone()] == *text;
        if let Some(code) = &mut self.code {
            code.text.push_str(if is_source { &self.source[range] } else { text });
            return;
        }
        self.begin_leaf(range.start);
        if is_source {
            self.source_text(range);
        } else if range.start >= self.written_to {
            // An entity: what it stands for is no sign.
            self.inlines.push(RunKind::Escaped, text.to_owned());
        }
    }

    /// Adds a part of the source, with what was hidden in it.
    fn source_text(&mut self, range: Range<usize>) {
        let mut at = range.start.max(self.written_to);
        let is_escaped = at > 0 && self.source.as_bytes()[at - 1] == b'\\';
        if is_escaped && self.source[at..range.end.max(at)].starts_with(escapes::SIGNS) {
            self.inlines.push(RunKind::Sign, &self.source[at..at + 1]);
            at += 1;
        }
        // What was hidden stands for itself.
        let kind = if is_escaped || !self.masked.text[at.min(range.end)..range.end].contains('*') {
            RunKind::Escaped
        } else {
            RunKind::Text
        };
        let marks = &self.masked.marks;
        let first = marks.partition_point(|mark| mark.range.end <= at);
        for mark in &marks[first..] {
            if mark.range.start >= range.end {
                break;
            }
            if mark.range.start > at {
                self.inlines.push(kind, &self.source[at..mark.range.start]);
            }
            self.mark(&mark.kind, mark.range.clone());
            at = mark.range.end;
            self.written_to = at;
        }
        if at < range.end {
            self.inlines.push(kind, &self.source[at..range.end]);
        }
    }

    fn mark(&mut self, kind: &MarkKind, range: Range<usize>) {
        match kind {
            MarkKind::Url => {
                let url = &self.source[range];
                let url =
                    if url.contains('\\') { Cow::Owned(url.replace('\\', "")) } else { Cow::Borrowed(url) };
                self.inlines.push(RunKind::Url, url);
            }
            MarkKind::Mathematics(content) => self.mathematics(content.clone()),
            MarkKind::Code(content) => {
                let code = entities::decode(&self.source[content.clone()]);
                self.inlines.push(RunKind::Code, code);
            }
            MarkKind::Tag => {
                if let Some(tag) = tags::parse(&self.source[range]) {
                    self.tag(&tag);
                }
            }
        }
    }

    fn mathematics(&mut self, content: Range<usize>) {
        for (index, line) in self.source[content].trim().lines().enumerate() {
            if index > 0 {
                self.inlines.push(RunKind::Break, "");
            }
            // Behind the quote's or the item's own indentation.
            self.inlines.push(RunKind::Escaped, mathematics::as_text(line.trim_start_matches(['>', ' '])));
        }
    }

    pub(super) fn code_span(&mut self, text: &str, range: Range<usize>) {
        self.begin_leaf(range.start);
        let whole = &self.source[range];
        let inner = whole.trim_start_matches('`');
        let ticks = whole.len() - inner.len();
        let inner = inner.get(..inner.len().saturating_sub(ticks)).unwrap_or_default();
        if inner.contains('\n') {
            // The parser has taken the line break, and the signs of quotes behind it, out.
            self.inlines.push(RunKind::Code, text.to_owned());
            return;
        }
        let padded = inner.strip_prefix(' ').and_then(|inner| inner.strip_suffix(' '));
        let code = padded.filter(|inner| !inner.trim().is_empty()).unwrap_or(inner);
        if self.table.is_some() && code.contains("\\|") {
            self.inlines.push(RunKind::Code, code.replace("\\|", "|"));
        } else {
            self.inlines.push(RunKind::Code, code);
        }
    }

    pub(super) fn open_emphasis(&mut self, emphasis: Emphasis, range: Range<usize>) {
        self.begin_leaf(range.start);
        let emphasis = (!self.is_operator(&range)).then_some(emphasis);
        match emphasis {
            Some(emphasis) => self.inlines.open(emphasis),
            None => self.inlines.push(RunKind::Escaped, sign(&self.source[range])),
        }
        self.emphases.push(emphasis);
    }

    pub(super) fn close_emphasis(&mut self, range: Range<usize>) {
        match self.emphases.pop() {
            Some(Some(emphasis)) => self.inlines.close(emphasis),
            _ => self.inlines.push(RunKind::Escaped, sign(&self.source[range])),
        }
    }

    /// Whether both signs of an emphasis are within words and these are not the same: `2*x and 3*y`.
    fn is_operator(&self, range: &Range<usize>) -> bool {
        let is_letter =
            |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() && char < '\u{2000}');
        is_letter(self.source[..range.start].chars().next_back())
            && is_letter(self.source[range.end..].chars().next())
            && self.source[range.clone()].contains(char::is_whitespace)
    }

    /// Where a link leads. A destination that the parser took from the text as it was is taken from the source.
    pub(super) fn destination(&self, destination: CowStr<'_>) -> Cow<'a, str> {
        let base = self.masked.text.as_ptr() as usize;
        match destination {
            CowStr::Borrowed(text) => {
                let from = (text.as_ptr() as usize).wrapping_sub(base);
                match self.source.get(from..from.saturating_add(text.len())) {
                    Some(written) => links::unescape(written),
                    None => Cow::Owned(text.to_owned()),
                }
            }
            other => Cow::Owned(other.into_string()),
        }
    }
}

/// The sign that an emphasis begins with.
fn sign(emphasised: &str) -> &str {
    let first = emphasised.chars().next().unwrap_or('*');
    let length = emphasised.len() - emphasised.trim_start_matches(first).len();
    &emphasised[..length.min(2)]
}
