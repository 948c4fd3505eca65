//! HTML tags. WhatsApp shows them raw; agents use a handful of them. What is no tag of HTML, such as `<your name>`, stays.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::inlines::Emphasis;
use crate::masking;

/// An HTML tag.
pub(crate) struct Tag<'a> {
    name: &'a str,
    pub(crate) is_closing: bool,
    attributes: &'a str,
    /// From `<` to `>`.
    pub(crate) length: usize,
}

/// What a tag does to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagMeaning {
    /// Words are emphasised.
    Emphasis(Emphasis),
    /// A new line.
    Break,
    /// A rule.
    Rule,
    /// A block begins or ends.
    Block,
    /// A heading begins or ends.
    Heading,
    /// An item of a list.
    Item,
    /// A cell of a table.
    Cell,
    /// A link.
    Link,
    /// An image.
    Image,
    /// Raised digits.
    Superscript,
    /// Text whose signs are none: read by the parser itself.
    Raw,
    /// Code within a line.
    Code,
    /// Its words stay, the tag goes.
    Nothing,
}

const MEANINGS: &[(&str, TagMeaning)] = &[
    ("b", TagMeaning::Emphasis(Emphasis::Bold)),
    ("strong", TagMeaning::Emphasis(Emphasis::Bold)),
    ("i", TagMeaning::Emphasis(Emphasis::Italic)),
    ("em", TagMeaning::Emphasis(Emphasis::Italic)),
    ("s", TagMeaning::Emphasis(Emphasis::Strike)),
    ("del", TagMeaning::Emphasis(Emphasis::Strike)),
    ("strike", TagMeaning::Emphasis(Emphasis::Strike)),
    ("br", TagMeaning::Break),
    ("hr", TagMeaning::Rule),
    ("p", TagMeaning::Block),
    ("div", TagMeaning::Block),
    ("details", TagMeaning::Block),
    ("center", TagMeaning::Block),
    ("section", TagMeaning::Block),
    ("article", TagMeaning::Block),
    ("header", TagMeaning::Block),
    ("footer", TagMeaning::Block),
    ("blockquote", TagMeaning::Block),
    ("figure", TagMeaning::Block),
    ("ul", TagMeaning::Block),
    ("ol", TagMeaning::Block),
    ("dl", TagMeaning::Block),
    ("dd", TagMeaning::Block),
    ("table", TagMeaning::Block),
    ("thead", TagMeaning::Block),
    ("tbody", TagMeaning::Block),
    ("tr", TagMeaning::Block),
    ("summary", TagMeaning::Heading),
    ("h1", TagMeaning::Heading),
    ("h2", TagMeaning::Heading),
    ("h3", TagMeaning::Heading),
    ("h4", TagMeaning::Heading),
    ("h5", TagMeaning::Heading),
    ("h6", TagMeaning::Heading),
    ("dt", TagMeaning::Heading),
    ("caption", TagMeaning::Heading),
    ("figcaption", TagMeaning::Block),
    ("li", TagMeaning::Item),
    ("td", TagMeaning::Cell),
    ("th", TagMeaning::Cell),
    ("a", TagMeaning::Link),
    ("img", TagMeaning::Image),
    ("sup", TagMeaning::Superscript),
    ("pre", TagMeaning::Raw),
    ("script", TagMeaning::Raw),
    ("style", TagMeaning::Raw),
    ("textarea", TagMeaning::Raw),
    ("code", TagMeaning::Code),
    ("kbd", TagMeaning::Code),
    ("samp", TagMeaning::Code),
    ("tt", TagMeaning::Code),
    ("u", TagMeaning::Nothing),
    ("ins", TagMeaning::Nothing),
    ("mark", TagMeaning::Nothing),
    ("small", TagMeaning::Nothing),
    ("big", TagMeaning::Nothing),
    ("span", TagMeaning::Nothing),
    ("font", TagMeaning::Nothing),
    ("sub", TagMeaning::Nothing),
    ("abbr", TagMeaning::Nothing),
    ("cite", TagMeaning::Nothing),
    ("q", TagMeaning::Nothing),
    ("wbr", TagMeaning::Nothing),
    ("nobr", TagMeaning::Nothing),
    ("label", TagMeaning::Nothing),
    ("picture", TagMeaning::Nothing),
    ("var", TagMeaning::Nothing),
    ("dfn", TagMeaning::Nothing),
    ("bdi", TagMeaning::Nothing),
    ("ruby", TagMeaning::Nothing),
    ("rt", TagMeaning::Nothing),
];

/// Longer tags, and longer code in tags, are none.
const LONGEST_TAG: usize = 4000;

/// The tag at the begin of a text that begins with `<`.
pub(crate) fn parse(text: &str) -> Option<Tag<'_>> {
    let inner = text.strip_prefix('<')?;
    let (is_closing, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let length = inner.find(|char: char| !char.is_ascii_alphanumeric()).filter(|length| *length > 0)?;
    let (name, rest) = inner.split_at(length);
    if !rest.starts_with(['>', '/', ' ', '\n', '\t']) {
        return None;
    }
    let mut quote = None;
    for (at, char) in rest.char_indices().take(LONGEST_TAG) {
        match (quote, char) {
            (None, '>') if !are_attributes(&rest[..at]) => return None,
            (None, '>') => {
                let length = text.len() - rest.len() + at + 1;
                return Some(Tag { name, is_closing, attributes: &rest[..at], length });
            }
            (None, '"' | '\'') if rest[..at].ends_with('=') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            (_, '`') | (None, '<') => return None,
            _ => {}
        }
    }
    None
}

/// Whether these can be a tag's attributes: `a <b and c> d` compares letters.
fn are_attributes(text: &str) -> bool {
    let first = text.trim_matches('/').split_whitespace().next();
    first.is_none_or(|first| {
        first.contains('=') || matches!(first, "open" | "disabled" | "checked" | "hidden")
    })
}

/// The text of an element that is code.
pub(crate) struct CodeContent {
    pub(crate) text: Range<usize>,
    /// The whole element.
    pub(crate) whole_bytes: usize,
}

impl<'a> Tag<'a> {
    /// What it does. `None`: it is no tag of HTML.
    pub(crate) fn meaning(&self) -> Option<TagMeaning> {
        MEANINGS.iter().find(|(name, _)| name.eq_ignore_ascii_case(self.name)).map(|(_, meaning)| *meaning)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.meaning().is_some()
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.meaning() == Some(TagMeaning::Raw)
    }

    /// The letter of a tag such as `<b>`, which may as well be a type's parameter.
    pub(crate) fn letter(&self) -> Option<u8> {
        let name = self.name.as_bytes();
        (name.len() == 1 && !self.is("p")).then(|| name[0].to_ascii_lowercase())
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The text of an element that is code within a line and begins with this tag, which `text` begins with.
    pub(crate) fn code_content(&self, text: &str) -> Option<CodeContent> {
        if self.is_closing || self.meaning() != Some(TagMeaning::Code) {
            return None;
        }
        let rest = &text[self.length..];
        let rest = masking::head(rest, LONGEST_TAG);
        let line = rest.lines().next().unwrap_or_default();
        let closing = format!("</{}>", self.name);
        let length = line.find(&closing).filter(|length| *length > 0 && !line[..*length].contains('`'))?;
        Some(CodeContent {
            text: self.length..self.length + length,
            whole_bytes: self.length + length + closing.len(),
        })
    }

    /// An attribute's value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut from = 0;
        while let Some(found) = self.attributes[from..].find(name) {
            let at = from + found;
            from = at + name.len();
            let starts = self.attributes[..at].ends_with(char::is_whitespace);
            let Some(value) = self.attributes[from..].trim_start().strip_prefix('=').filter(|_| starts)
            else {
                continue;
            };
            let value = value.trim_start();
            return match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
                _ => value.split(|char: char| char.is_whitespace() || char == '>').next(),
            };
        }
        None
    }
}

/// Where the last closing tag of each name of one letter begins.
pub(crate) fn closed_letters(text: &str) -> BTreeMap<u8, usize> {
    let closing = text.match_indices("</").filter_map(|(at, _)| Some((parse(&text[at..])?.letter()?, at)));
    closing.collect()
}

/// Whether this is a comment or a declaration, which nobody shall see; its length.
pub(crate) fn invisible(text: &str) -> Option<usize> {
    let (open, close) =
        [("<!--", "-->"), ("<?", "?>"), ("<!", ">")].into_iter().find(|(open, _)| text.starts_with(open))?;
    Some(text[open.len()..].find(close).map_or(text.len(), |at| open.len() + at + close.len()))
}

/// Raised letters, if there are any for all of them.
pub(crate) fn superscript(text: &str) -> Option<String> {
    const RAISED: &[(char, char)] = &[
        ('0', '⁰'),
        ('1', '¹'),
        ('2', '²'),
        ('3', '³'),
        ('4', '⁴'),
        ('5', '⁵'),
        ('6', '⁶'),
        ('7', '⁷'),
        ('8', '⁸'),
        ('9', '⁹'),
        ('+', '⁺'),
        ('-', '⁻'),
        ('n', 'ⁿ'),
        ('i', 'ⁱ'),
    ];
    text.chars()
        .map(|char| RAISED.iter().find(|(plain, _)| *plain == char).map(|(_, raised)| *raised))
        .collect()
}
