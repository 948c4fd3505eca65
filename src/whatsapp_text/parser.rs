//! What the parser finds in a text.

use std::ops::Range;

use pulldown_cmark::{Event, OffsetIter, Options, Parser, Tag};

pub(crate) type Events<'m> = Vec<(Event<'m>, Range<usize>)>;

/// A text that was read.
pub(crate) struct Parsed<'m> {
    /// In order, each with its place in the text.
    pub(crate) events: Events<'m>,
    /// Where links are defined that no words lead to, in order: no event tells of them.
    pub(crate) unused_definitions: Vec<Range<usize>>,
}

/// Parses a text.
pub(crate) fn parse(masked: &str) -> Parsed<'_> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM;
    let mut parser = Parser::new_ext(masked, options).into_offset_iter();
    let events = parser.by_ref().collect();
    let unused_definitions = unused_definitions(&parser, &events);
    Parsed { events, unused_definitions }
}

fn unused_definitions(parser: &OffsetIter<'_>, events: &Events<'_>) -> Vec<Range<usize>> {
    let definitions = parser.reference_definitions();
    let mut used: Vec<usize> = events
        .iter()
        .filter_map(|(event, _)| match event {
            Event::Start(Tag::Link { id, .. } | Tag::Image { id, .. }) => {
                Some(definitions.get(id)?.span.start)
            }
            _ => None,
        })
        .collect();
    used.sort_unstable();
    let spans = definitions.iter().map(|(_, definition)| definition.span.clone());
    let mut unused: Vec<Range<usize>> =
        spans.filter(|span| used.binary_search(&span.start).is_err()).collect();
    unused.sort_unstable_by_key(|span| span.start);
    unused
}
