//! What a gateway means by an error.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::completion::read_body;
use crate::error::AgentError;
use crate::target::Endpoint;

/// How much of an error is read, and for how long.
const BODY_LIMIT_BYTES: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a gateway's own words is kept, in characters.
const MESSAGE_LIMIT: usize = 300;
/// Nobody is made to wait longer, whatever a gateway asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The error document of OpenAI's API, or the plain text that some servers put there.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorBody {
    Document {
        message: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
        code: Option<Value>,
    },
    Text(String),
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

/// What an operator can do about a refusal; it stands in the text of a configuration error.
pub(crate) struct Remedies {
    /// The token is wrong.
    pub(crate) token: &'static str,
    /// It is right, and may not do this.
    pub(crate) rights: &'static str,
    /// Nobody pays.
    pub(crate) payment: &'static str,
    /// Nothing is there.
    pub(crate) address: &'static str,
    /// It is somewhere else.
    pub(crate) moved: &'static str,
}

/// What mends a gateway that refuses turns.
pub(crate) const OF_A_TURN: Remedies = Remedies {
    token: "check the agent's token (OPENCLAW_TOKEN, or the user's own)",
    rights: "the agent's token is valid but may not do this: give one with operator access",
    payment: "the account behind the agent has to be paid for",
    address: "the gateway's chat completions are off by default: set gateway.http.endpoints.chatCompletions.enabled to true \
              in its configuration, and check the agent's base URL",
    moved: "it sends callers elsewhere: set the agent's base URL to the final address",
};

/// What the status of an answer means.
pub(crate) async fn of(response: Response, endpoint: &Endpoint, remedies: &Remedies) -> AgentError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let message = match timeout(BODY_TIMEOUT, read_body(response, endpoint, BODY_LIMIT_BYTES)).await {
        Ok(Ok(body)) => message(&body),
        _ => None,
    };
    let said = message.map(|message| format!(" ({})", tidy(&message, endpoint))).unwrap_or_default();
    let reason = format!("{endpoint} answered {status}{said}");
    let configuration = |remedy: &str| AgentError::Configuration(format!("{reason}; {remedy}"));
    match status.as_u16() {
        401 => configuration(remedies.token),
        402 => configuration(remedies.payment),
        403 => configuration(remedies.rights),
        404 | 405 => configuration(remedies.address),
        300..=399 => configuration(remedies.moved),
        429 => AgentError::RateLimited { retry_after, reason },
        408 | 425 | 500..=599 => AgentError::Transient(reason),
        _ => AgentError::Permanent(reason),
    }
}

/// What an error in the middle of a stream, or under a 200, means.
pub(crate) fn in_band(problem: &ErrorBody, endpoint: &Endpoint) -> AgentError {
    let (message, kind) = match problem {
        ErrorBody::Text(text) => (text.as_str(), String::new()),
        ErrorBody::Document { message, kind, code } => {
            let code = code.as_ref().map(Value::to_string).unwrap_or_default();
            (
                message.as_deref().unwrap_or_default(),
                format!("{} {code}", kind.as_deref().unwrap_or_default()),
            )
        }
    };
    let reason = format!("{endpoint} said in its answer: {}", tidy(message, endpoint));
    if kind.contains("rate_limit") || kind.contains("429") {
        AgentError::RateLimited { retry_after: None, reason }
    } else if kind.contains("invalid_request") {
        AgentError::Permanent(reason)
    } else {
        AgentError::Transient(reason)
    }
}

/// A gateway's own words on one line, without its token and of limited length.
pub(crate) fn tidy(message: &str, endpoint: &Endpoint) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    endpoint.redact(&line).chars().take(MESSAGE_LIMIT).collect()
}

fn message(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<ErrorAnswer>(body).ok()?.error {
        ErrorBody::Document { message, .. } => message,
        ErrorBody::Text(text) => Some(text),
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). A date counts from the answer's own `Date`: this machine's clock may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let date = |text: &str| httpdate::parse_http_date(text).ok();
            let now = headers.get(DATE).and_then(|now| date(now.to_str().ok()?.trim()))?;
            date(text)?.duration_since(now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now: HeaderValue = "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap();
        let cases = [
            ("7", Some(7)),
            ("Wed, 21 Oct 2026 07:29:30 GMT", Some(90)),
            ("Wed, 21 Oct 2026 07:00:00 GMT", Some(0)),
            ("99999999", Some(86400)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap()), (DATE, now.clone())]);

            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{text}");
        }
        let dateless = HeaderMap::from_iter([(RETRY_AFTER, now)]);
        assert_eq!(retry_after(&dateless), None, "nobody knows how long from now that is");
    }

    #[test]
    fn a_gateways_words_are_short_and_never_show_its_token() {
        let endpoint = Endpoint::new("http://a.example", &"s3cret".into()).unwrap();

        let tidied = tidy(&format!("bad key\n s3cret {}", "x".repeat(900)), &endpoint);

        assert!(tidied.starts_with("bad key *** x"), "{tidied}");
        assert_eq!(tidied.chars().count(), MESSAGE_LIMIT);
    }
}
