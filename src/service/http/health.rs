//! `/healthz`: does this process work; `/readyz`: can it do now what it was started for.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use queue::connections::Connections;
use queue::workers::Pulse;
use store::processes::Role;
use tokio_util::sync::CancellationToken;

use crate::roles::Roles;
use crate::scheduler::pulse::SchedulerPulse;

/// Readiness must be answered quickly, also when the database is not.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the process was told to end by has come; what it still answers is for those who have not heard of it.
const STOPPING: &str = "this process stops";

#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) roles: Roles,
    /// For nobody else.
    pub(crate) pg: Connections,
    /// Of the workers, where this process has some.
    pub(crate) workers: Option<Pulse>,
    pub(crate) lease: Duration,
    /// Of the scheduler, where this process has one.
    pub(crate) scheduler: Option<SchedulerPulse>,
    /// The process was told to stop.
    pub(crate) stopping: CancellationToken,
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

/// 200 while the process works.
pub(crate) async fn live(State(health): State<Health>) -> (StatusCode, String) {
    match health.dead() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// 200 while the process can do what it is for; the body has a line for each of its roles. A balancer sends requests to receivers and
/// consoles, so these decide where the process is one; workers and the scheduler decide where it is neither.
pub(crate) async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let states = health.states().await;
    let is_asked = |role: &Role| matches!(role, Role::Receiver | Role::Console);
    let serves = states.iter().any(|(role, _)| is_asked(role));
    let mut deciding = states.iter().filter(|(role, _)| !serves || is_asked(role));
    let trouble = match health.stopping.is_cancelled() {
        true => Some(STOPPING),
        false => deciding.find_map(|(_, trouble)| *trouble),
    };
    let lines = states.iter().map(|(role, trouble)| format!("{role}: {}\n", trouble.unwrap_or("ok")));
    let (status, first) = verdict(trouble);
    (status, first + &lines.collect::<String>())
}

/// The same of one role.
pub(crate) async fn ready_role(
    State(health): State<Health>,
    Path(name): Path<String>,
) -> (StatusCode, String) {
    let states = health.states().await;
    match states.into_iter().find(|(role, _)| role.as_str() == name) {
        Some(_) if health.stopping.is_cancelled() => verdict(Some(STOPPING)),
        Some((_, trouble)) => verdict(trouble),
        None => (StatusCode::NOT_FOUND, format!("the roles of this process are {}\n", health.roles)),
    }
}

fn verdict(trouble: Option<&str>) -> (StatusCode, String) {
    match trouble {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

impl Health {
    /// Why this process is to be ended by force; `None`: it works. A lost lease comes back by itself when the database does, so a process
    /// is only called dead after three leases.
    pub(crate) fn dead(&self) -> Option<String> {
        let silent = self.workers.as_ref()?.silent_for();
        let seconds = silent.as_secs();
        (silent > self.lease * 3).then(|| format!("the workers have not renewed their lease for {seconds} s"))
    }

    /// Each role of this process, with what is wrong.
    async fn states(&self) -> Vec<(Role, Option<&'static str>)> {
        let refused = self.refused_writes().await;
        let state = |role| match role {
            Role::Receiver | Role::Console => refused,
            Role::Workers => {
                let has_lease = self.workers.as_ref().is_some_and(Pulse::has_lease);
                (!has_lease).then_some("the lease was lost, or could not be renewed")
            }
            Role::Scheduler => self.scheduler.as_ref().and_then(SchedulerPulse::trouble),
        };
        self.roles.list().iter().map(|role| (*role, state(*role))).collect()
    }

    /// Why the database takes no writes; `None`: it does. What a balancer sends here must be stored.
    async fn refused_writes(&self) -> Option<&'static str> {
        match tokio::time::timeout(READY_TIMEOUT, self.pg.can_write()).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some("the database is read-only"),
            Ok(Err(error)) if error.as_database_error().is_some() => Some("the database refuses a write"),
            Ok(Err(_)) | Err(_) => Some("the database does not answer"),
        }
    }
}
