//! Whether a person gets what they did not ask for, and an opt-out on their request.

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Form, Router};
use channel::opt_out;
use queue::audit::{self, Change};
use serde_json::Value;
use store::consents::ConsentAction;
use store::ids::UserId;

use super::Console;
use super::failure::Failed;
use super::flash::Done;
use super::parts::{Action, Cell, Field, Section};
use super::who_answers::{Chosen, to_person};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::product::users::no_phone;

const PATH: &str = "/admin/person/opt-out";

/// Only the person can agree again.
const BACK: &str = "Only they can change that: by START from their phone, or by linking a phone again.";

pub(super) fn routes() -> Router<Console> {
    Router::new().route(PATH, post(opt_out))
}

/// How it stands with a user of this view, and the way out.
pub(super) fn section(id: &UserId, view: &Value) -> Section {
    let section = Section::new("Scheduled messages and notifications");
    if view["optedOut"] == true {
        let taken_back = view["consents"].as_array().and_then(|consents| consents.last());
        let taken_back = taken_back.filter(|consent| consent["action"] == ConsentAction::Revoked.as_str());
        let text = |name: &str| taken_back.and_then(|consent| consent[name].as_str()).unwrap_or_default();
        let since = text("createdAt").parse().ok().map_or_else(Cell::default, Cell::moment);
        let facts = [("Since", since), ("By", Cell::text(text("text")))];
        return section
            .lead(format!(
                "They are opted out: replies reach them, and nothing that they did not ask for. {BACK}"
            ))
            .facts(facts);
    }
    if view["whatsapp"].is_null() {
        return section.lead("They are not opted out. They have no phone, so nothing is sent on WhatsApp.");
    }
    let opt_out = Action::new("Opt out", PATH)
        .with(Field::hidden("user", id.as_str()))
        .confirmed(format!("They get replies alone from now on, for they asked for that. {BACK}"))
        .danger();
    section.lead("They get them. Who wants none writes STOP, or asks you.").actions([opt_out])
}

async fn opt_out(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Form(chosen): Form<Chosen>,
) -> Result<Done, Failed> {
    let user = chosen.user()?;
    let mut tx = admin.pg.begin().await?;
    let changed = opt_out::opt_out_user(&mut tx, &admin.settings.secret_keys, &user).await?;
    let changed = changed.ok_or_else(no_phone)?;
    let (outcome, before) =
        if changed { ("opted out", "not opted out") } else { ("was opted out already", "opted out") };
    let change = Change { before: Some(before), after: Some("opted out") };
    audit::note_change(&mut tx, &who.name, "opt out", &audit::user(user.as_str()), outcome, change).await?;
    tx.commit().await?;
    let said = if changed { "They are opted out." } else { "They were opted out already." };
    Ok(to_person(&user, said))
}
