//! `/healthz`: does this process work; `/readyz`: can it work now.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use queue::connections::Connections;
use queue::workers::Pulse;

/// Readiness must be answered quickly, also when the database is not.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Health {
    /// For nobody else.
    pub(crate) pg: Connections,
    pub(crate) pulse: Pulse,
    pub(crate) lease: Duration,
}

/// What this is, for whoever opens the address. Twilio, which would send a person what it reads here, is told nothing.
pub(crate) async fn root(headers: HeaderMap) -> Response {
    if headers.contains_key("x-twilio-signature") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let what = serde_json::json!({
        "service": "CloudyBot's WhatsApp channel",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "/openapi.json",
        "health": ["/healthz", "/readyz"],
    });
    axum::Json(what).into_response()
}

/// 200 while the workers keep their lease. A lost one comes back by itself when the database does, so a process is only called
/// dead after three leases.
pub(crate) async fn live(State(health): State<Health>) -> (StatusCode, String) {
    let silent = health.pulse.silent_for();
    if silent > health.lease * 3 {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the workers have not renewed their lease for {} s\n", silent.as_secs()),
        );
    }
    (StatusCode::OK, "ok\n".to_owned())
}

/// 200 while the database takes writes: what a balancer sends here must be stored.
pub(crate) async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    let unavailable = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    match tokio::time::timeout(READY_TIMEOUT, health.pg.can_write()).await {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n"),
        Ok(Ok(false)) => unavailable("the database is read-only\n"),
        Ok(Err(error)) if error.as_database_error().is_some() => {
            unavailable("the database refuses a write\n")
        }
        Ok(Err(_)) | Err(_) => unavailable("the database does not answer\n"),
    }
}
