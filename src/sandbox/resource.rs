//! What the routes under an account share, and the routes of one message.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{self, OriginalUri, Path, RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::message::{SandboxMessage, rfc2822};
use crate::state::SandboxState;
use crate::{clock, status};

/// Twilio's ids are 32 hex digits behind two letters.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Lets the account's own requests through. Twilio answers 401 to wrong credentials and 404 to another account's path.
pub(crate) async fn authenticate(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    if let Err(error) = check_credentials(&sandbox, request.headers()) {
        return error.into_response();
    }
    let account = params.iter().find(|(name, _)| *name == "account").map(|(_, value)| value.to_owned());
    if account.as_deref() != Some(sandbox.settings.account_sid.as_str()) {
        return ApiError::not_found(request.uri().path()).into_response();
    }
    next.run(request).await
}

/// For the account's own requests.
pub(crate) fn check_credentials(sandbox: &SandboxState, headers: &HeaderMap) -> Result<(), ApiError> {
    let settings = &sandbox.settings;
    let of_account = format!("{}:{}", settings.account_sid, settings.auth_token.expose_secret());
    let of_key = settings.api_key.as_ref().map(|(sid, secret)| format!("{sid}:{}", secret.expose_secret()));
    let given = basic_credentials(headers).unwrap_or_default();
    if [Some(of_account), of_key].into_iter().flatten().any(|known| known.as_bytes() == given) {
        return Ok(());
    }
    let key = settings
        .api_key
        .as_ref()
        .map_or_else(|| "no API key".to_owned(), |(sid, _)| format!("the API key {sid} with its secret"));
    let reason = format!("Authenticate: the sandbox takes its account with the auth token, and {key}");
    Err(ApiError::new(StatusCode::UNAUTHORIZED, 20003, reason))
}

fn basic_credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    STANDARD.decode(value.strip_prefix("Basic ")?).ok()
}

/// `GET …/Messages/{sid}.json`
pub(crate) async fn fetch(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path((_, name)): Path<(String, String)>,
) -> Response {
    let sid = name.trim_end_matches(".json");
    match sandbox.message(sid).filter(|message| sandbox.is_listed(message, clock::now())) {
        Some(message) => Json(shown(&sandbox, message)).into_response(),
        None => ApiError::not_found(&format!("/Messages/{name}")).into_response(),
    }
}

/// A message as lists and fetches show it, faults included.
pub(crate) fn shown(sandbox: &SandboxState, mut message: SandboxMessage) -> Value {
    let faults = sandbox.faults();
    if sandbox.happens(faults.redacted) {
        message.body.clear();
    }
    if let Some((_, status)) = faults.fixed_status.filter(|(sid, _)| *sid == message.sid) {
        message.status = status;
    }
    if let Some(text) = message.content_sid.as_ref().and_then(|sid| faults.template_texts.get(sid)) {
        message.body = filled(text, message.content_variables.as_deref());
    }
    if sandbox.happens(faults.masked_numbers) {
        let person = if message.is_inbound() { &mut message.from } else { &mut message.to };
        *person = masked(person);
    }
    let mut resource = message.resource(&sandbox.settings.account_sid);
    for name in &faults.null_fields {
        if let Some(field) = resource.get_mut(name) {
            *field = Value::Null;
        }
    }
    resource
}

/// A template's text with its variables.
pub(crate) fn filled(text: &str, variables: Option<&str>) -> String {
    let variables: BTreeMap<String, String> =
        variables.and_then(|variables| serde_json::from_str(variables).ok()).unwrap_or_default();
    variables
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// As Twilio shows a number that is hidden: `whatsapp:+1500555XXXX`.
pub(crate) fn masked(address: &str) -> String {
    let kept = address.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    format!("{}XXXX", &address[..kept])
}

/// `POST …/Messages/{sid}.json`: an empty `Body` redacts the text, the `Status` `canceled` calls off a scheduled message.
pub(crate) async fn update(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path((_, name)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (field("Body"), field("Status")) {
        (_, Some(status::CANCELED)) => return cancel(&sandbox, &name).into_response(),
        (Some(""), None) => {}
        _ => {
            let reason = "Only an empty Body, or the Status canceled, is accepted";
            return ApiError::bad(20001, reason).into_response();
        }
    }
    change(&sandbox, &name, |message| message.body.clear())
        .map(|message| Json(message.resource(&sandbox.settings.account_sid)))
        .into_response()
}

fn cancel(sandbox: &SandboxState, name: &str) -> Result<Json<Value>, ApiError> {
    let mut canceled = false;
    let message = change(sandbox, name, |message| {
        canceled = message.status == "scheduled";
        if canceled {
            message.status = status::CANCELED.to_owned();
        }
    })?;
    if !canceled {
        return Err(ApiError::new(StatusCode::CONFLICT, 30409, "This message cannot be canceled"));
    }
    Ok(Json(message.resource(&sandbox.settings.account_sid)))
}

/// `POST …/Messages/{sid}/Feedback.json`: what the account learned of a message. It is answered and not kept.
pub(crate) async fn feedback(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Path((account_sid, sid)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    sandbox
        .message(&sid)
        .filter(|message| !message.deleted)
        .ok_or_else(|| ApiError::not_found(uri.path()))?;
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let outcome =
        form.iter().find(|(key, _)| key == "Outcome").map_or("confirmed", |(_, value)| value.as_str());
    if !matches!(outcome, "confirmed" | "unconfirmed") {
        return Err(ApiError::bad(20001, "The parameter Outcome is invalid: confirmed or unconfirmed"));
    }
    let now = rfc2822(clock::now());
    let feedback = json!({
        "account_sid": account_sid,
        "message_sid": sid,
        "outcome": outcome,
        "date_created": now,
        "date_updated": now,
        "uri": uri.path(),
    });
    Ok((StatusCode::CREATED, Json(feedback)))
}

/// `DELETE …/Messages/{sid}.json` takes a message from Twilio's routes, also one that is still under way; `/sandbox/messages` keeps it,
/// with its mark.
pub(crate) async fn delete(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path((_, name)): Path<(String, String)>,
) -> Response {
    change(&sandbox, &name, |message| message.deleted = true).map(|_| StatusCode::NO_CONTENT).into_response()
}

/// Changes the message of this name, `SM….json`, unless it was deleted.
fn change(
    sandbox: &SandboxState,
    name: &str,
    change: impl FnOnce(&mut SandboxMessage),
) -> Result<SandboxMessage, ApiError> {
    let sid = name.trim_end_matches(".json");
    let changed = match sandbox.message(sid) {
        Some(message) if !message.deleted => sandbox.change(sid, change)?,
        _ => None,
    };
    changed.ok_or_else(|| ApiError::not_found(&format!("/Messages/{name}")))
}
