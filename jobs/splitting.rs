//! Splits a text into chunks that Twilio takes: at a paragraph if it can, else at a line, a sentence, a word, and between two grapheme
//! clusters if it must.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Twilio takes 1600 characters and does not say what it counts; UTF-16 units are the strictest reading, and the slack is ours.
pub const CHUNK_LIMIT_UTF16: usize = 1550;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What is sent.
    pub body: String,
    /// The bytes of the text that it covers. Ranges are contiguous and cover the text; the white space at their ends is not sent.
    pub source: Range<usize>,
}

/// The pieces of a text, none longer than `limit` UTF-16 units, none blank. A blank text has none.
#[must_use]
pub fn split(text: &str, limit: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = start + piece_end(&text[start..], limit);
        let body = text[start..end].trim();
        match pieces.last_mut() {
            // A blank piece belongs to the one before it.
            Some(before) if body.is_empty() => before.source.end = end,
            _ if body.is_empty() => {
                let next = text[end..].find(|c: char| !c.is_whitespace()).map_or(text.len(), |at| end + at);
                if next == text.len() {
                    return pieces;
                }
                let end = next + piece_end(&text[next..], limit);
                pieces.push(Piece { body: text[next..end].trim().to_owned(), source: start..end });
                start = end;
                continue;
            }
            _ => pieces.push(Piece { body: body.to_owned(), source: start..end }),
        }
        start = end;
    }
    pieces
}

/// Where the first piece of a text ends, in bytes; more than 0.
fn piece_end(text: &str, limit: usize) -> usize {
    let Some(fits) = fitting_prefix(text, limit) else { return text.len() };
    let window = &text[..fits];
    let paragraph = window.rfind("\n\n").map(|at| at + 2);
    let line = || window.rfind('\n').map(|at| at + 1);
    let sentence = || {
        last_end(window, |before, after| {
            matches!(before, '.' | '!' | '?' | '…' | '。' | '！' | '？') && after.is_whitespace()
        })
    };
    let word = || last_end(window, |before, after| before.is_whitespace() && !after.is_whitespace());
    // A cut in the first third would leave a stub; then a finer one is better.
    let good = |at: &usize| *at > fits / 3;
    let cut = paragraph
        .filter(good)
        .or_else(|| line().filter(good))
        .or_else(|| sentence().filter(good))
        .or_else(|| word().filter(good));
    cut.unwrap_or(fits)
}

/// The longest prefix of whole grapheme clusters within the limit; `None`: the whole text fits. A single cluster that is longer than
/// the limit (nothing that people write) is cut between its characters.
fn fitting_prefix(text: &str, limit: usize) -> Option<usize> {
    let mut units = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let size: usize = cluster.chars().map(char::len_utf16).sum();
        if units + size > limit {
            return Some(if at > 0 { at } else { fitting_characters(text, limit) });
        }
        units += size;
    }
    None
}

fn fitting_characters(text: &str, limit: usize) -> usize {
    let mut units = 0;
    let over = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > limit
    });
    over.map_or(text.len(), |(at, _)| at)
}

/// The last place between two characters of which `ends` is true.
fn last_end(window: &str, ends: impl Fn(char, char) -> bool) -> Option<usize> {
    let mut characters = window.char_indices().rev();
    let (mut after_at, mut after) = characters.next()?;
    for (at, before) in characters {
        if ends(before, after) {
            return Some(after_at);
        }
        (after_at, after) = (at, before);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn a_short_text_is_one_piece_and_a_blank_one_none() {
        assert_eq!(split(" hello\n", 20), [Piece { body: "hello".into(), source: 0..7 }]);
        assert_eq!(split(" \n\n ", 20), []);
        assert_eq!(split("", 20), []);
    }

    #[test]
    fn it_cuts_at_the_best_place_there_is() {
        let bodies = |text: &str| split(text, 20).into_iter().map(|piece| piece.body).collect::<Vec<_>>();

        assert_eq!(bodies("first para\n\nsecond para here"), ["first para", "second para here"]);
        assert_eq!(bodies("first line\nsecond line here"), ["first line", "second line here"]);
        assert_eq!(bodies("One is. Two is. Three is."), ["One is. Two is.", "Three is."]);
        assert_eq!(bodies("words without any stop between"), ["words without any", "stop between"]);
        assert_eq!(bodies("abcdefghijklmnopqrstuvwxyz"), ["abcdefghijklmnopqrst", "uvwxyz"]);
    }

    #[test]
    fn a_family_of_emoji_stays_together() {
        let family = "👨‍👩‍👧‍👦";

        let pieces = split(&family.repeat(4), 25);

        assert!(
            pieces.iter().all(|piece| piece.body.graphemes(true).all(|cluster| cluster == family)),
            "{pieces:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn every_text_is_covered_by_pieces_that_fit(text in "([a-z]{1,9}|[ \\n]{1,3}|[.!?] |[à-üа-я中国話]|👨‍👩‍👧‍👦|🇩🇪|e\u{301}|\\PC){0,120}", limit in 12usize..60) {
            let pieces = split(&text, limit);

            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.source.start, at);
                prop_assert_eq!(text[piece.source.clone()].trim(), piece.body.as_str());
                prop_assert!(!piece.body.is_empty() && units(&piece.body) <= limit);
                prop_assert_eq!(split(&piece.body, limit).len(), 1);
                at = piece.source.end;
            }
            prop_assert_eq!(text[at..].trim(), "");
        }
    }
}
