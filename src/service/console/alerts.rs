//! `/admin/alerts`: what a person must look at, until it is over.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use channel::administration::alerts::{self, AlertFilter, AlertView};
use store::alerts::AlertState;
use store::ids::AlertId;
use store::text_enum::TextEnum as _;

use super::Console;
use super::failure::Failed;
use super::filters::{self, Wanted};
use super::flash::{Done, Flash};
use super::parts::{Action, Cell, Field, Section, Sections, Tone};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;

const PAGE: i64 = 20;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/admin/alerts", get(page)).route("/admin/alerts/{id}/acknowledge", post(acknowledge))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let filter = AlertFilter {
        state: filters::parsed("state", wanted.state.as_deref())?,
        cause: filters::parsed("reason", wanted.reason.as_deref())?,
        since: wanted.since()?,
        before: filters::parsed::<i64>("before", wanted.before.as_deref())?.map(AlertId),
    };
    let list = alerts::list(&mut *admin.pg.acquire().await?, filter, PAGE).await?;
    let mut sections: Vec<Section> = list.alerts.iter().map(section).collect();
    if sections.is_empty() {
        sections.push(Section::new("").lead("There is no such alert."));
    }
    let fields =
        vec![Field::chosen("state", "State", wanted.state.as_deref(), AlertState::TEXTS.iter().copied())];
    let next = list.next.map(|before| wanted.address("/admin/alerts", Some(&before.to_string())));
    Ok(Sections::new(&who, "/admin/alerts", flash, "Alerts", sections).filter(fields).next(next))
}

fn section(alert: &AlertView) -> Section {
    let tone = match alert.state {
        AlertState::Open => Tone::Bad,
        AlertState::Acknowledged => Tone::Warn,
        AlertState::Closed => Tone::Plain,
    };
    let facts = [
        ("State", Cell::tag(alert.state.to_string(), tone)),
        ("What happened", Cell::text(&alert.detail)),
        ("What helps", Cell::text(&alert.remedy)),
        ("It ends", Cell::text(alert.ends)),
        (
            "Happened",
            Cell::text(if alert.times == 1 { "once".to_owned() } else { format!("{} times", alert.times) }),
        ),
        ("First", Cell::moment(alert.opened_at)),
        ("Last", Cell::moment(alert.last_seen_at)),
        ("Looked at", Cell::maybe_moment(alert.acknowledged_at)),
        ("Over", Cell::maybe_moment(alert.closed_at)),
    ];
    let acknowledge = Action::new(
        "I have looked at it: tell nobody again",
        format!("/admin/alerts/{}/acknowledge", alert.id),
    );
    let acknowledge = (alert.state == AlertState::Open).then_some(acknowledge);
    Section::new(alert.cause.to_string()).lead(alert.means).facts(facts).actions(acknowledge)
}

async fn acknowledge(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let changed = alerts::acknowledge(queue, pg, settings, AlertId(id), &who.name).await?;
    let said = if changed { "It is told to nobody again." } else { "It was looked at before, or is over." };
    Ok(Done::new("/admin/alerts", said))
}
