//! Text out of JSON that may be cut between the halves of a character: UTF-16 writes an emoji as two escapes, and some servers send each in
//! a piece of its own.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{Error, Visitor};
use serde_json::value::RawValue;

/// The second byte of half a pair in WTF-8; the first one is always [`SURROGATE_LEAD`].
const SURROGATES: Range<u8> = 0xA0..0xC0;
const SURROGATE_LEAD: u8 = 0xED;

/// Pieces of text, as they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct JsonText {
    /// In WTF-8, which is UTF-8 with halves of pairs.
    wtf8: Vec<u8>,
}

impl JsonText {
    /// Adds a JSON string. Anything else adds nothing.
    pub(crate) fn push(&mut self, json: &RawValue) {
        let mut deserializer = serde_json::Deserializer::from_str(json.get());
        if json.get().starts_with('"')
            && let Ok(bytes) = deserializer.deserialize_byte_buf(WtfBytes)
        {
            self.wtf8.extend(bytes);
        }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.wtf8.extend(&other.wtf8);
    }

    pub(crate) fn len(&self) -> usize {
        self.wtf8.len()
    }

    /// Whether nothing but space has been said.
    pub(crate) fn is_blank(&self) -> bool {
        self.wtf8.trim_ascii().is_empty()
    }

    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.wtf8.starts_with(&other.wtf8)
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.wtf8.trim_ascii() == text.as_bytes()
    }

    /// The whole text: halves that have met are one character, others are U+FFFD. NUL is left out, since no database and no phone takes it.
    pub(crate) fn into_text(self) -> String {
        let mut units: Vec<u16> = Vec::with_capacity(self.wtf8.len());
        let mut rest = self.wtf8.as_slice();
        while let Some(at) = surrogate_at(rest) {
            let (before, half) = rest.split_at(at);
            units.extend(String::from_utf8_lossy(before).encode_utf16());
            units.push(0xD000 | u16::from(half[1] & 0x3F) << 6 | u16::from(half[2] & 0x3F));
            rest = &half[3..];
        }
        units.extend(String::from_utf8_lossy(rest).encode_utf16());
        let mut text = String::from_utf16_lossy(&units);
        text.retain(|character| character != '\0');
        text
    }
}

/// A JSON string as text.
pub(crate) fn text(json: &RawValue) -> Option<String> {
    if !json.get().starts_with('"') {
        return None;
    }
    let mut text = JsonText::default();
    text.push(json);
    Some(text.into_text())
}

/// Where the first half of a pair stands.
fn surrogate_at(wtf8: &[u8]) -> Option<usize> {
    wtf8.windows(3).position(|bytes| bytes[0] == SURROGATE_LEAD && SURROGATES.contains(&bytes[1]))
}

/// A string as serde_json gives it to whoever asks for bytes: halves of pairs are no error.
struct WtfBytes;

impl Visitor<'_> for WtfBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str]) -> String {
        let mut text = JsonText::default();
        for piece in pieces {
            text.push(&RawValue::from_string((*piece).to_owned()).unwrap());
        }
        text.into_text()
    }

    #[test]
    fn halves_of_a_character_that_meet_are_one_and_others_are_replaced() {
        for (pieces, expected) in [
            (&[r#""Hi \ud83d""#, r#""\udc4b!""#][..], "Hi 👋!"),
            (&[r#""\ud83d\udc4b""#], "👋"),
            (&[r#""a\ud83d b""#], "a\u{fffd} b"),
            (&[r#""\udc4b""#, r#""\ud83d""#], "\u{fffd}\u{fffd}"),
            (&[r#""\ud83d""#, r#""""#, r#""\udc4b""#], "👋"),
            (&[r#""Grüße 한국 \ud55c""#], "Grüße 한국 한"),
        ] {
            assert_eq!(said(pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn nul_is_left_out_and_what_is_no_string_says_nothing() {
        assert_eq!(said(&[r#""a\u0000b""#, "7", "null", r#"{"a":"b"}"#]), "ab");
        assert_eq!(text(&RawValue::from_string("null".to_owned()).unwrap()), None);
    }
}
