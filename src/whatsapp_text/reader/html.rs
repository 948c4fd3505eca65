//! What HTML does to a paragraph.

use std::ops::Range;

use super::{OpenLink, Reader};
use crate::blocks::RULE;
use crate::entities;
use crate::inlines::{Emphasis, RunKind};
use crate::links;
use crate::tags::{self, Tag, TagMeaning};

impl Reader<'_> {
    /// A tag that was not hidden: a comment, one over several lines, or none of HTML's.
    pub(super) fn inline_html(&mut self, range: Range<usize>) {
        let html = &self.source[range.clone()];
        if tags::invisible(html).is_some() {
            // Of the blanks around a comment one is enough.
            let is_between =
                self.source[..range.start].ends_with(' ') && self.source[range.end..].starts_with(' ');
            self.written_to = range.end + usize::from(is_between);
            return;
        }
        match tags::parse(html).filter(Tag::is_known) {
            Some(tag) => self.tag(&tag),
            None => self.inlines.push(RunKind::Escaped, html),
        }
    }

    /// Ends a block of HTML that the parser has left as it is.
    pub(super) fn html_block(&mut self, end: usize) {
        let Some((start, html)) = self.html.take() else { return };
        let mut rest = &*html;
        while let Some(at) = rest.find('<') {
            self.html_text(start, &rest[..at]);
            rest = &rest[at..];
            if let Some(length) = tags::invisible(rest) {
                rest = &rest[length..];
            } else if let Some(tag) = tags::parse(rest).filter(Tag::is_known) {
                let after = &rest[tag.length..];
                rest =
                    if tag.is_raw() && !tag.is_closing { self.raw(&tag, after, start, end) } else { after };
                if !tag.is_raw() {
                    self.begin_leaf(start);
                    self.tag(&tag);
                }
            } else {
                self.html_text(start, "<");
                rest = &rest[1..];
            }
        }
        self.html_text(start, rest);
        self.finish_leaf(end);
    }

    fn html_text(&mut self, start: usize, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            self.begin_leaf(start);
            if index > 0 {
                self.inlines.push(RunKind::Break, "");
            }
            self.inlines.push(RunKind::Escaped, entities::decode(line).into_owned());
        }
    }

    /// An element whose text is no Markdown; returns what follows it.
    fn raw<'h>(&mut self, tag: &Tag<'_>, after: &'h str, start: usize, end: usize) -> &'h str {
        let closing = after.find("</").map(|first| {
            let ends = after[first..].match_indices("</").map(|(at, _)| first + at);
            ends.filter_map(|at| Some((at, tags::parse(&after[at..])?))).find(|(_, other)| other.is_raw())
        });
        let (content, rest) = match closing.flatten() {
            Some((at, closing)) => (&after[..at], &after[at + closing.length..]),
            None => (after, ""),
        };
        if tag.is("pre") || tag.is("textarea") {
            self.finish_leaf(start);
            let code = entities::decode(&without_tags(content)).into_owned();
            self.blocks.code(start, end, code.trim_start_matches('\n'));
        }
        rest
    }

    pub(super) fn tag(&mut self, tag: &Tag<'_>) {
        match tag.meaning() {
            Some(TagMeaning::Emphasis(emphasis)) if tag.is_closing => self.inlines.close(emphasis),
            Some(TagMeaning::Emphasis(emphasis)) => self.inlines.open(emphasis),
            Some(TagMeaning::Break) => self.inlines.line_break(),
            Some(TagMeaning::Rule) => {
                self.inlines.push(RunKind::Edge, "");
                self.inlines.push_plain(RunKind::Text, RULE);
                self.inlines.push(RunKind::Edge, "");
            }
            Some(TagMeaning::Block | TagMeaning::Raw) => self.inlines.push(RunKind::Edge, ""),
            Some(TagMeaning::Heading) if tag.is_closing => {
                self.inlines.close(Emphasis::Bold);
                self.inlines.push(RunKind::Edge, "");
            }
            Some(TagMeaning::Heading) => {
                self.inlines.push(RunKind::Edge, "");
                self.inlines.open(Emphasis::Bold);
            }
            Some(TagMeaning::Item) => {
                self.inlines.push(RunKind::Edge, "");
                if !tag.is_closing {
                    self.inlines.push_plain(RunKind::Text, "- ");
                }
            }
            Some(TagMeaning::Cell) if !tag.is_closing && self.inlines.line_has_words() => {
                self.inlines.push_plain(RunKind::Text, " · ");
            }
            Some(TagMeaning::Link) => self.html_link(tag),
            Some(TagMeaning::Image) => self.html_image(tag),
            Some(TagMeaning::Superscript) => self.raise(tag),
            Some(TagMeaning::Cell | TagMeaning::Code | TagMeaning::Nothing) | None => {}
        }
    }

    fn html_link(&mut self, tag: &Tag<'_>) {
        if !tag.is_closing {
            let destination = entities::decode(tag.attribute("href").unwrap_or_default()).into_owned();
            self.links.push(OpenLink { destination: destination.into(), from: self.inlines.runs.len() });
        } else if let Some(link) = self.links.pop() {
            links::end(&mut self.inlines, link.from, link.destination);
        }
    }

    fn html_image(&mut self, tag: &Tag<'_>) {
        let from = self.inlines.runs.len();
        let alt = entities::decode(tag.attribute("alt").unwrap_or_default()).into_owned();
        self.inlines.push(RunKind::Escaped, alt);
        if self.links.is_empty() {
            let source = entities::decode(tag.attribute("src").unwrap_or_default()).into_owned();
            links::end(&mut self.inlines, from, source.into());
        }
    }

    /// `x<sup>2</sup>`: without its tag it would be another number.
    fn raise(&mut self, tag: &Tag<'_>) {
        if !tag.is_closing {
            self.raised_from = Some(self.inlines.runs.len());
            return;
        }
        let Some(from) = self.raised_from.take() else { return };
        let words = self.inlines.words_from(from);
        let raised = tags::superscript(&words);
        self.inlines.runs.truncate(from);
        let begins_with_digit = words.starts_with(|char: char| char.is_ascii_digit());
        self.inlines.push(
            RunKind::Escaped,
            raised.unwrap_or(if begins_with_digit { format!("^{words}") } else { words }),
        );
    }
}

/// A text without HTML's own tags.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = tags::parse(rest).filter(Tag::is_known).map(|tag| tag.length);
        if length.is_none() {
            plain.push('<');
        }
        rest = &rest[length.unwrap_or(1)..];
    }
    plain.push_str(rest);
    plain
}
