//! `/admin/groups`: dead jobs by what went wrong, and what is done with all jobs that match.

use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use queue::failure_groups;
use queue::inspection::JobAction;
use queue::job_state::JobState;
use serde::Deserialize;

use super::Console;
use super::failure::Failed;
use super::filters::{self, Wanted};
use super::flash::{Done, Flash};
use super::job_list::criteria;
use super::parts::{Action, Cell, Field, Section, Sections, Table};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::retries::{self, Retries};

/// What is asked before many jobs are retried.
pub(super) const RETRY: &str = "/admin/jobs/all/retry";

/// What is asked before many jobs are cancelled.
pub(super) const CANCEL: &str = "/admin/jobs/all/cancel";

/// A request begins no further step after this; what is left is said.
const AT_MOST: Duration = Duration::from_secs(20);

/// Jobs of a step.
const STEP: i64 = 50;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/groups", get(page))
        .route(RETRY, post(ask_to_retry))
        .route(CANCEL, post(ask_to_cancel))
        .route("/admin/jobs/all/do", post(act))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
) -> Result<Sections, Failed> {
    let groups = failure_groups::of_dead(&mut *admin.pg.acquire().await?).await?;
    let failing = failure_groups::of_live(&mut *admin.pg.acquire().await?).await?;
    let mut sections: Vec<Section> = groups
        .iter()
        .map(|group| {
            let of_group = |path: &str| {
                filters::address(
                    path,
                    &[("state", Some(JobState::Dead.as_str())), ("group", Some(&group.group))],
                )
            };
            let jobs = group.jobs.of_what("job");
            let facts = [
                ("Dead", Cell::link(&jobs, of_group("/admin/jobs"))),
                ("First", Cell::moment(group.first)),
                ("Last", Cell::moment(group.last)),
                (
                    "For example",
                    Cell::link(
                        format!("job {}", group.example),
                        of_group(&format!("/admin/jobs/{}", group.example)),
                    ),
                ),
            ];
            let retry = Action::new(format!("Retry {jobs}"), of_group(RETRY));
            let cancel = Action::new(format!("Cancel {jobs}"), of_group(CANCEL)).danger();
            Section::new(format!("{}: {}", group.kind, group.shape)).facts(facts).actions([retry, cancel])
        })
        .collect();
    if sections.is_empty() {
        sections.push(Section::new("").lead("No job is dead."));
    }
    let rows = failing.iter().map(|group| {
        let example = Cell::link(format!("job {}", group.example), format!("/admin/jobs/{}", group.example));
        [
            Cell::text(&group.kind),
            Cell::text(group.jobs.to_string()),
            Cell::moment(group.last),
            example,
            Cell::text(&group.shape),
        ]
    });
    let failing = Table::new(["Kind", "Jobs", "Last", "For example", "What went wrong"], rows, "None.");
    sections.push(Section::new("Failing, and tried again by themselves").table(failing));
    Ok(Sections::new(&who, "/admin/jobs", flash, "Dead jobs by cause", sections).up("/admin/jobs", "Jobs"))
}

async fn ask_to_retry(
    state: State<Admin>,
    who: Extension<Administrator>,
    wanted: Query<Wanted>,
) -> Result<Sections, Failed> {
    ask(state, who, wanted, JobAction::Retry).await
}

async fn ask_to_cancel(
    state: State<Admin>,
    who: Extension<Administrator>,
    wanted: Query<Wanted>,
) -> Result<Sections, Failed> {
    ask(state, who, wanted, JobAction::Cancel).await
}

/// Counts what matches, and asks whether that many are meant.
async fn ask(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Query(wanted): Query<Wanted>,
    action: JobAction,
) -> Result<Sections, Failed> {
    let bulk = admin.queue.bulk(action, criteria(&wanted)?).await?;
    let fitting = admin.queue.rest(&bulk).await?;
    let jobs = if fitting == 1 { "1 job".to_owned() } else { format!("{fitting} jobs") };
    let (verb, what) = match action {
        JobAction::Retry => ("Retry", "Each does its work once more, or says why not."),
        JobAction::Cancel => ("Cancel", "What they were to do is not done. Jobs that run are asked to stop."),
    };
    let section = if fitting == 0 {
        Section::new("").lead("No job fits any more.")
    } else {
        let given = [
            ("state", &wanted.state),
            ("kind", &wanted.kind),
            ("pool", &wanted.pool),
            ("lane", &wanted.lane),
            ("group", &wanted.group),
            ("since", &wanted.since),
            ("until", &wanted.until),
            ("text", &wanted.text),
        ];
        let form = Action::new(format!("{verb} {jobs}"), "/admin/jobs/all/do")
            .with(Field::hidden("action", verb.to_lowercase()))
            .with(Field::hidden("expected", fitting.to_string()));
        let given =
            given.into_iter().filter_map(|(name, value)| Some((name, filters::given(value.as_deref())?)));
        let form = given.fold(form, |form, (name, value)| form.with(Field::hidden(name, value)));
        let form = if action == JobAction::Cancel { form.danger() } else { form };
        let list = Cell::link(format!("see {jobs}"), wanted.address("/admin/jobs", None));
        Section::new("").lead(what).facts([("They are", list)]).actions([form])
    };
    Ok(Sections::new(&who, "/admin/jobs", None, format!("{verb} {jobs}?"), vec![section])
        .still()
        .up("/admin/jobs", "Jobs"))
}

/// What was confirmed.
#[derive(Deserialize)]
struct Confirmed {
    action: String,
    expected: i64,
    #[serde(flatten)]
    wanted: ConfirmedFilter,
}

/// The filter that was counted.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfirmedFilter {
    state: Option<String>,
    kind: Option<String>,
    pool: Option<String>,
    lane: Option<String>,
    group: Option<String>,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
}

impl From<ConfirmedFilter> for Wanted {
    fn from(filter: ConfirmedFilter) -> Self {
        let ConfirmedFilter { state, kind, pool, lane, group, since, until, text } = filter;
        Self { state, kind, pool, lane, group, since, until, text, ..Self::default() }
    }
}

/// Does it with as many as were confirmed, unless another number fits by now.
async fn act(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let action = match confirmed.action.as_str() {
        "retry" => JobAction::Retry,
        "cancel" => JobAction::Cancel,
        other => return Err(Failed::invalid(format!("{other:?} is nothing that is done with jobs"))),
    };
    let wanted = Wanted::from(confirmed.wanted);
    let mut bulk = queue.bulk(action, criteria(&wanted)?).await?;
    let fitting = queue.rest(&bulk).await?;
    if fitting != confirmed.expected {
        return Err(Failed::invalid(format!(
            "{} were confirmed, and {fitting} fit by now. Nothing was done: go back and look again.",
            confirmed.expected
        )));
    }
    let (begun, mut left) = (Instant::now(), confirmed.expected);
    let (mut retried, mut cancelled) = (Vec::new(), 0);
    while left > 0 && begun.elapsed() < AT_MOST {
        bulk.make_steps_of(STEP.min(left));
        let jobs = match action {
            JobAction::Retry => {
                let ids = queue.next_of(&mut bulk).await?;
                retries::retry_all(queue, pg, settings, &ids, &who.name, &mut retried).await?;
                ids.len()
            }
            JobAction::Cancel => {
                let step = queue.step(&mut bulk, &who.name).await?;
                cancelled += step.len();
                step.len()
            }
        };
        if jobs == 0 {
            break;
        }
        left -= i64::try_from(jobs).unwrap_or(left);
    }
    let rest = queue.rest(&bulk).await?.min(left);
    let mut said = match action {
        JobAction::Retry => Retries::from(retried).counted(),
        JobAction::Cancel => format!("{cancelled} cancelled."),
    };
    if rest > 0 {
        said = format!("{said} {rest} are left: do it once more.");
    }
    Ok(Done::new("/admin/groups", said))
}
