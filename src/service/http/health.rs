//! `/healthz`: does this process work; `/readyz`: can it work now.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use queue::workers::Pulse;
use sqlx::PgPool;

/// Readiness must be answered quickly, also when the database is not.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) pg: PgPool,
    pub(crate) pulse: Pulse,
    pub(crate) lease: Duration,
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

/// 200 while the database answers.
pub(crate) async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(READY_TIMEOUT, sqlx::query("SELECT 1").execute(&health.pg)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
