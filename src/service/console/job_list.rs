//! `/admin/jobs`: jobs by where they stand, of what kind and whose.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Extension, Router};
use queue::inspection::{JobCriteria, JobList, JobSummary};
use queue::job_state::JobState;

use super::failure::Failed;
use super::filters::{self, PAGE, Wanted};
use super::flash::Flash;
use super::parts::{Action, Cell, Field, Section, Sections, Table};
use super::tones::Toned as _;
use super::{Console, groups};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;

/// A reason in a list is cut after this.
const REASON_CHARS: usize = 160;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/admin/jobs", get(page))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let criteria = criteria(&wanted)?;
    let list = admin.queue.list(&criteria, PAGE).await?;
    let counts = admin.queue.stats().await?;
    let by_place = counts.iter().map(|count| {
        let (pool, kind) = (count.pool.as_str(), count.kind.as_str());
        let state = count.state.to_string();
        let fields = [("state", Some(state.as_str())), ("kind", Some(kind)), ("pool", Some(pool))];
        let jobs = if count.is_more { format!("{} or more", count.jobs) } else { count.jobs.to_string() };
        [
            Cell::tag(state.clone(), count.state.tone()),
            Cell::text(kind),
            Cell::text(pool),
            Cell::link(jobs, filters::address("/admin/jobs", &fields)),
            Cell::maybe_moment(count.oldest),
            Cell::maybe(count.paused.then_some("paused")),
        ]
    });
    let summary = Section::new("How many stand where").table(Table::new(
        ["State", "Kind", "Pool", "Jobs", "The oldest", ""],
        by_place,
        "No job is live or dead.",
    ));
    let rows = list.jobs.iter().map(|job| row(job, &wanted));
    let table = Table::new(
        ["Job", "State", "Kind", "Pool", "Lane", "Failed", "Enqueued", "Why"],
        rows,
        "No job fits.",
    );
    let next = list.next.map(|before| wanted.address("/admin/jobs", Some(&before.to_string())));
    let note = unread(&list, &criteria);
    let sections = vec![Section::new("").table(table).actions(bulk(&wanted, criteria.state)), summary];
    Ok(Sections::new(&who, "/admin/jobs", flash, "Jobs", sections)
        .filter(filter(&wanted))
        .next(next)
        .note(note))
}

/// What was searched, and what was not looked at.
fn unread(list: &JobList, criteria: &JobCriteria) -> Option<String> {
    let most = criteria.looked_at_in_words();
    let text = criteria.contains.as_ref().map(|text| {
        format!("Searched for `{}` in the payloads of the newest {most} jobs of the filter: live, finished and dead ones each. ", text.replace('`', "'"))
    });
    let live = list.unread_live_before.map(|before| {
        format!("Of live jobs the newest {most} were looked at; choose a kind, or a state to go on before job {before}. ")
    });
    let finished = list.unread_before.map(|before| {
        format!("Of finished jobs the newest {most} were looked at; choose the state `done` to go on before job {before}. ")
    });
    let dead = list.unread_dead_before.map(|before| {
        format!("Of dead jobs the newest {most} were looked at; choose the state `dead` to go on before job {before}.")
    });
    text.into_iter().chain(live).chain(finished).chain(dead).reduce(|one, other| one + &other)
}

/// What can be done with all that match.
fn bulk(wanted: &Wanted, chosen: Option<JobState>) -> Vec<Action> {
    let Wanted { state, kind, pool, lane, since, until, text, .. } = wanted;
    let is_narrowed = [state, kind, pool, lane, since, until, text]
        .into_iter()
        .any(|field| filters::given(field.as_deref()).is_some());
    if !is_narrowed {
        return Vec::new();
    }
    let mut actions = Vec::new();
    if chosen == Some(JobState::Dead) {
        actions.push(Action::new("Retry all that match", wanted.address(groups::RETRY, None)));
    }
    if !matches!(chosen, Some(JobState::Done | JobState::Cancelled)) {
        actions.push(Action::new("Cancel all that match", wanted.address(groups::CANCEL, None)).danger());
    }
    actions
}

fn filter(wanted: &Wanted) -> Vec<Field> {
    vec![
        Field::chosen(
            "state",
            "State",
            wanted.state.as_deref(),
            JobState::ALL.map(|state| state.to_string()),
        ),
        Field::written("kind", "Kind", wanted.kind.as_deref()),
        Field::written("pool", "Pool", wanted.pool.as_deref()),
        Field::written("lane", "Lane", wanted.lane.as_deref()),
        Field::written("since", "Since", wanted.since.as_deref()),
        Field::written("until", "Until", wanted.until.as_deref()),
        Field::written("text", "Text in the payload", wanted.text.as_deref()),
    ]
}

/// The jobs that a filter means.
pub(super) fn criteria(wanted: &Wanted) -> Result<JobCriteria, Failed> {
    let state = filters::given(wanted.state.as_deref()).map(str::parse).transpose();
    let text = |field: &Option<String>| filters::given(field.as_deref()).map(str::to_owned);
    Ok(JobCriteria {
        state: state.map_err(|error| Failed::invalid(format!("state: {error}")))?,
        kind: text(&wanted.kind),
        pool: text(&wanted.pool),
        lane: text(&wanted.lane),
        group: text(&wanted.group),
        since: wanted.since()?,
        until: wanted.until()?,
        contains: text(&wanted.text),
        before: filters::parsed::<i64>("before", wanted.before.as_deref())?.map(queue::job::JobId),
    })
}

fn row(job: &JobSummary, wanted: &Wanted) -> [Cell; 8] {
    let why: String = job.reason.as_deref().unwrap_or_default().chars().take(REASON_CHARS).collect();
    let of = |name, value| filters::address("/admin/jobs", &[(name, Some(value))]);
    let mut page = format!("/admin/jobs/{}", job.id);
    // From a dead job one goes on to the next one of the same list.
    if job.state == JobState::Dead {
        page = wanted.address(&page, None);
    }
    [
        Cell::link(job.id.to_string(), page),
        Cell::tag(job.state.to_string(), job.state.tone()),
        Cell::link(&job.kind, of("kind", &job.kind)),
        Cell::text(&job.pool),
        job.lane.as_deref().map_or_else(Cell::default, |lane| Cell::link(lane, of("lane", lane))),
        Cell::maybe((job.failed_attempts > 0).then(|| job.failed_attempts.to_string())),
        Cell::moment(job.created_at),
        Cell::text(why),
    ]
}
