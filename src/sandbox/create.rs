//! `POST …/Messages.json`: takes a message in, with Twilio's checks, and with the faults that were asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::api_error::ApiError;
use crate::message::SandboxMessage;
use crate::resource::random_hex;
use crate::server::Hangup;
use crate::state::SandboxState;
use crate::{clock, schedule, status};

/// Twilio's limit for a text, whatever the channel.
const BODY_LIMIT: usize = 1600;

pub(crate) async fn create(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    body: Bytes,
) -> Response {
    // On a task of its own: a message whose client has gone is taken in all the same.
    let creating =
        tokio::spawn(async move { sandbox.stop.run_until_cancelled(answer(&sandbox, &body)).await });
    creating.await.ok().flatten().unwrap_or_else(|| Hangup.into_response())
}

async fn answer(sandbox: &Arc<SandboxState>, body: &[u8]) -> Response {
    let faults = sandbox.faults();
    tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
    if sandbox.happens(faults.rate_limited) {
        let mut error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests");
        error.retry_after_secs = faults.retry_after_secs;
        return error.into_response();
    }
    if sandbox.happens(faults.error_before) {
        return ApiError::internal().into_response();
    }
    if sandbox.happens(faults.drop_before) {
        return Hangup.into_response();
    }
    let message = match read(sandbox, body) {
        Ok(message) => message,
        Err(error) => return error.into_response(),
    };
    if sandbox.happens(faults.ids_refused) && !message.to.starts_with("whatsapp:+") {
        let reason = format!("The 'To' number {} is not a valid phone number.", message.to);
        return ApiError::bad(21211, reason).into_response();
    }
    if sandbox.happens(faults.refuse) {
        let status = faults
            .refuse_status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::BAD_REQUEST);
        let message = faults.refuse_message.as_deref().unwrap_or("Refused on request");
        return ApiError::new(status, faults.refuse_code, message).into_response();
    }
    if sandbox.happens(faults.accept_late) {
        tokio::time::sleep(Duration::from_millis(faults.accept_late_ms)).await;
    }
    let message = SandboxMessage { created_at: clock::now(), updated_at: clock::now(), ..message };
    let mut resource = message.resource(&sandbox.settings.account_sid);
    if sandbox.happens(faults.sid_missing) {
        resource["sid"] = serde_json::Value::Null;
    }
    if sandbox.happens(faults.sid_of_another)
        && let Some(first) = sandbox.messages().into_iter().find(|message| !message.is_inbound())
    {
        resource = first.resource(&sandbox.settings.account_sid);
    }
    if let Err(error) = sandbox.add(message.clone()) {
        return ApiError::from(error).into_response();
    }
    status::begin(sandbox, message);
    tokio::time::sleep(Duration::from_millis(faults.answer_after_ms)).await;
    if sandbox.happens(faults.error_after) {
        return ApiError::internal().into_response();
    }
    if sandbox.happens(faults.drop_after) {
        return Hangup.into_response();
    }
    (StatusCode::CREATED, Json(resource)).into_response()
}

/// The message that a form describes, or Twilio's word for what is wrong with it.
fn read(sandbox: &SandboxState, body: &[u8]) -> Result<SandboxMessage, ApiError> {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    let fields = |name: &str| {
        let named = form.iter().filter(move |(key, value)| key == name && !value.is_empty());
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let field = |name: &str| fields(name).last().copied();
    let to = field("To").ok_or_else(|| ApiError::bad(21604, "A 'To' phone number is required."))?;
    if !is_whatsapp_address(to) {
        return Err(ApiError::bad(21211, format!("The 'To' number {to} is not a valid phone number.")));
    }
    let number = sandbox.settings.whatsapp_number.as_str();
    // The service may be named in place of a sender, too.
    let from = field("From").filter(|from| !from.starts_with("MG"));
    let service = field("MessagingServiceSid").or(field("From").filter(|from| from.starts_with("MG")));
    let service = service.map(service_sid).transpose()?;
    if let Some(from) = from.filter(|from| *from != number) {
        return Err(ApiError::bad(
            21606,
            format!("The 'From' number {from} is not a valid sender for this account."),
        ));
    }
    if from.is_none() && service.is_none() {
        return Err(ApiError::bad(21603, "A 'From' phone number is required."));
    }
    let send_at = schedule::send_at(field("ScheduleType"), field("SendAt"), service.is_some())?;
    let content_sid = field("ContentSid").map(content_sid).transpose()?;
    let content_variables = field("ContentVariables").map(content_variables).transpose()?;
    let media_url = media_url(&fields("MediaUrl"))?;
    let text = match (field("Body"), &content_sid) {
        (_, Some(sid)) => format!("template {sid}: {}", content_variables.as_deref().unwrap_or("{}")),
        (Some(body), None) => body.to_owned(),
        (None, None) if media_url.is_some() => String::new(),
        (None, None) => return Err(ApiError::bad(21602, "Message body is required.")),
    };
    if content_sid.is_none() && text.encode_utf16().count() > BODY_LIMIT {
        return Err(ApiError::bad(21617, "The concatenated message body exceeds the 1600 character limit."));
    }
    let status_callback = field("StatusCallback").map(status_callback).transpose()?;
    let validity_period = field("ValidityPeriod").map(validity_period).transpose()?;
    let now = clock::now();
    Ok(SandboxMessage {
        sid: format!("{}{}", if media_url.is_some() { "MM" } else { "SM" }, random_hex()),
        direction: "outbound-api".to_owned(),
        from: number.to_owned(),
        to: to.to_owned(),
        body: text,
        status: match (&send_at, &service) {
            (Some(_), _) => "scheduled",
            (None, Some(_)) => "accepted",
            (None, None) => "queued",
        }
        .to_owned(),
        error_code: None,
        status_callback,
        content_sid,
        content_variables,
        media_url,
        messaging_service_sid: service,
        send_at,
        validity_period,
        created_at: now,
        updated_at: now,
        sent_at: None,
        typing_at: None,
        deleted: false,
        parameters: field("PersistentAction")
            .map(|it| ("PersistentAction".to_owned(), it.to_owned()))
            .into_iter()
            .collect(),
    })
}

/// Any Messaging Service is the account's, and has its sender.
fn service_sid(sid: &str) -> Result<String, ApiError> {
    let hex =
        sid.strip_prefix("MG").filter(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.map(|_| sid.to_owned())
        .ok_or_else(|| ApiError::bad(21701, format!("The Messaging Service {sid} does not exist.")))
}

/// A number, or the id of a person who hides it.
fn is_whatsapp_address(to: &str) -> bool {
    let Some(name) = to.strip_prefix("whatsapp:") else { return false };
    let is_number = name
        .strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_id = name.split_once('.').is_some_and(|(country, id)| {
        country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && !id.is_empty()
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
    });
    is_number || is_id
}

fn content_sid(sid: &str) -> Result<String, ApiError> {
    let hex =
        sid.strip_prefix("HX").filter(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.map(|_| sid.to_owned()).ok_or_else(|| ApiError::bad(21655, "The ContentSid is invalid."))
}

/// Twilio takes no variable that is null or empty.
fn content_variables(json: &str) -> Result<String, ApiError> {
    let variables: Option<HashMap<String, String>> = serde_json::from_str(json).ok();
    let all_set = variables.is_some_and(|variables| variables.values().all(|value| !value.is_empty()));
    if all_set {
        Ok(json.to_owned())
    } else {
        Err(ApiError::bad(21656, "The ContentVariables parameter is invalid."))
    }
}

fn status_callback(url: &str) -> Result<String, ApiError> {
    if is_web_address(url) {
        Ok(url.to_owned())
    } else {
        Err(ApiError::bad(21609, format!("The StatusCallback URL {url} is not a valid URL.")))
    }
}

/// WhatsApp carries one picture or file a message.
fn media_url(urls: &[&str]) -> Result<Option<String>, ApiError> {
    match urls {
        [] => Ok(None),
        [url] if is_web_address(url) => Ok(Some((*url).to_owned())),
        [url] => Err(ApiError::bad(21620, format!("The media URL {url} is not a valid URL."))),
        _ => Err(ApiError::bad(21623, "Number of media files exceeds allowed limit.")),
    }
}

/// Twilio takes no host with an underscore.
fn is_web_address(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.contains('_'))
    })
}

fn validity_period(secs: &str) -> Result<u32, ApiError> {
    let secs = secs.parse().ok().filter(|secs| (1..=36_000).contains(secs));
    secs.ok_or_else(|| {
        ApiError::bad(21624, "Invalid validity period value: it must be between 1 and 36000 seconds.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::settings::{SandboxOptions, SandboxSettings};

    #[tokio::test]
    async fn a_message_that_cannot_be_kept_is_answered_500_and_not_taken_in() {
        let settings = SandboxSettings {
            options: SandboxOptions { listen: ([127, 0, 0, 1], 0).into(), status_delay: Duration::ZERO },
            account_sid: "AC1".to_owned(),
            auth_token: "token".into(),
            api_key: None,
            whatsapp_number: "whatsapp:+14155238886".to_owned(),
            webhook_url: "http://127.0.0.1:1/".to_owned(),
            journal: None,
            seed: 1,
        };
        let sandbox = Arc::new(SandboxState::open(settings).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        sandbox.set_journal(Journal::unwritable(file.path()));

        let response =
            answer(&sandbox, b"To=whatsapp:%2B15005550100&From=whatsapp:%2B14155238886&Body=hi").await;

        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(sandbox.messages(), []);
    }
}
