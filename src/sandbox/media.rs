//! Files that people send. `/sandbox/media` takes one; the Media resource shows it to the account alone and sends it on to the CDN, which
//! gives it to whoever has the link.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{self, OriginalUri, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::resource::random_hex;
use crate::shelf::ShelfFile;
use crate::state::SandboxState;

/// Of one file.
pub(crate) const SIZE_LIMIT_BYTES: usize = 64 << 20;

/// What stands behind a file's own bytes if a fault makes it larger.
static PADDING: [u8; 1 << 16] = [0; 1 << 16];

/// `PUT /sandbox/media`: a person's file, raw, with its content type. The answer has the URL that a webhook gives for it.
pub(crate) async fn put(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or(UNKNOWN_TYPE);
    let url = sandbox.add_media(content_type, body);
    Json(json!({"url": url, "contentType": content_type}))
}

/// `GET …/Messages/{message}/Media/{media}` sends whoever has the account on to the file, as Twilio does.
pub(crate) async fn fetch(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Path((_, message_sid, media_sid)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let faults = sandbox.faults();
    if sandbox.happens(faults.media_error) {
        return ApiError::internal().into_response();
    }
    let missing_for = Duration::from_millis(faults.media_missing_ms);
    let file = sandbox.shelf.find(|file| {
        file.message_sid == message_sid
            && file.media_sid == media_sid
            && file.given_at.elapsed() >= missing_for
    });
    let Some(file) = file else { return ApiError::not_found(uri.path()).into_response() };
    // The name under which we are known to whoever asks.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base_url = host.map_or_else(|| sandbox.base_url(), |host| format!("http://{host}"));
    let location = faults.media_redirect.unwrap_or_else(|| format!("{base_url}/sandbox/cdn/{}", file.link));
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
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
    let Some(message) = sandbox.message(&message_sid).filter(|message| !message.deleted) else {
        return ApiError::not_found(uri.path()).into_response();
    };
    let listed: Vec<Value> = message
        .media_url
        .iter()
        .map(|url| {
            let path = url.find("/2010-04-01/").map_or(url.as_str(), |begin| &url[begin..]);
            json!({
                "sid": path.rsplit('/').next(),
                "account_sid": account_sid,
                "parent_sid": message_sid,
                "content_type": attachment(&sandbox, url).content_type,
                "date_created": message.created_at.to_rfc2822(),
                "date_updated": message.updated_at.to_rfc2822(),
                "uri": format!("{path}.json"),
            })
        })
        .collect();
    Json(
        json!({ "media_list": listed, "page": 0, "page_size": 50, "next_page_uri": null, "uri": uri.path() }),
    )
    .into_response()
}

/// `GET /sandbox/cdn/{link}`: the file. The link is the permission, and as at a presigned URL of S3 a second one is an error.
pub(crate) async fn cdn(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        return (StatusCode::BAD_REQUEST, "Only one auth mechanism allowed").into_response();
    }
    let Some(file) = sandbox.shelf.find(|file| file.link == link) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let faults = sandbox.faults();
    let size_bytes = faults.media_size_bytes.unwrap_or(file.bytes.len() as u64);
    let headers =
        [(header::CONTENT_TYPE, file.content_type.clone()), (header::CONTENT_LENGTH, size_bytes.to_string())];
    (headers, drip(file, size_bytes, Duration::from_millis(faults.media_drip_ms))).into_response()
}

/// So many bytes of a file and of what stands behind it: one by one with a pause before each, or as fast as they are taken.
fn drip(file: Arc<ShelfFile>, size_bytes: u64, pause: Duration) -> Body {
    let piece_bytes = if pause.is_zero() { PADDING.len() } else { 1 };
    Body::from_stream(stream::unfold(0, move |sent: u64| {
        let file = file.clone();
        async move {
            if sent >= size_bytes {
                return None;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let left = usize::try_from(size_bytes - sent).unwrap_or(usize::MAX);
            let mut piece = usize::try_from(sent)
                .ok()
                .filter(|sent| *sent < file.bytes.len())
                .map_or(Bytes::from_static(&PADDING), |sent| file.bytes.slice(sent..));
            piece.truncate(piece_bytes.min(left));
            let sent = sent + piece.len() as u64;
            Some((Ok::<_, std::convert::Infallible>(piece), sent))
        }
    }))
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
