//! `/admin/schedules`: duties, what they did and will do, and firing, trying and switching them.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use serde::Deserialize;
use serde_json::Value;

use super::Console;
use super::failure::Failed;
use super::filters;
use super::flash::{Done, Flash};
use super::parts::{Action, Cell, Field, Section, Sections, Table, Tone};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;
use crate::schedules::switching::{self, Switch};
use crate::schedules::{listing, preview};

/// How many slots and users a preview looks at.
const PREVIEW: (i64, i64) = (10, 2_000);

/// What a slot's users came to, in the order of their way.
const COUNTS: [&str; 8] =
    ["asked", "agentFailed", "notPlanned", "blocked", "planned", "sent", "delivered", "failed"];

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/schedules", get(page))
        .route("/admin/schedules/{name}", get(show))
        .route("/admin/schedules/{name}/preview", get(look_ahead))
        .route("/admin/schedules/{name}/fire", post(fire))
        .route("/admin/schedules/{name}/test", post(test))
        .route("/admin/schedules/{name}/enable", post(enable))
        .route("/admin/schedules/{name}/disable", post(disable))
}

/// The list as programs read it, and the errors of the files.
async fn listed(admin: &Admin) -> Result<Value, Failed> {
    let files = admin.files().await;
    let (list, _) = listing::list(&mut *admin.pg.acquire().await?, files, listing::USUAL_USERS).await?;
    serde_json::to_value(list).map_err(Failed::of)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_on(schedule: &Value) -> bool {
    schedule.get("enabled").and_then(Value::as_bool).unwrap_or_default()
}

/// `2026-11-30T08:00:00Z` as the other moments of a page.
fn moment(text: &str) -> Cell {
    chrono::DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| Cell::text(text), |moment| Cell::moment(moment.to_utc()))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
) -> Result<Sections, Failed> {
    let list = listed(&admin).await?;
    let rows = items(&list, "schedules").iter().map(|schedule| {
        let name = text(schedule, "schedule");
        let state = if is_on(schedule) { Cell::tag("on", Tone::Good) } else { Cell::tag("off", Tone::Warn) };
        let file = text(schedule, "file");
        let file = if file == "same" { Cell::text("as it fires") } else { Cell::tag(file, Tone::Bad) };
        let next =
            items(schedule, "next").first().map_or_else(Cell::default, |slot| moment(text(slot, "at")));
        let last =
            items(schedule, "last").first().map_or_else(Cell::default, |slot| Cell::text(came_to(slot)));
        [
            Cell::link(name, format!("/admin/schedules/{name}")),
            state,
            Cell::text(text(schedule, "when")),
            next,
            last,
            file,
        ]
    });
    let head = ["Schedule", "", "When", "Next", "The last slot came to", "File"];
    let table = Table::new(head, rows, "There is no schedule. A file in the folder `schedules` makes one.");
    let mut sections = vec![Section::new("").table(table)];
    let findings = list.get("findings").cloned().unwrap_or_default();
    for (name, title) in [("wrong", "Wrong in the files"), ("warnings", "Worth a look in the files")] {
        let rows = items(&findings, name).iter().filter_map(Value::as_str).map(|wrong| [Cell::text(wrong)]);
        let table = Table::new([title], rows, "");
        if !table.rows.is_empty() {
            sections.insert(0, Section::new(title).table(table));
        }
    }
    Ok(Sections::new(&who, "/admin/schedules", flash, "Schedules", sections))
}

/// What became of the users of a slot.
fn came_to(slot: &Value) -> String {
    let count = |name: &&str| slot.get(*name).and_then(Value::as_i64).unwrap_or_default();
    let counts = COUNTS.iter().filter(|name| count(name) != 0).map(|name| format!("{name} {}", count(name)));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let (state, reason) = (text(slot, "state"), text(slot, "reason"));
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    if counts.is_empty() { format!("{state}{reason}") } else { format!("{state}{reason}: {counts}") }
}

async fn show(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(name): Path<String>,
) -> Result<Sections, Failed> {
    let list = listed(&admin).await?;
    let schedule = items(&list, "schedules").iter().find(|schedule| text(schedule, "schedule") == name);
    let schedule = schedule.ok_or_else(|| Failed::missing(format!("There is no schedule {name:?}.")))?;
    let people = switching::audience(&admin.pg, &name).await.map_err(Problem::from)?;
    let (number, people) = (people.people, people.to_string());
    let on = is_on(schedule);
    let off = schedule.get("switchedOff").cloned().unwrap_or_default();
    let state = if on { Cell::tag("on", Tone::Good) } else { Cell::tag("off", Tone::Warn) };
    let facts = [
        ("State", state),
        ("Why it is off", Cell::text(text(schedule, "disabledWhy"))),
        ("Switched off by", Cell::text(text(&off, "by"))),
        ("Switched off", moment(text(&off, "since"))),
        ("When", Cell::text(text(schedule, "when"))),
        ("Audience", Cell::text(&people)),
        ("File", Cell::text(text(schedule, "file"))),
        ("This version since", moment(text(schedule, "loadedAt"))),
        ("Look ahead", Cell::link("preview", format!("/admin/schedules/{name}/preview"))),
    ];
    let path = |what: &str| format!("/admin/schedules/{name}/{what}");
    let fire = Action::new(format!("Fire now, to {people}"), path("fire"))
        .with(Field::hidden("expected", number.to_string()))
        .confirmed(format!("{people} get it now, under all checks, beside its ordinary slots."))
        .danger();
    let test = Action::new("Try it with one user", path("test"))
        .with(Field::written("user", "User", None).required())
        .confirmed("The user gets it now, whoever the audience is; it counts as any message.");
    let switch = if on {
        Action::new("Switch it off", path("disable"))
            .with(Field::written("reason", "Why", None).required())
            .confirmed("It fires no more until it is switched on again, whatever its file says.")
    } else {
        Action::new("Switch it on", path("enable")).confirmed("What fell due meanwhile is not made good.")
    };
    let next = items(schedule, "next").iter().map(|slot| {
        let not = text(slot, "skipped");
        let not = if not.is_empty() { String::new() } else { format!("does not fire: {not}") };
        let local = Cell::text(text(slot, "local"));
        [moment(text(slot, "at")), local, Cell::text(text(slot, "zone")), Cell::text(not)]
    });
    let last = items(schedule, "last").iter().map(|slot| {
        [
            moment(text(slot, "moment")),
            moment(text(slot, "firedAt")),
            Cell::text(text(slot, "zone")),
            Cell::text(came_to(slot)),
        ]
    });
    let processes = schedule.get("processes").and_then(Value::as_object).cloned().unwrap_or_default();
    let processes = processes
        .into_iter()
        .map(|(process, version)| [Cell::text(process), Cell::text(version.as_str().unwrap_or_default())]);
    let errors =
        items(schedule, "fileErrors").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    let mut sections = vec![
        Section::new("").facts(facts).actions([switch, test, fire]),
        Section::new("Next slots").table(Table::new(["Moment", "There", "Zone", ""], next, "None.")),
        Section::new("Last slots").table(Table::new(
            ["Moment", "Fired", "Zone", "Came to"],
            last,
            "It has not fired yet.",
        )),
        Section::new("Which process has which version").table(Table::new(
            ["Process", "Version"],
            processes,
            "No process.",
        )),
    ];
    if !errors.is_empty() {
        sections.insert(1, Section::new("Wrong in its file").pre(errors));
    }
    Ok(Sections::new(&who, "/admin/schedules", flash, name, sections).up("/admin/schedules", "Schedules"))
}

async fn look_ahead(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(name): Path<String>,
) -> Result<Sections, Failed> {
    let files = admin.files().await;
    let schedule = files.find(&name, &admin.settings.plans).map_err(Problem::from)?;
    let mut conn = admin.pg.acquire().await?;
    let preview = preview::preview(&mut conn, &admin.settings, schedule, PREVIEW.0, PREVIEW.1).await?;
    let sections = vec![Section::new("").lead("Nothing is sent by looking.").pre(filters::pretty(&preview))];
    let title = format!("What {name} would do");
    Ok(Sections::new(&who, "/admin/schedules", flash, title, sections).up("/admin/schedules", "Schedules"))
}

/// As many people as the page has named.
#[derive(Deserialize)]
struct Confirmed {
    expected: i64,
}

async fn fire(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(name): Path<String>,
    Form(Confirmed { expected }): Form<Confirmed>,
) -> Result<Done, Failed> {
    let fired = switching::fire(&admin.queue, &admin.pg, &name, Some(expected), &who.name);
    let fired = fired.await.map_err(Problem::from)?;
    let said =
        if fired.slot.is_some() { "It fires now." } else { "It was fired in this very second before." };
    Ok(Done::new(format!("/admin/schedules/{name}"), said))
}

#[derive(Deserialize)]
struct WantedTest {
    user: String,
}

async fn test(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(name): Path<String>,
    Form(wanted): Form<WantedTest>,
) -> Result<Done, Failed> {
    let user = wanted.user.trim().to_owned();
    let user = store::ids::UserId::try_from(user).map_err(|error| Failed::invalid(error.to_string()))?;
    switching::test(&admin.queue, &admin.pg, &name, &user, &who.name).await.map_err(Problem::from)?;
    Ok(Done::new(format!("/admin/schedules/{name}"), format!("{user} gets it now.")))
}

async fn enable(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(name): Path<String>,
) -> Result<Done, Failed> {
    switched(&admin, &who, &name, Switch::On).await
}

#[derive(Deserialize)]
struct WantedOff {
    #[serde(default)]
    reason: Option<String>,
}

async fn disable(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(name): Path<String>,
    Form(wanted): Form<WantedOff>,
) -> Result<Done, Failed> {
    let reason = filters::given(wanted.reason.as_deref());
    switched(&admin, &who, &name, Switch::Off { reason }).await
}

async fn switched(admin: &Admin, who: &Administrator, name: &str, to: Switch<'_>) -> Result<Done, Failed> {
    let switched = switching::switch(&admin.pg, name, to, &who.name).await.map_err(Problem::from)?;
    let said = match (&switched.disabled_why, switched.enabled) {
        (_, true) => "It is on.".to_owned(),
        (Some(why), false) => format!("It is off: {why}."),
        (None, false) => "It is off.".to_owned(),
    };
    Ok(Done::new(format!("/admin/schedules/{name}"), said))
}
