//! What the routes under an account share, and the routes of one message.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use crate::api_error::ApiError;
use crate::clock;
use crate::message::SandboxMessage;
use crate::state::SandboxState;

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
    let auth_token = sandbox.settings.auth_token.expose_secret();
    let expected = format!("{}:{auth_token}", sandbox.settings.account_sid);
    if basic_credentials(headers).as_deref() != Some(expected.as_bytes()) {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate"));
    }
    Ok(())
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
pub(crate) fn shown(sandbox: &SandboxState, mut message: SandboxMessage) -> serde_json::Value {
    let faults = sandbox.faults();
    if sandbox.happens(faults.redacted) {
        message.body.clear();
    }
    if let Some((_, status)) = faults.fixed_status.filter(|(sid, _)| *sid == message.sid) {
        message.status = status;
    }
    message.resource(&sandbox.settings.account_sid)
}

/// `POST …/Messages/{sid}.json` with an empty `Body` redacts the text.
pub(crate) async fn update(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path((_, name)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let redacts = url::form_urlencoded::parse(&body).any(|(key, value)| key == "Body" && value.is_empty());
    if !redacts {
        return ApiError::bad(20001, "Only an empty Body is accepted").into_response();
    }
    change(&sandbox, &name, |message| message.body.clear())
        .map(|message| Json(message.resource(&sandbox.settings.account_sid)))
        .into_response()
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
