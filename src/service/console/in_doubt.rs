//! `/admin/in-doubt`: sends of which nobody knows whether they arrived, with all that a person needs to judge one.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use channel::administration::in_doubt::{self, InDoubt};
use serde::Deserialize;
use store::ids::ChunkId;
use store::in_doubt::AdminVerdict;

use super::Console;
use super::dead_jobs::OTHER_KEYS;
use super::failure::Failed;
use super::flash::{Done, Flash};
use super::messages::person;
use super::parts::{Action, Cell, Field, Section, Sections};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/admin/in-doubt", get(page)).route("/admin/in-doubt/{id}", post(judge))
}

/// How they are judged one after the other.
const KEYS: &str = " With the keyboard: `Alt+A` says that the first one arrived, `Alt+S` that it is to be sent again; each asks once more, and then the next one is the first. ";

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    twilio: Option<String>,
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(asked): Query<Asked>,
) -> Result<Sections, Failed> {
    let Admin { pg, settings, twilio, .. } = &admin;
    let mut chunks = in_doubt::list(&mut *pg.acquire().await?, settings).await?;
    if asked.twilio.is_some() {
        in_doubt::ask_twilio(twilio, pg, settings, &mut chunks).await?;
    }
    let mut sections: Vec<Section> =
        chunks.iter().enumerate().map(|(place, chunk)| section(chunk, place == 0)).collect();
    if sections.is_empty() {
        sections.push(Section::new("").lead("Nothing is in doubt."));
    }
    if !chunks.is_empty() {
        let lead = "Twilio's answer was lost, so nobody knows whether it has the message. Ask the person, or look at Twilio's list.";
        let ask = Cell::link("ask it now", "/admin/in-doubt?twilio=1");
        let ask = asked.twilio.is_none().then_some(("Twilio's list", ask));
        let keys = if who.may_act { format!("{KEYS}{OTHER_KEYS}") } else { String::new() };
        sections.insert(0, Section::new("").lead(format!("{lead}{keys}")).facts(ask));
    }
    Ok(Sections::new(&who, "/admin/in-doubt", flash, "Sends in doubt", sections))
}

/// The access keys are those of the first one: when it is judged, the next is the first.
fn section(chunk: &InDoubt, is_first: bool) -> Section {
    let tried = chunk.tried.join("; ");
    let twilio = chunk.twilio.as_ref().map(|twilio| twilio.says.clone());
    let facts = [
        ("Person", person(chunk.user.as_ref().map(|user| user.as_str()))),
        ("Number", Cell::maybe(chunk.number.clone())),
        (
            "What it is",
            Cell::link(chunk.purpose.to_string(), format!("/admin/deliveries/{}", chunk.delivery)),
        ),
        ("Text", Cell::maybe(chunk.text.clone().or_else(|| chunk.template.clone()))),
        ("In doubt since", Cell::maybe_moment(chunk.since)),
        ("Looked for until", Cell::maybe_moment(chunk.until)),
        ("Why", Cell::maybe(chunk.reason.clone())),
        ("What was tried", Cell::text(tried)),
        ("Twilio's list", Cell::maybe(twilio)),
    ];
    let path = format!("/admin/in-doubt/{}", chunk.chunk);
    let mut arrived = Action::new("It arrived", &path)
        .with(Field::hidden("verdict", AdminVerdict::Arrived.as_str()))
        .confirmed(&chunk.verdicts.arrived);
    let mut again = Action::new("It did not: send it again", &path)
        .with(Field::hidden("verdict", AdminVerdict::SendAgain.as_str()))
        .confirmed(&chunk.verdicts.send_again)
        .danger();
    if is_first {
        (arrived, again) = (arrived.key('a'), again.key('s'));
    }
    Section::new(format!("Chunk {}", chunk.chunk)).facts(facts).actions([arrived, again])
}

#[derive(Deserialize)]
struct Judgement {
    verdict: AdminVerdict,
}

async fn judge(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
    Form(judgement): Form<Judgement>,
) -> Result<Done, Failed> {
    let verdict = judgement.verdict;
    let state =
        channel::outbound::in_doubt::give_verdict(&admin.queue, &admin.pg, ChunkId(id), verdict, &who.name)
            .await?;
    let said = match state {
        Some(state) => format!("Chunk {id} is judged; its delivery is {state} now."),
        None => format!("Chunk {id} was not in doubt any more. Nothing was done."),
    };
    Ok(Done::new("/admin/in-doubt", said))
}
