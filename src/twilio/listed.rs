//! Twilio's lists, read entry by entry: the API's description lets nearly every field be null, and one entry that cannot be read must not
//! hide the others.

use std::fmt;

use chrono::{DateTime, Utc};
use outside::words;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::inbound::is_sid;
use crate::webhook::storable;

/// A message as Twilio lists it. A text that is null is empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedMessage {
    /// Twilio's id.
    pub sid: String,
    /// What became of it; empty: Twilio does not say.
    pub status: String,
    /// `inbound`, `outbound-api`, …; empty: Twilio does not say.
    pub direction: String,
    /// Its text. Empty also where the account's redaction has removed it.
    pub body: String,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// When Twilio took it in, to the second; where Twilio does not say, when it was sent.
    pub created_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error_code: Option<i32>,
    /// What Twilio says about the failure.
    pub error_message: String,
    /// How many files it has.
    pub media: usize,
}

impl ListedMessage {
    /// Whether a person wrote it.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.direction == "inbound"
    }
}

/// An entry of a list that is no usable message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct UnreadableEntry {
    /// Twilio's id, where it can be read.
    pub sid: Option<String>,
    /// What is wrong with it, without anything that it says.
    pub reason: String,
}

/// One entry of a list.
pub type Entry = Result<ListedMessage, UnreadableEntry>;

/// The fields of an entry that are read.
#[derive(serde::Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    sid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    direction: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default)]
    from: Option<&'a RawValue>,
    #[serde(borrow, default)]
    to: Option<&'a RawValue>,
    #[serde(borrow, default)]
    date_created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    date_sent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    num_media: Option<&'a RawValue>,
}

/// Reads one entry of a list of messages.
pub(crate) fn read_entry(entry: &RawValue) -> Entry {
    // An array would do for the fields as well, in their order.
    let object = Some(entry.get()).filter(|json| json.starts_with('{'));
    let Some(Ok(fields)) = object.map(serde_json::from_str::<Fields<'_>>) else {
        return Err(UnreadableEntry { sid: None, reason: "the entry is no JSON object".to_owned() });
    };
    let sid = fields.sid.and_then(|sid| text("sid", Some(sid)).ok()).filter(|sid| is_sid(sid));
    let Some(sid) = sid else {
        return Err(UnreadableEntry { sid: None, reason: "its sid is missing or no id".to_owned() });
    };
    read_fields(sid.clone(), &fields).map_err(|reason| UnreadableEntry { sid: Some(sid), reason })
}

fn read_fields(sid: String, fields: &Fields<'_>) -> Result<ListedMessage, String> {
    let created_at = match date("date_created", fields.date_created)? {
        Some(date) => Some(date),
        None => date("date_sent", fields.date_sent)?,
    };
    Ok(ListedMessage {
        sid,
        status: text("status", fields.status)?,
        direction: text("direction", fields.direction)?,
        body: text("body", fields.body)?,
        from: text("from", fields.from)?,
        to: text("to", fields.to)?,
        created_at,
        // A code that is no number says nothing that anybody could act on.
        error_code: text("error_code", fields.error_code)?
            .trim()
            .parse()
            .ok()
            .filter(|code: &i32| *code != 0),
        // Twilio quotes the number that it could not reach.
        error_message: words::of_others(&text("error_message", fields.error_message)?, &[]),
        media: number("num_media", fields.num_media)?,
    })
}

/// Twilio writes `Mon, 23 Nov 2026 15:04:05 +0000`.
fn date(name: &str, value: Option<&RawValue>) -> Result<Option<DateTime<Utc>>, String> {
    let text = text(name, value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let date = DateTime::parse_from_rfc2822(&text).or_else(|_| DateTime::parse_from_rfc3339(&text));
    date.map(|date| Some(date.with_timezone(&Utc))).map_err(|_| format!("its {name} is no date"))
}

fn number(name: &str, value: Option<&RawValue>) -> Result<usize, String> {
    match text(name, value)?.trim() {
        "" => Ok(0),
        number => number.parse().map_err(|_| format!("its {name} is no number")),
    }
}

/// A text, or a number in words; null and nothing are empty.
fn text(name: &str, value: Option<&RawValue>) -> Result<String, String> {
    let Some(value) = value.map(RawValue::get) else { return Ok(String::new()) };
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Text>(value)
            .map(|text| storable(&text.0))
            .map_err(|_| format!("its {name} is no readable text")),
        Some(b'-' | b'0'..=b'9') => Ok(value.to_owned()),
        _ if value == "null" => Ok(String::new()),
        _ => Err(format!("its {name} is neither a text nor a number")),
    }
}

/// A JSON string that may hold half of a surrogate pair, which Rust's strings cannot: it is replaced.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "SM00000000000000000000000000000001";

    fn read(entry: &str) -> Entry {
        read_entry(&RawValue::from_string(entry.to_owned()).unwrap())
    }

    #[test]
    fn an_entry_is_read_as_twilio_writes_it() {
        let message = read(&format!(
            r#"{{"sid":"{SID}","status":"received","direction":"inbound","body":"hi","from":"whatsapp:+15005550100","to":"whatsapp:+14155238886",
                "date_created":"Mon, 23 Nov 2026 15:04:05 +0000","date_sent":null,"error_code":null,"error_message":null,"num_media":"2","price":null}}"#
        ))
        .unwrap();

        assert_eq!(message.sid, SID);
        assert_eq!((message.body.as_str(), message.media, message.error_code), ("hi", 2, None));
        assert!(message.is_inbound());
        assert_eq!(message.created_at.unwrap().to_rfc3339(), "2026-11-23T15:04:05+00:00");
    }

    #[test]
    fn what_the_description_allows_is_no_obstacle() {
        for (fields, expected) in [
            (r#""status":null,"body":null,"num_media":null"#, ListedMessage::default()),
            (r#""error_code":63016"#, ListedMessage { error_code: Some(63016), ..Default::default() }),
            (r#""error_code":"63016""#, ListedMessage { error_code: Some(63016), ..Default::default() }),
            (r#""error_code":"none""#, ListedMessage::default()),
            (r#""num_media":1"#, ListedMessage { media: 1, ..Default::default() }),
            (r#""body":"a\u0000b""#, ListedMessage { body: "a\u{fffd}b".to_owned(), ..Default::default() }),
            (r#""tags":{"x":[1]},"unheard_of":true"#, ListedMessage::default()),
        ] {
            let message = read(&format!(r#"{{"sid":"{SID}",{fields}}}"#)).unwrap();

            assert_eq!(message, ListedMessage { sid: SID.to_owned(), ..expected }, "{fields}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_replaced() {
        let message = read(&format!(r#"{{"sid":"{SID}","body":"a\ud83db"}}"#)).unwrap();

        assert!(
            message.body.starts_with('a') && message.body.ends_with('b') && message.body.contains('\u{fffd}')
        );
    }

    #[test]
    fn a_date_that_was_sent_stands_in_for_one_that_is_missing() {
        let message = read(&format!(
            r#"{{"sid":"{SID}","date_created":null,"date_sent":"Mon, 23 Nov 2026 15:04:05 +0000"}}"#
        ));

        assert!(message.unwrap().created_at.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_sid() {
        for (entry, sid, reason) in [
            ("null".to_owned(), None, "no JSON object"),
            ("[1]".to_owned(), None, "no JSON object"),
            ("{}".to_owned(), None, "sid is missing"),
            (r#"{"sid":null}"#.to_owned(), None, "sid is missing"),
            (r#"{"sid":"../x"}"#.to_owned(), None, "sid is missing"),
            (format!(r#"{{"sid":"{SID}","date_created":"soon"}}"#), Some(SID), "date_created is no date"),
            (format!(r#"{{"sid":"{SID}","body":{{"a":1}}}}"#), Some(SID), "body is neither"),
            (format!(r#"{{"sid":"{SID}","num_media":"many"}}"#), Some(SID), "num_media is no number"),
        ] {
            let unusable = read(&entry).unwrap_err();

            assert_eq!(unusable.sid.as_deref(), sid, "{entry}");
            assert!(unusable.reason.contains(reason), "{entry}: {unusable}");
        }
    }
}
