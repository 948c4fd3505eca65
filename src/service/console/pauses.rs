//! `/admin/pauses`: what is paused, by whom and why; pausing, going on, trying the sender.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use channel::administration::pauses;
use queue::pauses::Scope;
use serde::Deserialize;

use super::Console;
use super::failure::Failed;
use super::filters;
use super::flash::{Done, Flash};
use super::parts::{Action, Cell, Field, Section, Sections};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;
use crate::sender;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/pauses", get(page))
        .route("/admin/pauses/pause", post(pause))
        .route("/admin/pauses/resume", post(resume))
        .route("/admin/pauses/probe", post(probe))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
) -> Result<Sections, Failed> {
    let paused = pauses::all(&mut *admin.pg.acquire().await?).await?;
    let mut sections: Vec<Section> = paused
        .iter()
        .map(|pause| {
            let resume = Action::new("Let it go on", "/admin/pauses/resume")
                .with(Field::hidden("scope", pause.scope.as_str()))
                .with(Field::hidden("name", &pause.name));
            let probe = pause.next_probe_at.map(|_| Action::new("Try sending now", "/admin/pauses/probe"));
            let facts = [
                ("Since", Cell::moment(pause.since)),
                ("By", Cell::text(&pause.by)),
                ("Why", Cell::maybe(pause.reason.clone())),
                ("Tried by itself", Cell::maybe_moment(pause.next_probe_at)),
            ];
            let title = format!("The {} {} is paused", pause.scope.as_str(), pause.name);
            Section::new(title).facts(facts).actions(probe.into_iter().chain([resume]))
        })
        .collect();
    if sections.is_empty() {
        sections.push(Section::new("").lead("Nothing is paused."));
    }
    let pause = Action::new("Pause", "/admin/pauses/pause")
        .with(Field::chosen("scope", "What", Some("pool"), ["pool", "kind"]))
        .with(Field::written("name", "Its name", None).required())
        .with(Field::written("reason", "Why, and whom to ask", None).required())
        .confirmed("Jobs that run go on, and nothing new of it begins, in all processes, until somebody lets it go on.");
    sections.push(Section::new("Pause a pool or a kind").actions([pause]));
    Ok(Sections::new(&who, "/admin/jobs", flash, "Pauses", sections).up("/admin/jobs", "Jobs"))
}

#[derive(Deserialize)]
struct WantedPause {
    scope: String,
    name: String,
    #[serde(default)]
    reason: Option<String>,
}

impl WantedPause {
    fn scope(&self) -> Result<Scope, Failed> {
        match self.scope.as_str() {
            "pool" => Ok(Scope::Pool),
            "kind" => Ok(Scope::Kind),
            other => Err(Failed::invalid(format!("{other:?} is neither a pool nor a kind"))),
        }
    }
}

async fn pause(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(wanted): Form<WantedPause>,
) -> Result<Done, Failed> {
    let (scope, reason) = (wanted.scope()?, filters::given(wanted.reason.as_deref()));
    let name = wanted.name.trim();
    let changed = pauses::pause(&admin.queue, &admin.pg, scope, name, &who.name, reason).await;
    let changed = changed.map_err(Problem::from)?;
    let said = if changed { "is paused" } else { "was paused already" };
    Ok(Done::new("/admin/pauses", format!("The {} {name} {said}.", scope.as_str())))
}

async fn resume(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(wanted): Form<WantedPause>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let (scope, name) = (wanted.scope()?, &wanted.name);
    let resumed = sender::resume(queue, pg, settings, scope, name, &who.name).await?;
    let said = if resumed.changed { "goes on" } else { "was not paused" };
    let probing = if resumed.probing { " The sender is tried out now." } else { "" };
    Ok(Done::new("/admin/pauses", format!("The {} {name} {said}.{probing}", scope.as_str())))
}

async fn probe(State(admin): State<Admin>, Extension(who): Extension<Administrator>) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let probing = sender::probe(queue, pg, settings, &who.name).await?;
    let said = if probing { "The sender is tried out now." } else { "The sender is not held back." };
    Ok(Done::new("/admin", said))
}
