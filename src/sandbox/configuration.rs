//! What an account has configured at Twilio's other products: what WhatsApp says of its templates (`/v1/Content`), and its webhook Rules and Settings
//! (`/v1/Webhooks`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::faults::Approval;
use crate::resource::check_credentials;
use crate::state::SandboxState;

/// `GET /v1/Content/{sid}/ApprovalRequests`
pub(crate) async fn approval(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path(sid): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check(&sandbox, &headers)?;
    let unknown = || ApiError::not_found(&format!("/v1/Content/{sid}/ApprovalRequests"));
    if !sid.starts_with("HX") || sid.len() != 34 {
        return Err(unknown());
    }
    let usual = Approval { category: "UTILITY".to_owned(), status: "approved".to_owned() };
    let asked = sandbox.faults().approvals.get(&sid).cloned();
    let Approval { category, status } = asked.unwrap_or(Some(usual)).ok_or_else(unknown)?;
    Ok(Json(json!({
        "account_sid": sandbox.settings.account_sid,
        "sid": sid,
        "whatsapp": {
            "type": "whatsapp",
            "name": format!("template_{}", &sid[2..8]),
            "category": category,
            "content_type": "twilio/text",
            "status": status,
            "rejection_reason": "",
            "allow_category_change": true,
            "flows": null,
        },
        "url": format!("https://content.twilio.com/v1/Content/{sid}/ApprovalRequests"),
    })))
}

/// `GET /v1/Webhooks/Rules`
pub(crate) async fn rules(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check(&sandbox, &headers)?;
    Ok(page("rules", sandbox.faults().webhook_rules))
}

/// `GET /v1/Webhooks/Settings`
pub(crate) async fn settings(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check(&sandbox, &headers)?;
    Ok(page("settings", sandbox.faults().webhook_settings))
}

fn check(sandbox: &SandboxState, headers: &HeaderMap) -> Result<(), ApiError> {
    check_credentials(sandbox, headers)?;
    let status = sandbox.faults().configuration_status.and_then(|status| StatusCode::from_u16(status).ok());
    status.map_or(Ok(()), |status| Err(ApiError::new(status, 20_003, "Permission denied")))
}

/// A list as Twilio's newer products give it, on one page.
fn page(key: &str, entries: Vec<Value>) -> Json<Value> {
    Json(json!({ key: entries, "meta": { "key": key, "pageSize": 100 } }))
}
