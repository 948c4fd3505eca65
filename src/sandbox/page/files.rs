//! `GET /sandbox/files/{sid}`: the file of a message, as its phone shows it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;

use crate::shelf::ShelfFile;
use crate::state::SandboxState;

/// Of a file that the service sends; WhatsApp takes 16 MB.
const LIMIT_BYTES: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pictures that a browser shows without running anything in them.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A person's file that the sandbox still has.
pub(super) fn of_person(sandbox: &SandboxState, url: &str) -> Option<Arc<ShelfFile>> {
    let account_sid = &sandbox.settings.account_sid;
    sandbox.shelf.find(|file| url.ends_with(&file.path(account_sid)))
}

/// Whether a browser shows files of this type as pictures.
pub(super) fn is_picture(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    PICTURES.contains(&kind.as_str())
}

/// Where the file of this message is.
pub(super) fn url(sid: &str) -> String {
    // An id may be anything that a person's form named.
    let sid: String = url::form_urlencoded::byte_serialize(sid.as_bytes()).collect();
    format!("/sandbox/files/{}", sid.replace('+', "%20"))
}

pub(super) async fn file(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path(sid): Path<String>,
) -> Response {
    let Some((message, url)) =
        sandbox.message(&sid).and_then(|message| Some((message.clone(), message.media_url?)))
    else {
        return (StatusCode::NOT_FOUND, "this message has no file\n").into_response();
    };
    if let Some(file) = of_person(&sandbox, &url) {
        return shown(&file.content_type, file.name.as_deref(), file.bytes.clone());
    }
    if message.is_inbound() {
        return (StatusCode::NOT_FOUND, "the sandbox has this file no more: it keeps the last 32\n")
            .into_response();
    }
    match fetched(&sandbox, &url).await {
        Ok((content_type, bytes)) => shown(&content_type, None, bytes),
        Err(why) => {
            (StatusCode::BAD_GATEWAY, format!("the file {url} cannot be shown: {why}\n")).into_response()
        }
    }
}

/// What the service gave the URL of: Twilio fetches it, too.
async fn fetched(sandbox: &SandboxState, url: &str) -> Result<(String, Bytes), String> {
    let said = |error: reqwest::Error| error.to_string();
    let answer = sandbox.http.get(url).timeout(TIMEOUT).send().await.map_err(said)?;
    let answer = answer.error_for_status().map_err(said)?;
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
    let mut bytes = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.map_err(said)?);
        if bytes.len() > LIMIT_BYTES {
            return Err(format!("it has more than {LIMIT_BYTES} bytes"));
        }
    }
    Ok((content_type, bytes.into()))
}

/// A picture, or a file to keep: opened at this address it could otherwise run as a page of the sandbox's.
fn shown(content_type: &str, name: Option<&str>, bytes: Bytes) -> Response {
    let is_picture = is_picture(content_type);
    let kind = if is_picture { content_type } else { "application/octet-stream" };
    let name: String = name
        .unwrap_or("file")
        .chars()
        .map(|sign| if sign.is_ascii_alphanumeric() || ".-_ ".contains(sign) { sign } else { '_' })
        .collect();
    let disposition = format!("{}; filename=\"{name}\"", if is_picture { "inline" } else { "attachment" });
    let header = |value: &str| {
        HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("application/octet-stream"))
    };
    let headers = [
        (header::CONTENT_TYPE, header(kind)),
        (header::CONTENT_DISPOSITION, header(&disposition)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    (headers, bytes).into_response()
}
