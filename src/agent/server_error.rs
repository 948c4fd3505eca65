//! What a server says went wrong: an error document in one of the forms that servers have for it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json_text;

/// An error in somebody else's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// The sentence, as it came; may be empty.
    pub(crate) message: String,
    /// Its type and code, in small letters.
    pub(crate) kind: String,
}

/// The document of OpenAI's API. Of its fields each may hold anything.
#[derive(Deserialize)]
struct ErrorDocument<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

/// Where it stands: as OpenAI has it, as FastAPI does, or as the whole answer.
#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

impl ServerError {
    /// What stands under `error`. `None`: nothing is wrong, since some servers have an empty `error` in every answer.
    pub(crate) fn under_error(error: &RawValue) -> Option<Self> {
        match error.get().chars().next() {
            Some('"') => {
                let message = json_text::text(error)?;
                (!message.trim().is_empty()).then(|| Self { message, kind: String::new() })
            }
            Some('{') => Self::of_document(error.get()).or_else(|| {
                let is_empty = error.get()[1..].trim_ascii_start().starts_with('}');
                (!is_empty).then(Self::default)
            }),
            _ => None,
        }
    }

    /// What an answer that is itself an error document says.
    pub(crate) fn of_document(json: &str) -> Option<Self> {
        let document: ErrorDocument<'_> = serde_json::from_str(json).ok()?;
        let word = |value: Option<&RawValue>| {
            let value = value?;
            Some(json_text::text(value).unwrap_or_else(|| value.get().to_owned()))
                .filter(|word| word != "null")
        };
        let message = word(document.message).unwrap_or_default();
        let kind: Vec<String> =
            [document.kind, document.code, document.status].into_iter().filter_map(word).collect();
        let server_error = Self { message, kind: kind.join(" ").to_ascii_lowercase() };
        (server_error != Self::default()).then_some(server_error)
    }

    /// What the body of a refusal says, in whatever form.
    pub(crate) fn of_refusal(body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let answer = body.trim().trim_start_matches('[').trim_end_matches(']');
        let Ok(ErrorAnswer { error, detail }) = serde_json::from_str(answer) else { return Self::default() };
        let detailed = detail.and_then(|detail| {
            let message = json_text::text(detail).unwrap_or_else(|| detail.get().to_owned());
            Some(Self { message, kind: String::new() }).filter(|server_error| server_error.message != "null")
        });
        error
            .and_then(Self::under_error)
            .or(detailed)
            .or_else(|| Self::of_document(answer))
            .unwrap_or_default()
    }

    /// Whether its type or code has one of these words.
    pub(crate) fn is_of_kind(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.kind.contains(word))
    }

    /// Whether its sentence has one of these, which are in small letters.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// How long the sentence asks to wait: "Retry after about 1 minute", "Please try again in 1.5s", "retry in 20 seconds".
    pub(crate) fn wait(&self) -> Option<Duration> {
        let message = self.message.to_lowercase();
        let asks = ["retry after", "try again in", "retry in", "try again after", "available in"];
        let behind = asks.iter().find_map(|ask| message.split_once(ask))?.1;
        let behind = behind.trim_start_matches([' ', ':', '~']);
        let behind = behind.strip_prefix("about ").unwrap_or(behind);
        let digits = behind.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(behind.len());
        let (number, unit) = behind.split_at(digits);
        let number: f64 = number.trim_end_matches('.').parse().ok()?;
        let unit: String = unit.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
        let seconds = match unit.as_str() {
            "ms" | "milliseconds" | "millisecond" => 0.001,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => return None,
        };
        Duration::try_from_secs_f64(number * seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_error(json: &str) -> Option<(String, String)> {
        let server_error = ServerError::under_error(&RawValue::from_string(json.to_owned()).unwrap())?;
        Some((server_error.message, server_error.kind))
    }

    #[test]
    fn an_error_without_words_is_none() {
        for json in ["{}", "{ }", "null", "false", "\"\"", "[]"] {
            assert_eq!(under_error(json), None, "{json}");
        }
        let told = |message: &str, kind: &str| Some((message.to_owned(), kind.to_owned()));
        assert_eq!(under_error("\"boom\""), told("boom", ""));
        assert_eq!(
            under_error(r#"{"message":"a\u0000\ud83d","type":"X","code":429}"#),
            told("a\u{fffd}", "x 429")
        );
        assert_eq!(under_error(r#"{"message":["a"],"code":null}"#), told("[\"a\"]", ""));
        assert_eq!(under_error(r#"{"reason":"?"}"#), told("", ""));
    }

    #[test]
    fn a_refusal_is_read_in_every_form() {
        for (body, message) in [
            (r#"{"error":{"message":"boom"}}"#, "boom"),
            (r#"{"error":"boom"}"#, "boom"),
            (r#"[{"error":{"code":400,"message":"boom"}}]"#, "boom"),
            (r#"{"detail":"boom"}"#, "boom"),
            (r#"{"object":"error","message":"boom","type":"BadRequestError","code":400}"#, "boom"),
            ("boom", ""),
            ("", ""),
        ] {
            assert_eq!(ServerError::of_refusal(body.as_bytes()).message, message, "{body}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_in_words_is_understood() {
        for (message, seconds) in [
            ("auth_error. Retry after about 1 minute.", Some(60.0)),
            ("Rate limit reached. Please try again in 1.5s.", Some(1.5)),
            ("Retry after 20 seconds", Some(20.0)),
            ("try again in 250ms", Some(0.25)),
            ("Retry in 2", Some(2.0)),
            ("Please try again later.", None),
            ("Retry after the moon", None),
        ] {
            let server_error = ServerError { message: message.to_owned(), kind: String::new() };
            assert_eq!(server_error.wait().map(|wait| wait.as_secs_f64()), seconds, "{message}");
        }
    }
}
