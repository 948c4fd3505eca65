//! Hands messages to Twilio. What a failed send *proves* is the main business: a message that may have been taken in must not be sent
//! again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use outside::words;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::value::RawValue;

use crate::address::is_another_person;
use crate::client::{ErrorBody, TwilioClient, causes, read};
use crate::errors::{ErrorClass, class_of_answer};
use crate::listed::{UnreadableEntry, read_entry};
use crate::message::{AcceptedMessage, MessageContent, OutboundMessage};

/// Why a message was not accepted, or why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Twilio has nothing of it: the request did not get through, or was turned away unprocessed. Safe to send again.
    #[error("not sent: {reason}")]
    NotSent {
        /// What happened.
        reason: String,
        /// When Twilio wants to be asked again.
        retry_after: Option<Duration>,
        /// [`ErrorClass::RateLimited`], [`ErrorClass::DailyCap`] or [`ErrorClass::Transient`].
        class: ErrorClass,
    },
    /// Twilio may have it. Sending again could send it twice.
    #[error("in doubt: {reason}")]
    InDoubt {
        /// What happened.
        reason: String,
    },
    /// Twilio refused it.
    #[error("refused with HTTP {status}, code {}: {message}", code.map_or_else(|| "none".to_owned(), |code| code.to_string()))]
    Refused {
        /// The answer's HTTP status.
        status: u16,
        /// Twilio's error code.
        code: Option<i32>,
        /// What Twilio says.
        message: String,
        /// What to do about it.
        class: ErrorClass,
    },
}

impl TwilioClient {
    /// Hands a message to Twilio. The request is given up at `deadline`; after it, none is made.
    pub async fn send_whatsapp_message(
        &self,
        message: &OutboundMessage<'_>,
        deadline: Instant,
    ) -> Result<AcceptedMessage, SendError> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timer of zero would still let the request begin.
        if left.is_zero() {
            let reason = "the deadline had passed before the request".to_owned();
            return Err(SendError::NotSent { reason, retry_after: None, class: ErrorClass::Transient });
        }
        let request =
            self.request(Method::POST, &self.url("Messages.json")).form(&fields(message)).timeout(left);
        let answer = match tokio::time::timeout(left, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_connect() || error.is_builder() => return Err(unreachable(&error)),
            Ok(Err(error)) => return Err(SendError::InDoubt { reason: causes(&error) }),
            Err(_) => return Err(SendError::InDoubt { reason: "no answer before the deadline".to_owned() }),
        };
        let status = answer.status();
        let retry_after = retry_after(&answer);
        let body = read(answer).await;
        if status.is_success() {
            return read_accepted(status, message, &body.unwrap_or_default());
        }
        Err(judge(status, retry_after, &body.unwrap_or_default(), &said(&message.content)))
    }
}

fn fields<'a>(message: &'a OutboundMessage<'_>) -> Vec<(&'static str, std::borrow::Cow<'a, str>)> {
    let mut fields = vec![("To", message.to.into()), ("From", message.from.into())];
    match &message.content {
        MessageContent::Text(text) => fields.push(("Body", (*text).into())),
        MessageContent::Template { content_sid, variables } => {
            fields.push(("ContentSid", (*content_sid).into()));
            fields.push(("ContentVariables", (*variables).into()));
        }
    }
    fields.extend(message.status_callback.map(|url| ("StatusCallback", url.into())));
    fields.extend(
        message.validity_period_secs.map(|secs| ("ValidityPeriod", secs.clamp(1, 36_000).to_string().into())),
    );
    fields
}

/// A success that names no message, or another person's, says nothing of this one.
fn read_accepted(
    status: StatusCode,
    message: &OutboundMessage<'_>,
    body: &[u8],
) -> Result<AcceptedMessage, SendError> {
    let entry = serde_json::from_slice::<Box<RawValue>>(body).ok().map(|entry| read_entry(&entry));
    let (sid, word, to) = match entry {
        Some(Ok(created)) if created.is_inbound() => {
            let reason =
                format!("HTTP {status} with the SID {} of a message that a person wrote", created.sid);
            return Err(SendError::InDoubt { reason });
        }
        Some(Ok(created)) => (created.sid, created.status, created.to),
        // An id is enough, whatever is wrong with the rest.
        Some(Err(UnreadableEntry { sid: Some(sid), .. })) => (sid, String::new(), String::new()),
        _ => return Err(SendError::InDoubt { reason: format!("HTTP {status} without a readable SID") }),
    };
    if is_another_person(&to, message.to) {
        let reason = format!("HTTP {status} with the SID {sid} of a message to somebody else");
        return Err(SendError::InDoubt { reason });
    }
    Ok(AcceptedMessage { sid, status: word })
}

/// The words that a refusal may quote.
fn said(content: &MessageContent<'_>) -> Vec<String> {
    match content {
        MessageContent::Text(text) => vec![(*text).to_owned()],
        MessageContent::Template { variables, .. } => {
            let variables: HashMap<String, serde_json::Value> =
                serde_json::from_str(variables).unwrap_or_default();
            variables.into_values().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        }
    }
}

/// Nothing was written, so nothing was taken in.
fn unreachable(error: &reqwest::Error) -> SendError {
    SendError::NotSent { reason: causes(error), retry_after: None, class: ErrorClass::Transient }
}

fn judge(status: StatusCode, retry_after: Option<Duration>, body: &[u8], said: &[String]) -> SendError {
    let error = ErrorBody::read(body);
    let class = class_of_answer(status.as_u16(), error.code);
    // Twilio quotes what it refuses: a number, say.
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let message = words::of_others(&error.message.unwrap_or_default(), &said);
    let reason = format!("HTTP {status}: {message}");
    match class {
        ErrorClass::InDoubt => SendError::InDoubt { reason },
        // Turned away for now, whatever the status: the same again may pass later.
        ErrorClass::RateLimited | ErrorClass::DailyCap | ErrorClass::Transient => {
            SendError::NotSent { reason, retry_after, class }
        }
        // 429: turned away before it was processed, whatever the code.
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            SendError::NotSent { reason, retry_after, class: ErrorClass::RateLimited }
        }
        class => SendError::Refused { status: status.as_u16(), code: error.code, message, class },
    }
}

/// `Retry-After` in seconds; nobody is told to wait for more than a day.
fn retry_after(answer: &Response) -> Option<Duration> {
    let secs: u64 = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs.min(86_400)))
}
