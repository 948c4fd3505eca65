//! Where a text may be broken, and which break is the best.

use unicode_segmentation::UnicodeSegmentation;

use crate::outbound::planning::markup::{BreakPlace, Markup};
use crate::outbound::planning::width;

/// The part of a text that the next chunk can show.
pub(super) struct Window<'a> {
    /// All of the text.
    pub text: &'a str,
    /// Its blocks and spans.
    pub(super) markup: &'a Markup<'a>,
    /// Where the chunk begins: at a grapheme cluster that can be seen.
    pub from: usize,
    /// What the chunk has room for, in UTF-16 units, the signs that close what is open at its end included.
    pub room: usize,
}

/// How natural a break is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Cluster,
    Word,
    Sentence,
    Line,
    Paragraph,
}

/// How good a break is: in the order of these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Whether the chunk ends with something else than a heading.
    keeps_heading: bool,
    /// Whether it is more than a gap between clusters.
    is_natural: bool,
    /// Whether short blocks and spans stay whole.
    keeps_whole: bool,
    /// Whether the chunk is at least half full.
    is_late: bool,
    strength: Strength,
}

/// The white space since the last cluster that can be seen.
#[derive(Default)]
struct Gap {
    line_breaks: usize,
    /// Whether a word may end here: a no-break space alone does not allow it.
    ends_word: bool,
    /// Whether a line has just begun.
    begins_line: bool,
}

impl Window<'_> {
    /// The best place for the end of the chunk, after `from` and before the text's end: the white space at the break is before it.
    pub(super) fn best_break(&self) -> usize {
        let mut best: Option<(Rank, usize)> = None;
        let (mut shown_utf16, mut shown_end, mut passed_utf16) = (0, self.from, 0);
        let mut gap = Gap::default();
        for (offset, cluster) in self.text[self.from..].grapheme_indices(true) {
            let at = self.from + offset;
            if shown_utf16 > self.room {
                break;
            }
            if shown_end > self.from
                && let Some(rank) = self.rank(at, shown_end, shown_utf16, cluster, &gap)
                && best.is_none_or(|(best, _)| rank >= best)
            {
                best = Some((rank, at));
            }
            passed_utf16 += width(cluster);
            if is_space(cluster) {
                gap.add(cluster);
            } else {
                (gap, shown_utf16, shown_end) = (Gap::default(), passed_utf16, at + cluster.len());
            }
        }
        best.map_or_else(|| self.forced_break(), |(_, at)| at)
    }

    /// How good a break before `cluster` is. `None`: it is impossible, or would begin the next chunk with white space.
    fn rank(
        &self,
        at: usize,
        shown_end: usize,
        shown_utf16: usize,
        cluster: &str,
        gap: &Gap,
    ) -> Option<Rank> {
        let place = self.markup.place(at);
        let (closing_utf16, innermost_bytes, in_block) = match place {
            BreakPlace::Free => (0, usize::MAX, false),
            BreakPlace::Inside { closing_utf16, innermost_bytes, is_block } => {
                (closing_utf16, innermost_bytes, is_block)
            }
            BreakPlace::Forbidden => return None,
        };
        if shown_utf16 + closing_utf16 > self.room {
            return None;
        }
        let strength =
            if in_block { strength_in_block(cluster, gap)? } else { self.strength(shown_end, cluster, gap)? };
        Some(Rank {
            keeps_heading: !self.markup.is_in_heading(shown_end),
            is_natural: strength > Strength::Cluster,
            keeps_whole: innermost_bytes > self.room / 2,
            is_late: shown_utf16 >= self.room / 2,
            strength,
        })
    }

    fn strength(&self, shown_end: usize, cluster: &str, gap: &Gap) -> Option<Strength> {
        if is_space(cluster) {
            return None;
        }
        let shown = &self.text[self.from..shown_end];
        Some(match gap.line_breaks {
            0 if ends_wide_sentence(shown) && !is_closing(cluster) => Strength::Sentence,
            0 if gap.ends_word && ends_sentence(shown) && !begins_small(cluster) => Strength::Sentence,
            0 if gap.ends_word || is_between_ideographs(shown, cluster) => Strength::Word,
            0 => Strength::Cluster,
            1 => Strength::Line,
            _ => Strength::Paragraph,
        })
    }

    /// Where nothing allows a break: between the last clusters that fit, even in a sign; and between code points if a single cluster
    /// is larger than a chunk, as only a heap of combining marks is.
    fn forced_break(&self) -> usize {
        let rest = &self.text[self.from..];
        let closing = |length: usize| self.markup.closing(self.from + length);
        let fitting = |length: usize| width(&rest[..length]) + width(&closing(length)) <= self.room;
        let clusters = rest.grapheme_indices(true).map(|(offset, _)| offset).skip(1);
        let code_points = rest.char_indices().map(|(offset, _)| offset).skip(1);
        let last_cluster = clusters.take_while(|offset| fitting(*offset)).last();
        let last = last_cluster.or_else(|| code_points.clone().take_while(|offset| fitting(*offset)).last());
        self.from + last.or_else(|| rest.chars().next().map(char::len_utf8)).unwrap_or(rest.len())
    }
}

impl Gap {
    fn add(&mut self, space: &str) {
        self.begins_line = space.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
        self.line_breaks += usize::from(self.begins_line);
        self.ends_word |= !matches!(space, "\u{a0}" | "\u{2007}" | "\u{202f}");
    }
}

/// In a code block a line keeps the white space it begins with, and there are no paragraphs or sentences.
fn strength_in_block(cluster: &str, gap: &Gap) -> Option<Strength> {
    let is_line_break = cluster.starts_with(['\n', '\r']);
    if gap.begins_line && !is_line_break {
        return Some(Strength::Line);
    }
    if is_space(cluster) || gap.line_breaks > 0 {
        return None;
    }
    Some(if gap.ends_word { Strength::Word } else { Strength::Cluster })
}

/// Whether a cluster is white space. A space that carries a combining mark can be seen.
fn is_space(cluster: &str) -> bool {
    cluster.chars().all(char::is_whitespace)
}

/// Whether a text ends with a sentence, if white space follows it. The full stop of `1.` and of an initial ends none.
fn ends_sentence(shown: &str) -> bool {
    match last_but_closing(shown) {
        Some((at, '.')) => {
            let word = shown[..at].rsplit(char::is_whitespace).next().unwrap_or_default();
            let is_initial = word.chars().nth(1).is_none() && word.chars().all(char::is_alphabetic);
            let is_number = word.chars().all(|digit| digit.is_ascii_digit());
            !is_initial && !is_number
        }
        Some((_, '!' | '?' | '…' | '؟' | '۔' | '।' | '॥' | '։' | '።')) => true,
        _ => false,
    }
}

/// Whether a text ends with a sentence of a script that puts no space after it.
fn ends_wide_sentence(shown: &str) -> bool {
    last_but_closing(shown).is_some_and(|(_, last)| matches!(last, '。' | '！' | '？' | '｡'))
}

/// The last character before a few quotes and brackets.
fn last_but_closing(shown: &str) -> Option<(usize, char)> {
    shown.char_indices().rev().take(8).find(|(_, char)| !is_closing_char(*char))
}

/// A sentence does not begin with a small letter.
fn begins_small(cluster: &str) -> bool {
    cluster.chars().next().is_some_and(char::is_lowercase)
}

fn is_closing(cluster: &str) -> bool {
    cluster
        .chars()
        .next()
        .is_some_and(|first| is_closing_char(first) || "。、！？，．：；｡ー…".contains(first))
}

fn is_closing_char(char: char) -> bool {
    ")]}\"'”’»›*_~`）」』】》〉］｝〕".contains(char)
}

/// Chinese and Japanese break between any two characters, but not before what closes or after what opens.
fn is_between_ideographs(shown: &str, cluster: &str) -> bool {
    let (Some(before), Some(after)) = (shown.chars().next_back(), cluster.chars().next()) else {
        return false;
    };
    (is_ideograph(before) || is_ideograph(after))
        && !is_closing(cluster)
        && !"(（「『【《〈［｛〔“‘".contains(before)
}

fn is_ideograph(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use crate::outbound::planning::bodies;

    #[test]
    fn the_strongest_break_in_the_second_half_is_taken() {
        let words = |count: usize| "word ".repeat(count).trim_end().to_owned();
        let cases = [
            ("a paragraph", words(25), format!("\n\n{}\n{}", words(5), words(20))),
            ("a line", words(25), format!("\n{}. And {}", words(5), words(20))),
            ("a sentence", format!("{}.", words(25)), format!(" W{}", words(25))),
            ("a sentence with a quote", format!("{}.”", words(25)), format!(" W{}", words(25))),
            ("a word", words(40), format!(" {}", words(20))),
            (
                "a paragraph in the first half is too early",
                format!("Hi\n\n{}", words(39)),
                format!(" {}", words(20)),
            ),
            ("a number is no sentence", format!("{} 1. W{}", words(30), words(9)), format!(" {}", words(20))),
            ("a Chinese sentence", format!("{}。", "字".repeat(150)), "字".repeat(100)),
        ];
        for (name, first, rest) in cases {
            let chunks = bodies(&format!("{first}{rest}"));

            assert_eq!(chunks[0], first, "{name}");
        }
    }

    #[test]
    fn a_heading_stays_with_what_follows_it() {
        let words = |count: usize| "word ".repeat(count).trim_end().to_owned();
        let heading = "*A heading of some words*";
        for (name, first, rest) in [
            ("a heading at the end", words(33), format!("\n\n{heading}\n\n{}", words(30))),
            ("two headings", words(28), format!("\n{heading}\n*Another one*\n{}", words(30))),
            ("a heading in a quote", words(33), format!("\n> {heading}\n> {}", words(30))),
            ("a heading before a block", words(28), format!("\n{heading}\n```\n{}\n```", words(15))),
            (
                "a heading early in the chunk takes some of its text along",
                format!("{}\n\n{heading}\n{}", words(5), words(29)),
                format!(" {}", words(30)),
            ),
            (
                "a heading before what cannot be broken",
                format!("{heading}\n{}", "x".repeat(174)),
                "x".repeat(200),
            ),
            (
                "a bold word at the end of a line is no heading",
                format!("{} *word*", words(34)),
                format!("\n\n{}", words(30)),
            ),
            ("a long bold line is a paragraph", format!("*{}*", words(39)), format!("\n\n{}", words(30))),
        ] {
            let chunks = bodies(&format!("{first}{rest}"));

            assert_eq!(chunks[0], first, "{name}");
        }
    }

    #[test]
    fn a_text_without_any_gap_is_broken_between_clusters() {
        let family = "👨‍👩‍👧‍👦";

        let chunks = bodies(&family.repeat(40));

        assert_eq!(chunks, [family.repeat(18), family.repeat(18), family.repeat(4)]);
    }

    #[test]
    fn a_cluster_larger_than_a_chunk_is_split_and_still_fits() {
        let heap = format!("*bold e{}*", "\u{301}".repeat(500));

        let chunks = bodies(&heap);

        assert!(chunks.iter().all(|chunk| chunk.encode_utf16().count() <= 200), "{chunks:?}");
        assert_eq!(chunks.concat().matches('\u{301}').count(), 500);
    }
}
