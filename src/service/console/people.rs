//! `/admin/people`: users and their phones; of one, what was said, as in the chat.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Extension, Router};
use channel::administration::users::{self, ListedUserView, WantedUsers};
use channel::conversation::takeovers;
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::entries;
use store::ids::UserId;

use super::Console;
use super::failure::Failed;
use super::filters::{self, PAGE, Wanted};
use super::flash::Flash;
use super::messages::person;
use super::opt_outs;
use super::parts::{Bubble, Cell, Field, Section, Sections, Table};
use super::tones::Toned as _;
use super::who_answers;
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;
use crate::http::product::user_view::view;

/// What of a conversation is on a person's page.
const ENTRIES: i64 = 50;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/admin/people", get(page)).route("/admin/person", get(show))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let find = filters::given(wanted.find.as_deref()).map(str::to_owned);
    let after =
        filters::given(wanted.before.as_deref()).map(|user| UserId::try_from(user.to_owned())).transpose();
    let after = after.map_err(|error| Failed::invalid(error.to_string()))?;
    // A number, or the beginning of an id or else of a name.
    let is_number = find.as_deref().is_some_and(|find| {
        find.chars().filter(char::is_ascii_digit).count() >= 6 && !find.contains(char::is_alphabetic)
    });
    let by = |id, phone, name| WantedUsers { id, plan: None, name, phone };
    let mut conn = admin.pg.acquire().await?;
    let first = if is_number { by(None, find.clone(), None) } else { by(find.clone(), None, None) };
    let mut list = users::list(&mut conn, first, after.as_ref(), PAGE).await.map_err(Problem::from)?;
    if list.users.is_empty() && find.is_some() && !is_number {
        list = users::list(&mut conn, by(None, None, find), None, PAGE).await.map_err(Problem::from)?;
    }
    let table = Table::new(
        ["User", "Name", "Plan", "Phone", "", "Known since"],
        list.users.iter().map(row),
        "Nobody fits.",
    );
    let fields =
        vec![Field::written("find", "Number, or the beginning of an id or name", wanted.find.as_deref())];
    let next = list.next.map(|after| wanted.address("/admin/people", Some(after.as_str())));
    Ok(Sections::new(&who, "/admin/people", flash, "People", vec![Section::new("").table(table)])
        .filter(fields)
        .next(next))
}

fn row(user: &ListedUserView) -> [Cell; 6] {
    [
        person(Some(user.user.as_str())),
        Cell::maybe(user.name.clone()),
        Cell::text(&user.plan),
        Cell::text(if user.linked { "linked" } else { "none" }),
        Cell::maybe(user.paused.then_some("paused")),
        Cell::moment(user.created_at),
    ]
}

async fn show(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let id = wanted.user()?.ok_or_else(|| Failed::invalid("say which user"))?;
    let mut conn = admin.pg.acquire().await?;
    let user = store::users::get(&mut conn, &id).await?;
    let user = user.ok_or_else(|| Failed::missing(format!("There is no user {id}.")))?;
    let view = serde_json::to_value(view(&mut conn, &admin.settings, user).await?).map_err(Failed::of)?;
    let text = |pointer: &str| match view.pointer(pointer) {
        None | Some(Value::Null) => Cell::default(),
        Some(Value::String(text)) => match text.parse::<DateTime<Utc>>() {
            Ok(moment) => Cell::moment(moment),
            Err(_) => Cell::text(text),
        },
        Some(Value::Bool(yes)) => Cell::text(if *yes { "yes" } else { "no" }),
        Some(other) => Cell::text(other.to_string()),
    };
    let facts = [
        ("Plan", text("/plan")),
        ("Phone", text("/whatsapp/address")),
        ("Linked", text("/whatsapp/linkedAt")),
        ("Paused", text("/paused")),
        ("Time zone", text("/timezone")),
        ("Used of the allowance", text("/usage/whatsappSends/used")),
        ("Allowance", text("/usage/whatsappSends/cap")),
        ("Known since", text("/createdAt")),
    ];
    let of_user = |path: &str| filters::address(path, &[("user", Some(id.as_str()))]);
    let ways = [
        ("Messages", Cell::link("what they wrote", of_user("/admin/messages"))),
        ("Deliveries", Cell::link("what was sent to them", of_user("/admin/deliveries"))),
        ("Turns", Cell::link("runs of the agent", of_user("/admin/turns"))),
    ];
    let length = entries::lengths(&mut conn, std::slice::from_ref(&id)).await?;
    let length = length.first().map_or(0, |(_, length)| *length);
    let said = entries::after(&mut conn, &id, (length - ENTRIES).max(0), ENTRIES).await?;
    let said = said.into_iter().map(|entry| {
        let reached = entry.delivery_id.zip(entry.delivery_state).map(|(delivery, state)| {
            let reached = Cell::tag(state.as_str(), state.tone());
            Cell { link: Some(format!("/admin/deliveries/{delivery}")), ..reached }
        });
        let by = entry.schedule.map(|schedule| format!("schedule {schedule}, "));
        Bubble {
            by_person: entry.by_person,
            text: entry.text.unwrap_or_default(),
            at: Cell::moment(entry.at),
            place: format!("{}{}", by.unwrap_or_default(), entry.channel),
            reached,
        }
    });
    let taken_over = takeovers::list(&mut conn, Some(&id)).await?.into_iter().next();
    let has_conversation = store::conversations::find(&mut conn, &id).await?.is_some();
    let sections = vec![
        Section::new("").facts(facts),
        Section::new("More").facts(ways),
        opt_outs::section(&id, &view),
        Section::new("What was said")
            .lead(if length > ENTRIES { "The last fifty." } else { "" })
            .thread(said),
        who_answers::section(&id, taken_over.as_ref(), has_conversation),
        Section::new("All that is known").pre(filters::pretty(&view)),
    ];
    Ok(Sections::new(&who, "/admin/people", flash, id.to_string(), sections).up("/admin/people", "People"))
}
