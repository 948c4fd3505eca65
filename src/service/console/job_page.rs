//! `/admin/jobs/{id}`: one job with all that is known of it, and what can be done.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use queue::inspection::{JobAction, JobDetail};
use queue::job::JobId;
use queue::job_state::JobState;
use serde_json::Value;

use super::Console;
use super::dead_jobs;
use super::failure::Failed;
use super::filters::{self, Wanted};
use super::flash::{Done, Flash};
use super::job_states::StateDiagram;
use super::parts::{Action, Cell, Section, Sections, Table, Tone};
use super::tones::Toned as _;
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;
use crate::retries;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/jobs/{id}", get(page))
        .route("/admin/jobs/{id}/retry", post(retry))
        .route("/admin/jobs/{id}/cancel", post(cancel))
        .route("/admin/jobs/{id}/run-now", post(run_now))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(id): Path<i64>,
    Query(among): Query<Wanted>,
) -> Result<Sections, Failed> {
    let job = admin.queue.show(JobId(id)).await?;
    let job = job.ok_or_else(|| Failed::missing(format!("Job {id} is not remembered.")))?;
    let title = format!("Job {id}: {}", job.summary.kind);
    let mut sections = sections(&job);
    let mut next = None;
    if job.summary.state == JobState::Dead {
        sections.insert(1, dead_jobs::section(&who, id, &among));
        next = dead_jobs::next(&admin.queue, id, &among).await?;
    }
    Ok(Sections::new(&who, "/admin/jobs", flash, title, sections).up("/admin/jobs", "Jobs").next(next))
}

fn sections(job: &JobDetail) -> Vec<Section> {
    let (summary, rest) = (&job.summary, &job.rest);
    let most = rest.max_attempts.map(|most| format!(" of {most}")).unwrap_or_default();
    let facts = [
        ("State", Cell::tag(summary.state.to_string(), summary.state.tone())),
        ("Why", Cell::maybe(summary.reason.clone())),
        ("Pool", Cell::text(&summary.pool)),
        ("Lane", Cell::maybe(summary.lane.clone())),
        ("Failed attempts", Cell::text(format!("{}{most}", summary.failed_attempts))),
        ("Enqueued", Cell::moment(summary.created_at)),
        ("Not before", Cell::maybe_moment(summary.run_at)),
        ("Last begun", Cell::maybe_moment(rest.claimed_at)),
        ("Ended", Cell::maybe_moment(summary.finished_at)),
        (
            "Its process died under it",
            Cell::maybe((rest.crashes > 0).then(|| format!("{} times", rest.crashes))),
        ),
        ("Unique key", Cell::maybe(rest.unique_key.clone())),
        ("Trace", Cell::maybe(rest.traceparent.clone())),
    ];
    let mut actions = Vec::new();
    if summary.state == JobState::Dead {
        let retry = Action::new("Retry", format!("/admin/jobs/{}/retry", summary.id));
        actions.push(retry);
    }
    if summary.state == JobState::Scheduled {
        let run_now = Action::new("Run now", format!("/admin/jobs/{}/run-now", summary.id));
        actions.push(run_now);
    }
    if !matches!(summary.state, JobState::Done | JobState::Cancelled) {
        let what = match summary.state {
            JobState::Dead => "It is put away; what it was to do is not done.",
            JobState::Running => "It is asked to stop. What it has done stays done.",
            _ => "It ends now; what it was to do is not done.",
        };
        let cancel = Action::new("Cancel", format!("/admin/jobs/{}/cancel", summary.id));
        actions.push(cancel.confirmed(what).danger());
    }
    let attempts = job.attempts.iter().map(|attempt| {
        [
            Cell::text(attempt.attempt.to_string()),
            Cell::tag(attempt.outcome.to_string(), Tone::Plain),
            Cell::maybe_moment(attempt.started_at),
            Cell::moment(attempt.ended_at),
            Cell::maybe(attempt.error.clone()),
        ]
    });
    let head = ["Attempt", "Ended as", "Begun", "Ended", "What went wrong"];
    let attempts =
        Table::new(head, attempts, "Every attempt so far has simply succeeded, or there was none.");
    vec![
        Section::new("").facts(facts).actions(actions),
        Section::new("Where it stands").states(StateDiagram::at(summary.state)),
        Section::new("Concerns").facts(concerns(&rest.payload)),
        Section::new("Attempts").table(attempts),
        Section::new("Payload").pre(filters::pretty(&rest.payload)),
    ]
}

/// What the payload's ids lead to.
fn concerns(payload: &Value) -> Vec<(&'static str, Cell)> {
    let number = |name: &str| payload.get(name).and_then(Value::as_i64);
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    let mut facts = Vec::new();
    if let Some(message) = number("message") {
        facts.push((
            "Message",
            Cell::link(format!("the story of message {message}"), format!("/admin/messages/{message}")),
        ));
    }
    if let Some(turn) = number("turn") {
        facts.push(("Turn", Cell::link(format!("turn {turn}"), format!("/admin/turns/{turn}"))));
    }
    if let Some(delivery) = text("delivery") {
        facts.push(("Delivery", Cell::link(delivery, format!("/admin/deliveries/{delivery}"))));
    }
    if let Some(schedule) = text("schedule") {
        facts.push(("Schedule", Cell::link(schedule, format!("/admin/schedules/{schedule}"))));
    }
    if let Some(user) = text("user") {
        facts.push(("User", Cell::link(user, filters::address("/admin/person", &[("user", Some(user))]))));
    }
    facts
}

async fn retry(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    Ok(Done::new(format!("/admin/jobs/{id}"), retry_one(&admin, &who, id).await?))
}

/// Tries a dead job again; returns what came of it.
pub(super) async fn retry_one(admin: &Admin, who: &Administrator, id: i64) -> Result<String, Failed> {
    let Admin { pg, queue, settings, .. } = admin;
    let mut outcomes = Vec::new();
    retries::retry_all(queue, pg, settings, &[JobId(id)], &who.name, &mut outcomes).await?;
    let said =
        outcomes.first().map(|retried| format!("Job {id}: {}, {}", retried.outcome.as_str(), retried.detail));
    Ok(said.unwrap_or_default())
}

async fn cancel(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    Ok(Done::new(format!("/admin/jobs/{id}"), cancel_one(&admin, &who, id).await?))
}

/// Cancels a job; returns what came of it.
pub(super) async fn cancel_one(admin: &Admin, who: &Administrator, id: i64) -> Result<String, Failed> {
    let outcome = admin.queue.act_on(JobAction::Cancel, JobId(id), &who.name).await?;
    Ok(format!("Job {id}: {}.", outcome.outcome.as_str()))
}

async fn run_now(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    admin.queue.run_now(JobId(id), &who.name).await.map_err(Problem::from)?;
    Ok(Done::new(format!("/admin/jobs/{id}"), format!("Job {id} is due now.")))
}
