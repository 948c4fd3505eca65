//! Plans how a text leaves: its chunks, each one WhatsApp message, with their flags and the footer.
//!
//! A delivery is planned once, and nothing in here looks at a clock, a setting or a table: the same text gives the
//! same plan for ever.
//!
//! A text has WhatsApp's signs when it comes here: it is converted before it is planned, so that everything is counted on what is sent.
//! A text that fits is sent as it is, but for white space around it and for line ends, which become `\n`. A longer one is
//! split at a paragraph, else a line, a sentence, a word, and between grapheme clusters where there is nothing better. A weaker
//! break late in a chunk beats a stronger one in its first half, so that a short greeting before a long paragraph does not leave
//! alone. Code blocks and spans such as `*bold*` stay whole if they are short; a long one is closed at the end of a chunk and opened
//! again in the next. A line that is bold as a whole is a heading: it is never the last line of a chunk, but stays with what follows.

/// Where a text may be broken.
mod breaks;
/// The sentence that tells how to unsubscribe.
pub mod footer;
/// Where code blocks and spans begin and end.
mod markup;
/// What holds for every text.
#[cfg(test)]
mod properties;

use std::ops::Range;

use whatsapp_text::text::WhatsappText;

use crate::outbound::planning::breaks::Window;
use crate::outbound::planning::markup::{BreakPlace, Markup};

/// The last line of a text that was too long for its chunks, above the footer if there is one.
pub const CUT_NOTICE: &str = "… The full text is in your CloudyBot conversation.";

/// Between a text and what is added to it.
const PARAGRAPH: &str = "\n\n";

/// White space at the begin of a line of code is kept up to here; more would leave a chunk with nothing to see.
const LONGEST_INDENTATION_BYTES: usize = 40;

/// What a text comes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An answer to what the person wrote: neither metered nor footed.
    Reply,
    /// Sent of our own accord: every chunk is metered, the last one has the footer.
    Proactive,
}

/// How much WhatsApp takes.
#[derive(Clone, Debug)]
pub struct ChunkLimits {
    /// The longest body of a chunk in UTF-16 units, which is how Twilio counts; footer, notice and reopened markup included. No less
    /// than 200, which leaves room for all of those.
    pub chunk_utf16: usize,
    /// The most chunks of one delivery, at least 1. What does not fit is cut.
    pub chunks: usize,
}

/// How a text leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedText {
    /// In the order of sending. None for a blank text: there is nothing to send.
    pub chunks: Vec<PlannedChunk>,
    /// Whether the end of the text was left out, and the last chunk says so.
    pub cut: bool,
}

/// One WhatsApp message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChunk {
    /// What is sent. Never blank.
    pub body: String,
    /// What it stands for, in bytes of the planned text. The ranges of a plan join without a gap, begin at 0 and end at the text's end
    /// unless it was cut; the white space at a break belongs to the chunk before it.
    pub source: Range<usize>,
    /// Whether it counts against the allowance.
    pub meter_proactive: bool,
    /// Whether it carries the footer.
    pub has_footer: bool,
}

impl Default for ChunkLimits {
    /// Twilio refuses bodies of more than 1600 characters; 50 are kept in hand.
    fn default() -> Self {
        Self { chunk_utf16: 1550, chunks: 10 }
    }
}

/// Plans a text.
#[must_use]
pub fn plan(whole: &WhatsappText, origin: Origin, limits: &ChunkLimits) -> PlannedText {
    let text = whole.as_str();
    let written = match origin {
        Origin::Reply => text.trim_end(),
        Origin::Proactive => footer::strip(whole),
    };
    if is_blank(text) {
        return PlannedText { chunks: Vec::new(), cut: false };
    }
    let mut draft = Draft { text: written, markup: Markup::of(written), origin, limits, chunks: Vec::new() };
    let cut = draft.fill();
    let mut chunks = draft.chunks;
    if let Some(last) = chunks.last_mut().filter(|_| !cut) {
        last.source.end = text.len();
    }
    PlannedText { chunks, cut }
}

/// A plan in the making.
struct Draft<'a> {
    text: &'a str,
    markup: Markup<'a>,
    origin: Origin,
    limits: &'a ChunkLimits,
    chunks: Vec<PlannedChunk>,
}

impl Draft<'_> {
    /// Adds all chunks. True: the end of the text had no room.
    fn fill(&mut self) -> bool {
        let mut begin = 0;
        loop {
            if let Some(body) = self.ending(begin) {
                self.push(body, begin..self.text.len(), true);
                return false;
            }
            let is_last = self.chunks.len() + 1 >= self.limits.chunks;
            let ending =
                if is_last { format!("{PARAGRAPH}{CUT_NOTICE}{}", self.footer()) } else { String::new() };
            let opening = self.markup.opening(begin);
            let room = self.limits.chunk_utf16.saturating_sub(width(&opening) + width(&ending));
            let at = self.first_visible(begin);
            let window = Window { text: self.text, markup: &self.markup, from: at, room };
            let end = window.best_break();
            let body = [&opening, &self.clean(at..end), &self.markup.closing(end), &ending]
                .map(String::as_str)
                .concat();
            self.push(body, begin..end, is_last);
            if is_last {
                return true;
            }
            begin = end;
        }
    }

    /// The body of a chunk that takes in all that is left, if there is room for it.
    fn ending(&self, begin: usize) -> Option<String> {
        let at = self.first_visible(begin);
        // A UTF-16 unit is no more than three bytes, a line end two: a long rest needs no measuring.
        if self.text.len() - at > 3 * self.limits.chunk_utf16 {
            return None;
        }
        let opening = self.markup.opening(begin);
        let rest = self.clean(at..self.text.len());
        let footer = self.footer();
        // What the author left open stays open, unless it was opened again by us or would swallow the footer.
        let stays_open = opening.is_empty() && footer.is_empty();
        let closing = if stays_open { String::new() } else { self.markup.closing(self.text.len()) };
        let body = [opening, rest, closing, footer].concat();
        (width(&body) <= self.limits.chunk_utf16).then(|| body.trim_start().to_owned())
    }

    /// Where a chunk begins that takes over at `begin`: the white space before it is not sent, but for the indentation of code.
    fn first_visible(&self, begin: usize) -> usize {
        let rest = &self.text[begin..];
        let visible = self.text.len() - rest.trim_start().len();
        let is_indentation = visible - begin <= LONGEST_INDENTATION_BYTES
            && matches!(self.markup.place(begin), BreakPlace::Inside { .. });
        if is_indentation { begin } else { visible }
    }

    /// A part of the text without the white space at its end, with line ends as WhatsApp has them.
    fn clean(&self, part: Range<usize>) -> String {
        self.text[part].trim_end().replace("\r\n", "\n").replace('\r', "\n")
    }

    /// What every chunk of this origin may have to end with.
    fn footer(&self) -> String {
        match self.origin {
            Origin::Reply => String::new(),
            Origin::Proactive => format!("{PARAGRAPH}{}", footer::SENTENCE),
        }
    }

    fn push(&mut self, body: String, source: Range<usize>, is_last: bool) {
        let meter_proactive = self.origin == Origin::Proactive;
        self.chunks.push(PlannedChunk {
            body,
            source,
            meter_proactive,
            has_footer: meter_proactive && is_last,
        });
    }
}

/// The length of a text as it is sent, in UTF-16 units.
fn width(text: &str) -> usize {
    text.encode_utf16().count() - text.matches("\r\n").count()
}

/// Whether a person would see nothing: white space, control and zero-width characters.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    let is_invisible = |char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    text.chars().all(|char| char.is_whitespace() || char.is_control() || is_invisible(char))
}

/// Small enough to read, and with room for the notice and the footer.
#[cfg(test)]
const SMALL: ChunkLimits = ChunkLimits { chunk_utf16: 200, chunks: 10 };

/// The plan of a text that has WhatsApp's signs, under [`SMALL`] limits.
#[cfg(test)]
fn written(text: &str, origin: Origin) -> PlannedText {
    plan(&WhatsappText::as_written(text), origin, &SMALL)
}

/// The bodies of a reply under [`SMALL`] limits.
#[cfg(test)]
fn bodies(text: &str) -> Vec<String> {
    written(text, Origin::Reply).chunks.into_iter().map(|chunk| chunk.body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_leaves_as_it_was_written() {
        let text = "  Dear *all*,\r\n\r\n```\r\nlet a = 1;\n  ";

        let plan = plan(&WhatsappText::as_written(text), Origin::Reply, &ChunkLimits::default());

        let body = "Dear *all*,\n\n```\nlet a = 1;".to_owned();
        let chunk = PlannedChunk { body, source: 0..text.len(), meter_proactive: false, has_footer: false };
        assert_eq!(plan, PlannedText { chunks: vec![chunk], cut: false });
    }

    #[test]
    fn a_blank_text_is_nothing_to_send() {
        for text in ["", " \r\n\t ", "\u{200b}\u{feff}"] {
            assert_eq!(written(text, Origin::Proactive).chunks, [], "{text:?}");
        }
    }

    #[test]
    fn a_proactive_delivery_ends_with_one_footer_and_counts_every_chunk() {
        let text = format!("{}\n\nREPLY stop TO unsubscribe.\n", "It rains. ".repeat(30));

        let plan = written(&text, Origin::Proactive);

        let flags: Vec<_> =
            plan.chunks.iter().map(|chunk| (chunk.meter_proactive, chunk.has_footer)).collect();
        assert_eq!(flags, [(true, false), (true, true)]);
        assert!(!plan.chunks[0].body.contains("STOP"));
        assert!(plan.chunks[1].body.ends_with("It rains.\n\nReply STOP to unsubscribe."));
        assert_eq!(plan.chunks[1].source.end, text.len());
    }

    #[test]
    fn a_footer_that_does_not_fit_takes_some_of_the_text_along() {
        let text = "word ".repeat(39);

        let plan = written(&text, Origin::Proactive);

        assert_eq!(plan.chunks.len(), 2);
        assert_eq!(plan.chunks[1].body, "word\n\nReply STOP to unsubscribe.");
    }

    #[test]
    fn a_block_that_was_never_closed_does_not_swallow_the_footer() {
        let plan = written("```\nlet a = 1;", Origin::Proactive);

        assert_eq!(plan.chunks[0].body, "```\nlet a = 1;\n```\n\nReply STOP to unsubscribe.");
    }

    #[test]
    fn a_text_that_is_the_footer_alone_is_sent_once() {
        let plan = written("reply stop to unsubscribe", Origin::Proactive);

        assert_eq!(plan.chunks[0].body, footer::SENTENCE);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let text = "It rains again. ".repeat(200);

        for (origin, end) in [
            (Origin::Reply, CUT_NOTICE.to_owned()),
            (Origin::Proactive, format!("{CUT_NOTICE}\n\n{}", footer::SENTENCE)),
        ] {
            let plan = written(&text, origin);

            assert!(plan.cut && plan.chunks.len() == 10);
            let last = &plan.chunks[9];
            assert!(last.body.ends_with(&format!("rains again.\n\n{end}")), "{}", last.body);
            assert!(last.source.end < text.len());
        }
    }
}
