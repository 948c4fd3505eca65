//! Who answers a person: the agent, or an administrator who has taken the conversation over.

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Form, Router};
use channel::conversation::takeovers::{self, TakeoverView};
use serde::Deserialize;
use store::ids::UserId;
use uuid::Uuid;

use super::Console;
use super::failure::Failed;
use super::filters;
use super::flash::Done;
use super::parts::{Action, Cell, Field, Section};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/person/take-over", post(take_over))
        .route("/admin/person/answer", post(answer))
        .route("/admin/person/give-back", post(give_back))
}

/// Who answers, and how that is changed.
pub(super) fn section(id: &UserId, taken_over: Option<&TakeoverView>, is_there: bool) -> Section {
    let form = |label: &'static str, path: &'static str| {
        Action::new(label, path).with(Field::hidden("user", id.as_str()))
    };
    let Some(takeover) = taken_over else {
        let section = Section::new("Who answers");
        if !is_there {
            return section.lead("Nothing was said yet.");
        }
        let take_over = form("Take over", "/admin/person/take-over").confirmed(
            "The agent rests in this conversation, and what the person writes waits for your answer.",
        );
        return section.lead("The agent.").actions([take_over]);
    };
    let facts = [
        ("Answered by", Cell::text(&takeover.by)),
        ("Since", Cell::moment(takeover.since)),
        ("The agent answers again", Cell::moment(takeover.ends_at)),
        ("Messages that wait", Cell::text(takeover.waiting.to_string())),
        ("The first came", Cell::maybe_moment(takeover.waiting_since)),
    ];
    let answer = form("Send", "/admin/person/answer")
        // A form that is sent twice answers once.
        .with(Field::hidden("key", Uuid::now_v7().to_string()))
        .with(Field::written("text", "Your answer, with WhatsApp's signs", None).long().required());
    let give_back = form("Give back to the agent", "/admin/person/give-back");
    Section::new("A person answers, and the agent rests").facts(facts).actions([answer, give_back])
}

/// Whose page a form is on.
#[derive(Deserialize)]
pub(super) struct Chosen {
    user: String,
}

impl Chosen {
    pub(super) fn user(self) -> Result<UserId, Failed> {
        UserId::try_from(self.user).map_err(|error| Failed::invalid(error.to_string()))
    }
}

#[derive(Deserialize)]
struct Answer {
    user: String,
    key: String,
    text: String,
}

/// Back on the person's page.
pub(super) fn to_person(user: &UserId, said: impl Into<String>) -> Done {
    Done::new(filters::address("/admin/person", &[("user", Some(user.as_str()))]), said)
}

async fn take_over(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(chosen): Form<Chosen>,
) -> Result<Done, Failed> {
    let user = chosen.user()?;
    let mut tx = admin.queue.begin(&admin.pg).await?;
    takeovers::begin(&mut tx, &admin.settings, &user, &who.name).await.map_err(Problem::from)?;
    tx.commit().await?;
    Ok(to_person(&user, "The agent rests in this conversation."))
}

async fn answer(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(Answer { user, key, text }): Form<Answer>,
) -> Result<Done, Failed> {
    let user = Chosen { user }.user()?;
    // A form brings line ends of its own.
    let text = text.replace("\r\n", "\n");
    let mut tx = admin.queue.begin(&admin.pg).await?;
    let said = takeovers::answer(&mut tx, &admin.settings, &user, &who.name, &key, &text).await;
    let said = said.map_err(Problem::from)?;
    tx.commit().await?;
    let what = if said.duplicate { "That had been sent already." } else { "Your answer is on its way." };
    Ok(to_person(&user, what))
}

async fn give_back(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(chosen): Form<Chosen>,
) -> Result<Done, Failed> {
    let user = chosen.user()?;
    let mut tx = admin.queue.begin(&admin.pg).await?;
    let ended = takeovers::end(&mut tx, &admin.settings, &user, &who.name).await.map_err(Problem::from)?;
    tx.commit().await?;
    let what = if ended { "The agent answers again." } else { "The agent answered already." };
    Ok(to_person(&user, what))
}
