//! Files that people send. `/sandbox/media` takes one; the Media resource shows it to the account alone and sends it on to the CDN, which
//! gives it to whoever has the link.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{self, OriginalUri, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::message::{SandboxMessage, rfc2822};
use crate::resource::random_hex;
use crate::state::SandboxState;

/// Of one file.
pub(crate) const SIZE_LIMIT_BYTES: usize = 64 << 20;

/// `PUT /sandbox/media`: a person's file, raw, with its content type. The answer has the URL that a webhook gives for it.
pub(crate) async fn put(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or(UNKNOWN_TYPE);
    let url = sandbox.add_media(content_type, None, body);
    Json(json!({"url": url, "contentType": content_type}))
}

/// `GET …/Messages/{message}/Media/{media}` sends whoever has the account on to the file, as Twilio does; with `.json` behind it, it tells of the
/// file.
pub(crate) async fn fetch(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Path((account_sid, message_sid, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let faults = sandbox.faults();
    if sandbox.happens(faults.media_error) {
        return ApiError::internal().into_response();
    }
    let not_found = || ApiError::not_found(uri.path()).into_response();
    if let Some(media_sid) = name.strip_suffix(".json") {
        let medium = medium(&sandbox, &message_sid).filter(|medium| medium.sid == media_sid);
        return medium.map_or_else(not_found, |medium| Json(medium.resource(&account_sid)).into_response());
    }
    let missing_for = Duration::from_millis(faults.media_missing_ms);
    let file = sandbox.shelf.find(|file| file.message_sid == message_sid && file.media_sid == name);
    let location = match file {
        Some(file) if file.given_at.elapsed() < missing_for => return not_found(),
        Some(file) => {
            // The name under which we are known to whoever asks.
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let base_url = host.map_or_else(|| sandbox.base_url(), |host| format!("http://{host}"));
            format!("{base_url}/sandbox/cdn/{}", file.link)
        }
        // What the account sent is where it said; Twilio has a copy.
        None => match medium(&sandbox, &message_sid) {
            Some(medium) if medium.sid == name && !medium.message.is_inbound() => medium.url,
            _ => return not_found(),
        },
    };
    let location = faults.media_redirect.unwrap_or(location);
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
}

/// `DELETE …/Messages/{message}/Media/{media}.json`
pub(crate) async fn delete(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Path((_, message_sid, name)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let media_sid = name.strip_suffix(".json").unwrap_or(&name);
    let unknown = || ApiError::not_found(uri.path());
    medium(&sandbox, &message_sid).filter(|medium| medium.sid == media_sid).ok_or_else(unknown)?;
    sandbox.change(&message_sid, |message| message.media_url = None)?.ok_or_else(unknown)?;
    sandbox.shelf.remove(media_sid);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET …/Messages/{message}/Media.json`: the files of a message.
pub(crate) async fn list(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Path((account_sid, message_sid)): Path<(String, String)>,
) -> Response {
    if sandbox.happens(sandbox.faults().media_list_error) {
        return ApiError::internal().into_response();
    }
    if sandbox.message(&message_sid).is_none_or(|message| message.deleted) {
        return ApiError::not_found(uri.path()).into_response();
    }
    let listed: Vec<Value> =
        medium(&sandbox, &message_sid).iter().map(|medium| medium.resource(&account_sid)).collect();
    let path = uri.path();
    Json(json!({
        "media_list": listed,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": 0,
        "first_page_uri": format!("{path}?PageSize=50&Page=0"),
        "previous_page_uri": null,
        "next_page_uri": null,
        "uri": format!("{path}?PageSize=50&Page=0"),
    }))
    .into_response()
}

/// The file of a message as the Media resource has it.
struct Medium {
    message: SandboxMessage,
    sid: String,
    content_type: String,
    /// Where the webhook said that it is, or where the account said.
    url: String,
}

impl Medium {
    fn resource(&self, account_sid: &str) -> Value {
        let Self { message, sid, content_type, .. } = self;
        json!({
            "sid": sid,
            "account_sid": account_sid,
            "parent_sid": message.sid,
            "content_type": content_type,
            "date_created": rfc2822(message.created_at),
            "date_updated": rfc2822(message.created_at),
            "uri": format!("/2010-04-01/Accounts/{account_sid}/Messages/{}/Media/{sid}.json", message.sid),
        })
    }
}

/// WhatsApp carries one file in a message. A file that is no file of ours gets its message's digits.
fn medium(sandbox: &SandboxState, message_sid: &str) -> Option<Medium> {
    let message = sandbox.message(message_sid).filter(|message| !message.deleted)?;
    let url = message.media_url.clone()?;
    let own = url.rsplit('/').next().filter(|name| {
        url.contains(&format!("/Messages/{message_sid}/Media/"))
            && name.strip_prefix("ME").is_some_and(|hex| hex.len() == 32)
    });
    let sid = own.map_or_else(|| format!("ME{}", message_sid.get(2..).unwrap_or_default()), str::to_owned);
    let content_type = attachment(sandbox, &url).content_type;
    Some(Medium { message, sid, content_type, url })
}

/// The type of a file of which nobody says anything.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What a webhook says of a file.
pub(crate) struct SandboxAttachment {
    pub(crate) message_sid: String,
    pub(crate) content_type: String,
}

/// What a webhook says of the file with this URL, which may be anybody's.
pub(crate) fn attachment(sandbox: &SandboxState, url: &str) -> SandboxAttachment {
    let account_sid = &sandbox.settings.account_sid;
    let file = sandbox.shelf.find(|file| url.ends_with(&file.path(account_sid)));
    // A file that was sent before is in another message now.
    let sid = file.as_ref().map(|file| file.message_sid.clone()).filter(|sid| sandbox.message(sid).is_none());
    SandboxAttachment {
        message_sid: sid.unwrap_or_else(|| format!("MM{}", random_hex())),
        content_type: file.map_or_else(|| UNKNOWN_TYPE.to_owned(), |file| file.content_type.clone()),
    }
}

/// `MessageType` for a file of this content type.
pub(crate) fn message_type(content_type: &str) -> &'static str {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.split_once('/') {
        Some(("image", "webp")) => "sticker",
        Some(("image", _)) => "image",
        Some(("audio", _)) => "audio",
        Some(("video", _)) => "video",
        Some(("text", "vcard" | "x-vcard")) => "contacts",
        _ => "document",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_type_makes_the_type_of_its_message() {
        let cases = [
            ("image/jpeg", "image"),
            ("image/webp", "sticker"),
            ("audio/ogg; codecs=opus", "audio"),
            ("Video/MP4", "video"),
            ("text/vcard", "contacts"),
            ("text/x-vcard; charset=utf-8", "contacts"),
            ("application/pdf", "document"),
            ("text/plain", "document"),
            ("nonsense", "document"),
        ];

        for (content_type, expected) in cases {
            assert_eq!(message_type(content_type), expected, "{content_type}");
        }
    }
}
