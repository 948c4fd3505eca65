//! `/sandbox`: what is no part of Twilio.

use std::sync::Arc;

use axum::Json;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api_error::ApiError;
use crate::faults::Faults;
use crate::message::SandboxMessage;
use crate::state::SandboxState;

const HELP: &str = "\
A Twilio that runs on this machine. In a browser, HERE/sandbox has phones.

  write as a person     curl -d 'From=+15005550100' --data-urlencode 'Body=Hello' HERE/sandbox/inbound
  send a picture        curl -T cat.jpg -H 'content-type: image/jpeg' HERE/sandbox/media
  ... with its url      curl -d 'From=+15005550100' --data-urlencode 'MediaUrl0=...' HERE/sandbox/inbound
  see what was said     curl HERE/sandbox/messages
  forget it             curl -X DELETE HERE/sandbox/messages
  misbehave             curl -X PUT -H 'content-type: application/json' -d '{\"rate_limited\": 0.1}' HERE/sandbox/faults
  show a template       ... -d '{\"template_texts\": {\"HX...\": \"Hi {{1}}\"}, \"template_buttons\": {\"HX...\": [{\"title\": \"Yes\", \"id\": \"yes\"}]}}' ...
  behave again          curl -X DELETE HERE/sandbox/faults
";

pub(crate) async fn help(headers: axum::http::HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    HELP.replace("HERE", &format!("http://{host}"))
}

pub(crate) async fn messages(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
) -> Json<Vec<SandboxMessage>> {
    Json(sandbox.messages())
}

pub(crate) async fn clear(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
) -> Result<StatusCode, ApiError> {
    sandbox.clear()?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn faults(extract::State(sandbox): extract::State<Arc<SandboxState>>) -> Json<Faults> {
    Json(sandbox.faults())
}

pub(crate) async fn set_faults(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Json(faults): Json<Faults>,
) -> Response {
    if let Err(error) = faults.check() {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response();
    }
    sandbox.set_faults(faults.clone());
    Json(faults).into_response()
}

pub(crate) async fn no_faults(extract::State(sandbox): extract::State<Arc<SandboxState>>) -> StatusCode {
    sandbox.set_faults(Faults::default());
    StatusCode::NO_CONTENT
}
