//! `POST /v3/Indicators/Typing.json`: a person sees that the message was read, and that somebody types.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::clock;
use crate::resource::check_credentials;
use crate::state::SandboxState;

/// As Twilio's OpenAPI has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Indicator {
    /// `WHATSAPP`, in capitals.
    channel: String,
    /// The inbound message that is being answered.
    message_id: String,
}

pub(crate) async fn show(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    check_credentials(&sandbox, &headers)?;
    if sandbox.happens(sandbox.faults().typing_error) {
        return Err(ApiError::internal());
    }
    let indicator: Indicator = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad(20001, "The body must be JSON with the texts channel and messageId"))?;
    if indicator.channel != "WHATSAPP" {
        return Err(ApiError::bad(20001, "The parameter channel is invalid: only WHATSAPP is supported"));
    }
    let sid = &indicator.message_id;
    let unknown = || ApiError::not_found(&format!("/Messages/{sid}"));
    sandbox.message(sid).filter(|message| message.is_inbound() && !message.deleted).ok_or_else(unknown)?;
    sandbox.change(sid, |message| message.typing_at = Some(clock::now()))?.ok_or_else(unknown)?;
    Ok(Json(json!({"success": true})))
}
