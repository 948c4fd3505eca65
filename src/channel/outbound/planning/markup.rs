//! Where code blocks and spans begin and end, so that a break inside one can close it and open it again.
//!
//! Blocks are those of Markdown, which agents write and WhatsApp shows: lines of three or more backticks, the first perhaps with a
//! language. Spans follow WhatsApp: `*bold*`, `_italic_`, `~strike~` and code between backticks begin and end at the edge of a word
//! and never leave their line; the doubled signs of Markdown count as well.

use std::cmp::Reverse;
use std::ops::Range;

/// More backticks than this are a decoration, and a longer language is a sentence: neither opens a block.
const LONGEST_FENCE: usize = 16;
const LONGEST_LANGUAGE_BYTES: usize = 40;
/// A longer bold line, in characters, is a paragraph and no heading.
const LONGEST_HEADING: usize = 120;
/// `***both***` is the longest sign of a span.
const LONGEST_SIGN: usize = 3;

/// All blocks and spans of a text.
pub(super) struct Markup<'a> {
    /// By their beginning, an outer one before those inside it.
    marks: Vec<MarkedSpan<'a>>,
    /// The lines that are bold as a whole, in order.
    headings: Vec<Range<usize>>,
}

/// A block or a span.
struct MarkedSpan<'a> {
    /// With its signs.
    whole: Range<usize>,
    /// What stands between the signs, without white space around it.
    inner: Range<usize>,
    /// The asterisks, backticks …
    sign: &'a str,
    /// For a block: its language, mostly empty. `None`: a span.
    language: Option<&'a str>,
    /// The innermost mark around this one.
    parent: Option<usize>,
}

/// What a break at some place would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakPlace {
    /// Nothing to a block or span.
    Free,
    /// Cut through these.
    Inside {
        /// The innermost of them, with its signs.
        innermost_bytes: usize,
        /// What it costs to close them, in UTF-16 units; signs are ASCII.
        closing_utf16: usize,
        /// Whether that is a code block, where the white space at the start of a line has a meaning.
        is_block: bool,
    },
    /// Split a sign, or leave a pair of signs with nothing between.
    Forbidden,
}

impl<'a> Markup<'a> {
    /// Reads the text once.
    pub(super) fn of(text: &'a str) -> Self {
        let (mut marks, mut headings) = (Vec::new(), Vec::new());
        let mut block: Option<(usize, usize, &str, &str)> = None;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let begin = at + (line.len() - line.trim_start().len());
            at += line.len();
            let (ticks, rest) = split_fence(line.trim());
            match block {
                Some((opened, content, sign, language)) if ticks.len() >= sign.len() && rest.is_empty() => {
                    let whole = opened..begin + ticks.len();
                    let inner = trimmed(text, content..begin);
                    marks.push(MarkedSpan { whole, inner, sign, language: Some(language), parent: None });
                    block = None;
                }
                Some(_) => {}
                None if opens_block(ticks, rest) => block = Some((begin, at, ticks, rest)),
                None => {
                    let before = marks.len();
                    spans(text, at - line.len()..at, &mut marks);
                    let words = line.trim().trim_start_matches(['>', ' ']);
                    let end = begin + line.trim().len();
                    let whole = end - words.len()..end;
                    let is_bold = |mark: &MarkedSpan| mark.sign.contains('*') && mark.whole == whole;
                    if marks[before..].iter().any(is_bold) && words.chars().count() <= LONGEST_HEADING {
                        headings.push(whole);
                    }
                }
            }
        }
        if let Some((opened, content, sign, language)) = block {
            // Never closed: it reaches beyond the end, so that it is still open there.
            let inner = trimmed(text, content..text.len()).start..text.len() + 1;
            marks.push(MarkedSpan {
                whole: opened..text.len() + 1,
                inner,
                sign,
                language: Some(language),
                parent: None,
            });
        }
        marks.sort_by_key(|mark| (mark.whole.start, Reverse(mark.whole.end)));
        set_parents(&mut marks);
        Self { marks, headings }
    }

    /// What a break at `at` would do.
    pub(super) fn place(&self, at: usize) -> BreakPlace {
        let mut place = BreakPlace::Free;
        for mark in self.around(at) {
            if !mark.holds(at) {
                return BreakPlace::Forbidden;
            }
            let (innermost_bytes, inner_closing) = match place {
                BreakPlace::Inside { innermost_bytes, closing_utf16, .. } => (innermost_bytes, closing_utf16),
                _ => (mark.whole.len(), 0),
            };
            let closing_utf16 = inner_closing + mark.closing_bytes();
            place = BreakPlace::Inside { innermost_bytes, closing_utf16, is_block: mark.language.is_some() };
        }
        place
    }

    /// Whether what ends at `end` is a heading, or a part of one.
    pub(super) fn is_in_heading(&self, end: usize) -> bool {
        let next = self.headings.partition_point(|heading| heading.start < end);
        next.checked_sub(1).is_some_and(|last| end <= self.headings[last].end)
    }

    /// What closes everything that is open at `at`, innermost first.
    pub(super) fn closing(&self, at: usize) -> String {
        let mut closing = String::new();
        for mark in self.around(at).filter(|mark| mark.holds(at)) {
            closing.push_str(if mark.language.is_some() { "\n" } else { "" });
            closing.push_str(mark.sign);
        }
        closing
    }

    /// What opens it again.
    pub(super) fn opening(&self, at: usize) -> String {
        let open: Vec<&MarkedSpan> = self.around(at).filter(|mark| mark.holds(at)).collect();
        let mut opening = String::new();
        for mark in open.iter().rev() {
            opening.push_str(mark.sign);
            if let Some(language) = mark.language {
                opening.push_str(language);
                opening.push('\n');
            }
        }
        opening
    }

    /// The marks that begin before `at` and end after it, innermost first.
    fn around(&self, at: usize) -> impl Iterator<Item = &MarkedSpan<'a>> {
        let last_begun = self.marks.partition_point(|mark| mark.whole.start < at).checked_sub(1);
        std::iter::successors(last_begun.map(|index| &self.marks[index]), |mark| {
            mark.parent.map(|index| &self.marks[index])
        })
        .filter(move |mark| at < mark.whole.end)
    }
}

impl MarkedSpan<'_> {
    /// Whether a break at `at` leaves something on both sides of it, so that it can be closed and opened again.
    fn holds(&self, at: usize) -> bool {
        self.inner.start < at && at < self.inner.end
    }

    fn closing_bytes(&self) -> usize {
        self.sign.len() + usize::from(self.language.is_some())
    }
}

/// The backticks that a line begins with, and what follows them.
fn split_fence(line: &str) -> (&str, &str) {
    let rest = line.trim_start_matches('`');
    (&line[..line.len() - rest.len()], rest.trim())
}

fn opens_block(ticks: &str, language: &str) -> bool {
    (3..=LONGEST_FENCE).contains(&ticks.len())
        && language.len() <= LONGEST_LANGUAGE_BYTES
        && !language.contains('`')
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = text[range.clone()].trim_start();
    let start = range.end - inner.len();
    start..start + inner.trim_end().len()
}

/// A run of one sign in a line.
#[derive(Clone, Copy)]
struct Sign<'a> {
    at: usize,
    text: &'a str,
    opens: bool,
    closes: bool,
}

/// Adds the spans of a line. No kind of sign is open twice at a time, which keeps this linear.
fn spans<'a>(text: &'a str, line: Range<usize>, marks: &mut Vec<MarkedSpan<'a>>) {
    let signs = signs(text, line);
    let mut open: Vec<Sign> = Vec::new();
    let mut next = 0;
    while let Some(&sign) = signs.get(next) {
        next += 1;
        if sign.text.starts_with('`') {
            // Code needs no edge of a word, and nothing in it is a sign.
            if let Some(length) = signs[next..].iter().position(|other| other.text == sign.text) {
                marks.push(span(text, &sign, &signs[next + length]));
                next += length + 1;
            }
            continue;
        }
        let twin = open.iter().position(|other| other.text == sign.text);
        match twin {
            Some(index) if sign.closes => {
                marks.push(span(text, &open[index], &sign));
                open.truncate(index);
            }
            _ if sign.opens => {
                open.truncate(twin.unwrap_or(open.len()));
                open.push(sign);
            }
            _ => {}
        }
    }
}

fn span<'a>(text: &'a str, opening: &Sign<'a>, closing: &Sign<'a>) -> MarkedSpan<'a> {
    let whole = opening.at..closing.at + closing.text.len();
    let inner = trimmed(text, opening.at + opening.text.len()..closing.at);
    MarkedSpan { whole, inner, sign: opening.text, language: None, parent: None }
}

fn signs(text: &str, line: Range<usize>) -> Vec<Sign<'_>> {
    let mut signs = Vec::new();
    let mut before = None;
    let mut chars = text[line.clone()].char_indices().peekable();
    while let Some((offset, sign)) = chars.next() {
        let mut length = sign.len_utf8();
        if matches!(sign, '*' | '_' | '~' | '`') {
            while chars.next_if(|(_, next)| *next == sign).is_some() {
                length += 1;
            }
            if length <= LONGEST_SIGN {
                let after = chars.peek().map(|(_, next)| *next);
                let is_word = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
                let is_blank = |neighbour: Option<char>| neighbour.is_none_or(char::is_whitespace);
                let (opens, closes) =
                    (!is_word(before) && !is_blank(after), !is_blank(before) && !is_word(after));
                let at = line.start + offset;
                signs.push(Sign { at, text: &text[at..at + length], opens, closes });
            }
        }
        before = Some(sign);
    }
    signs
}

fn set_parents(marks: &mut [MarkedSpan]) {
    let mut around: Vec<usize> = Vec::new();
    for index in 0..marks.len() {
        let start = marks[index].whole.start;
        while around.last().is_some_and(|outer| marks[*outer].whole.end <= start) {
            around.pop();
        }
        marks[index].parent = around.last().copied();
        around.push(index);
    }
}

#[cfg(test)]
mod tests;
