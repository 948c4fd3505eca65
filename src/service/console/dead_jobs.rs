//! Dead jobs one after the other: a job is retried or cancelled and the next one of the list is shown, with the keyboard alone.

use axum::extract::{Path, Query, State};
use axum::routing::post;
use axum::{Extension, Router};
use queue::Queue;
use queue::inspection::JobCriteria;
use queue::job::JobId;
use queue::job_state::JobState;

use super::Console;
use super::failure::Failed;
use super::filters::Wanted;
use super::flash::Done;
use super::job_list::criteria;
use super::job_page;
use super::parts::{Action, Section};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/jobs/{id}/retry-and-next", post(retry))
        .route("/admin/jobs/{id}/cancel-and-next", post(cancel))
}

/// How browsers differ in access keys.
pub(super) const OTHER_KEYS: &str = "In Firefox `Alt+Shift`, on a Mac `Control+Option`, stand for `Alt`.";

/// What can be done with a dead job on the way to the next one of the list it was found in.
pub(super) fn section(who: &Administrator, id: i64, among: &Wanted) -> Section {
    let section = Section::new("One after the other");
    if !who.may_act {
        return section
            .lead(format!("With the keyboard: `Alt+N` shows the next older dead job. {OTHER_KEYS}"));
    }
    let retry = among.address(&format!("/admin/jobs/{id}/retry-and-next"), None);
    let cancel = among.address(&format!("/admin/jobs/{id}/cancel-and-next"), None);
    section
        .lead(format!(
            "With the keyboard: `Alt+R` retries this job and shows the next older dead one, `Alt+C` asks whether to cancel it, `Alt+N` leaves it and shows the next. {OTHER_KEYS}",
        ))
        .actions([
            Action::new("Retry and next", retry).key('r'),
            Action::new("Cancel and next", cancel)
                .key('c')
                .confirmed("It is put away; what it was to do is not done. Then the next one is shown.")
                .danger(),
        ])
}

/// The address of the next older dead job of a list; `None`: it is the last.
pub(super) async fn next(queue: &Queue, id: i64, among: &Wanted) -> Result<Option<String>, Failed> {
    let wanted = JobCriteria { state: Some(JobState::Dead), before: Some(JobId(id)), ..criteria(among)? };
    let list = queue.list(&wanted, 1).await?;
    Ok(list.jobs.first().map(|job| among.address(&format!("/admin/jobs/{}", job.id), None)))
}

async fn retry(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
    Query(among): Query<Wanted>,
) -> Result<Done, Failed> {
    let next = next(&admin.queue, id, &among).await?;
    let said = job_page::retry_one(&admin, &who, id).await?;
    Ok(done(next, said))
}

async fn cancel(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
    Query(among): Query<Wanted>,
) -> Result<Done, Failed> {
    let next = next(&admin.queue, id, &among).await?;
    let said = job_page::cancel_one(&admin, &who, id).await?;
    Ok(done(next, said))
}

/// Behind the last one the causes are shown, of those that are left and those that have died meanwhile.
fn done(next: Option<String>, said: String) -> Done {
    match next {
        Some(next) => Done::new(next, said),
        None => Done::new("/admin/groups", format!("{said}\nIt was the last one of the list.")),
    }
}
