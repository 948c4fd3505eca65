//! `/admin/turns`: runs of the agent, and having one answered once more.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use channel::administration::turns::{self, TurnFilter, TurnView};
use channel::retries::Answered;
use channel::retries::turns::Wish;
use chrono::DateTime;
use serde::Deserialize;
use store::ids::TurnId;
use store::text_enum::TextEnum as _;
use store::turns::TurnState;

use super::Console;
use super::failure::Failed;
use super::filters::{self, PAGE, Wanted};
use super::flash::{Done, Flash};
use super::messages::person;
use super::parts::{Action, Cell, Field, Section, Sections, Table};
use super::tones::Toned as _;
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;
use crate::turn_retries::{self, ChosenTurns, RetriedTurns};

/// A request begins no further turn after this.
const AT_MOST: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/turns", get(page))
        .route("/admin/turns/retry", post(retry_since))
        .route("/admin/turns/{id}", get(show))
        .route("/admin/turns/{id}/retry", post(retry))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let filter = TurnFilter {
        user: wanted.user()?,
        number: wanted.number(),
        state: filters::parsed("state", wanted.state.as_deref())?,
        since: wanted.since()?,
        until: wanted.until()?,
        before: filters::parsed::<i64>("before", wanted.before.as_deref())?.map(TurnId),
    };
    let list = turns::list(&mut *admin.pg.acquire().await?, &filter, PAGE).await.map_err(Problem::from)?;
    let table = Table::new(
        ["Turn", "Begun", "User", "State", "Took", "Calls", "What went wrong"],
        list.turns.iter().map(row),
        "No turn fits.",
    );
    let fields = [Field::chosen("state", "State", wanted.state.as_deref(), TurnState::TEXTS.iter().copied())];
    let fields = fields.into_iter().chain(wanted.whose_and_when()).collect();
    let next = list.next.map(|before| wanted.address("/admin/turns", Some(&before.to_string())));
    let sections = vec![Section::new("").table(table)];
    Ok(Sections::new(&who, "/admin/turns", flash, "Turns of the agent", sections).filter(fields).next(next))
}

fn row(turn: &TurnView) -> [Cell; 7] {
    [
        Cell::link(turn.id.to_string(), format!("/admin/turns/{}", turn.id)),
        Cell::moment(turn.started_at),
        person(turn.user.as_ref().map(|user| user.as_str())),
        Cell::tag(turn.state.as_str(), turn.state.tone()),
        Cell::maybe(turn.latency_ms.map(|took| format!("{took} ms"))),
        Cell::text(turn.calls.len().to_string()),
        Cell::maybe(turn.error.clone()),
    ]
}

async fn show(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(id): Path<i64>,
) -> Result<Sections, Failed> {
    let turn = turns::show(&mut *admin.pg.acquire().await?, TurnId(id)).await?;
    let turn = turn.ok_or_else(|| Failed::missing(format!("There is no turn {id}.")))?;
    let to_turn = |id: TurnId| Cell::link(format!("turn {id}"), format!("/admin/turns/{id}"));
    let mut facts = vec![
        ("State", Cell::tag(turn.state.as_str(), turn.state.tone())),
        ("What went wrong", Cell::maybe(turn.error.clone())),
        ("User", person(turn.user.as_ref().map(|user| user.as_str()))),
        ("Where", Cell::text(turn.channel.to_string())),
        ("Agent", Cell::text(&turn.agent)),
        ("Schedule", Cell::maybe(turn.schedule.as_ref().map(ToString::to_string))),
        ("Begun", Cell::moment(turn.started_at)),
        ("Ended", Cell::maybe_moment(turn.finished_at)),
        ("Took", Cell::maybe(turn.latency_ms.map(|took| format!("{took} ms")))),
        ("Runs", Cell::text(turn.runs.to_string())),
        ("The person was told that it takes longer", Cell::maybe_moment(turn.told_at)),
        ("Asked again", Cell::maybe_moment(turn.ask_again_at)),
        ("Once more after", turn.retry_of.map_or_else(Cell::default, to_turn)),
        ("Answered later by", turn.retried_as.map_or_else(Cell::default, to_turn)),
    ];
    facts.extend(turn.messages.iter().map(|message| {
        (
            "Message",
            Cell::link(format!("the story of message {message}"), format!("/admin/messages/{message}")),
        )
    }));
    if let Some(fate) = &turn.delivery {
        facts.push(("Reply", Cell::link(fate.state.to_string(), format!("/admin/deliveries/{}", fate.id))));
    }
    let calls = turn.calls.iter().map(|call| {
        [
            Cell::text(call.call.to_string()),
            Cell::text(call.tries.to_string()),
            Cell::moment(call.started_at),
            Cell::maybe(call.latency_ms.map(|took| format!("{took} ms"))),
            Cell::maybe(call.error.clone()),
        ]
    });
    let calls =
        Table::new(["Call", "Tries", "Begun", "Took", "What went wrong"], calls, "The agent was not asked.");
    let retry = Action::new("Have it answered once more", format!("/admin/turns/{id}/retry"))
        .confirmed("The agent is asked once more, and the person gets its answer.");
    let retry = (turn.state == TurnState::Failed && turn.retried_as.is_none()).then_some(retry);
    let sections =
        vec![Section::new("").facts(facts).actions(retry), Section::new("Calls of the agent").table(calls)];
    Ok(Sections::new(&who, "/admin/turns", flash, format!("Turn {id}"), sections).up("/admin/turns", "Turns"))
}

async fn retry(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let wish = Wish { actor: &who.name, is_dry: false };
    let answered = channel::retries::turns::retry_one(queue, pg, settings, TurnId(id), wish).await?;
    let answered = answered.ok_or_else(|| Failed::missing(format!("There is no turn {id}.")))?;
    Ok(Done::new(format!("/admin/turns/{id}"), in_words(&answered)))
}

/// What came of trying something once more.
pub(super) fn in_words(answered: &Answered) -> String {
    match answered {
        Answered::Retried(what) => format!("Done: {what}."),
        Answered::Refused(why) => format!("Nothing was done: {why}."),
    }
}

#[derive(Deserialize)]
struct Outage {
    since: String,
}

/// Has everything answered that failed since a moment.
async fn retry_since(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(outage): Form<Outage>,
) -> Result<Done, Failed> {
    let since = DateTime::parse_from_rfc3339(&outage.since);
    let since = since.map_err(|_| Failed::invalid(format!("since: {:?} is no moment", outage.since)))?;
    let chosen = ChosenTurns { since: since.to_utc(), after: None, until: None };
    let wish = Wish { actor: &who.name, is_dry: false };
    let Admin { pg, queue, settings, agent, .. } = &admin;
    if let Err(error) = agent.check().await {
        return Err(Failed::invalid(format!("The agent takes no turns yet, so nothing was done: {error}.")));
    }
    let mut retried = Vec::new();
    let next =
        turn_retries::retry_all(queue, pg, settings, chosen, wish, Some(AT_MOST), &mut retried).await?;
    let came = RetriedTurns::of(retried, false).in_short();
    let more = if next.is_some() { " There are more: do it once more." } else { "" };
    Ok(Done::new("/admin", format!("{came}{more}")))
}
