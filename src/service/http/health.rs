//! `/healthz`: does this process work; `/readyz`: can it work now.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use sqlx::PgPool;

/// Readiness must be answered quickly, also when the database is not.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) pg: PgPool,
    /// How long the workers' lease has been silent; `None`: this process has no workers.
    pub(crate) silent_for: Option<Arc<dyn Fn() -> Duration + Send + Sync>>,
    pub(crate) lease: Duration,
}

/// 200 while the workers keep their lease. A lost one comes back by itself when the database does, so a process is only called
/// dead after three leases.
pub(crate) async fn live(State(health): State<Health>) -> (StatusCode, String) {
    match health.silent_for.map(|silent_for| silent_for()) {
        Some(silent) if silent > health.lease * 3 => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the workers have not renewed their lease for {} s\n", silent.as_secs()))
        }
        _ => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// 200 while the database answers.
pub(crate) async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(READY_TIMEOUT, sqlx::query("SELECT 1").execute(&health.pg)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
