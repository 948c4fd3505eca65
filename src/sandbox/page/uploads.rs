//! `POST /sandbox/phone/message`: the person at a phone writes, sends a file or a place, or presses a button.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::forms::{Origin, person};
use super::phones::usual_name;
use crate::inbound;
use crate::state::SandboxState;

/// What a form may tell of a message, under Twilio's names.
const PARAMETERS: [&str; 9] = [
    "Body",
    "ButtonText",
    "ButtonPayload",
    "OriginalRepliedMessageSid",
    "OriginalRepliedMessageSender",
    "Latitude",
    "Longitude",
    "Label",
    "Address",
];

/// A form with perhaps one file.
#[derive(Default)]
struct Form {
    fields: Vec<(String, String)>,
    file: Option<File>,
}

struct File {
    content_type: String,
    name: Option<String>,
    bytes: Bytes,
}

pub(super) async fn message(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    multipart: Multipart,
) -> Response {
    let form = match read(multipart).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let origin = Origin::of(&headers, &form.fields);
    let person = match person(&sandbox, &origin, &form.fields) {
        Ok(person) => person,
        Err(refused) => return *refused,
    };
    let Some(given) = parameters(&sandbox, &person, form) else {
        let why = "write something, or choose a file".to_owned();
        return origin.refused(&sandbox, StatusCode::BAD_REQUEST, why);
    };
    let why = match inbound::write(&sandbox, &given).await {
        Err(error) => return origin.refused(&sandbox, StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Ok(written) => match written.webhook {
            Some(Ok(answered)) if answered.status.as_u16() < 400 => return origin.done(),
            Some(Ok(answered)) => format!("the service answered {}", answered.status.as_u16()),
            Some(Err(reason)) => reason,
            None => return origin.done(),
        },
    };
    let why = format!("Sent, but the service did not take it: {why}. The list of requests shows more.");
    origin.refused(&sandbox, StatusCode::BAD_GATEWAY, why)
}

async fn read(mut multipart: Multipart) -> Result<Form, MultipartError> {
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            form.fields.push((name, field.text().await?));
            continue;
        }
        let file_name = field.file_name().filter(|name| !name.is_empty()).map(str::to_owned);
        let content_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
        let bytes = field.bytes().await?;
        // A browser sends an empty one where none was chosen.
        if file_name.is_some() || !bytes.is_empty() {
            form.file = Some(File { content_type, name: file_name, bytes });
        }
    }
    Ok(form)
}

/// What Twilio's webhook tells of it; `None`: there is nothing to tell.
fn parameters(sandbox: &SandboxState, person: &str, form: Form) -> Option<Vec<(String, String)>> {
    let mut given: Vec<(String, String)> = form
        .fields
        .into_iter()
        .filter(|(name, value)| PARAMETERS.contains(&name.as_str()) && !value.trim().is_empty())
        // Browsers send line breaks as two signs, and phones as one.
        .map(|(name, value)| (name, value.replace("\r\n", "\n")))
        .collect();
    let has = |given: &[(String, String)], name: &str| given.iter().any(|(key, _)| key == name);
    if given.is_empty() && form.file.is_none() {
        return None;
    }
    let kind = if has(&given, "ButtonText") {
        Some("button")
    } else if has(&given, "Latitude") {
        Some("location")
    } else {
        None
    };
    if let Some(kind) = kind {
        given.push(("MessageType".to_owned(), kind.to_owned()));
    }
    if let Some(File { content_type, name, bytes }) = form.file {
        given.push(("MediaUrl0".to_owned(), sandbox.add_media(&content_type, name, bytes)));
    }
    given.push(("From".to_owned(), person.to_owned()));
    let name = usual_name(person.trim_start_matches("whatsapp:"));
    given.push(("ProfileName".to_owned(), name.to_owned()));
    Some(given)
}
