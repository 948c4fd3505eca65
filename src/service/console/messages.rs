//! `/admin/messages`: what people wrote, and the story of one message.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use channel::administration::messages::{self, MessageFilter, MessageView};
use channel::administration::story::{self, Story, StoryPart, StorySubject};
use store::ids::MessageId;
use store::message_records::MessageState;

use super::Console;
use super::failure::Failed;
use super::filters::{self, PAGE, Wanted};
use super::flash::{Done, Flash};
use super::parts::{Action, Cell, Field, Section, Sections, Table};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/messages", get(page))
        .route("/admin/messages/{id}", get(tell))
        .route("/admin/messages/{id}/replay", post(replay))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let state = filters::given(wanted.state.as_deref());
    let filter = MessageFilter {
        user: wanted.user()?,
        number: wanted.number(),
        state: state
            .map(|text| {
                text.parse::<MessageState>().map_err(|unknown| Failed::invalid(format!("state: {unknown}")))
            })
            .transpose()?,
        since: wanted.since()?,
        until: wanted.until()?,
        before: filters::parsed::<i64>("before", wanted.before.as_deref())?.map(MessageId),
    };
    let list = messages::list(&mut *admin.pg.acquire().await?, &filter, PAGE).await.map_err(Problem::from)?;
    let table = Table::new(
        ["Message", "Received", "User", "From", "What became of it", "Reply"],
        list.messages.iter().map(row),
        "No message fits.",
    );
    let fields = [Field::chosen("state", "Outcome", state, MessageState::meanings().map(|(text, _)| text))];
    let fields = fields.into_iter().chain(wanted.whose_and_when()).collect();
    let next = list.next.map(|before| wanted.address("/admin/messages", Some(&before.to_string())));
    let sections = vec![Section::new("").table(table)];
    Ok(Sections::new(&who, "/admin/messages", flash, "Messages", sections).filter(fields).next(next))
}

fn row(message: &MessageView) -> [Cell; 6] {
    let outcome = message.state().as_str();
    let why = message.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let reply = message.delivery.as_ref().map_or_else(Cell::default, |fate| {
        Cell::link(fate.state.to_string(), format!("/admin/deliveries/{}", fate.id))
    });
    [
        Cell::link(message.id.to_string(), format!("/admin/messages/{}", message.id)),
        Cell::moment(message.received_at),
        person(message.user.as_ref().map(|user| user.as_str())),
        Cell::text(message.from.clone().unwrap_or_else(|| "the dashboard".to_owned())),
        Cell::text(format!("{outcome}{why}")),
        reply,
    ]
}

/// A user, with the way to their page.
pub(super) fn person(user: Option<&str>) -> Cell {
    user.map_or_else(Cell::default, |user| {
        Cell::link(user, filters::address("/admin/person", &[("user", Some(user))]))
    })
}

async fn tell(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(id): Path<i64>,
) -> Result<Sections, Failed> {
    let subject = StorySubject::Message(MessageId(id));
    let story = story::tell(&mut *admin.pg.acquire().await?, &subject).await?;
    let story = story.ok_or_else(|| Failed::missing(format!("There is no message {id}.")))?;
    let mut sections = sections(&story);
    let replay = Action::new("Take it in once more", format!("/admin/messages/{id}/replay"))
        .confirmed("The stored webhook is taken in again, if nothing came of it: nobody is answered twice.");
    sections.push(Section::new("What can be done").actions([replay]));
    let page = Sections::new(&who, "/admin/messages", flash, format!("The story of message {id}"), sections);
    Ok(page.up("/admin/messages", "Messages"))
}

/// A story from its end to its beginnings, and every step.
pub(super) fn sections(story: &Story) -> Vec<Section> {
    let first = story.steps.first().map(|step| step.at);
    let steps = story.steps.iter().map(|step| {
        let after = first.map(|first| (step.at - first).num_milliseconds()).unwrap_or_default();
        let link = match step.part {
            StoryPart::Message => format!("/admin/messages/{}", step.id),
            StoryPart::Job => format!("/admin/jobs/{}", step.id),
            StoryPart::Turn => format!("/admin/turns/{}", step.id),
            StoryPart::Delivery => format!("/admin/deliveries/{}", step.id),
            // A chunk is on the page of its delivery.
            StoryPart::Chunk => String::new(),
        };
        let part = format!("{} {}", step.part.as_str(), short(&step.id));
        [
            Cell::moment(step.at),
            Cell::text(format!("+{}.{:03} s", after / 1000, after % 1000)),
            if link.is_empty() { Cell::text(part) } else { Cell::link(part, link) },
            Cell::text(&step.what),
            Cell::maybe(step.took_ms.map(|took| format!("{took} ms"))),
        ]
    });
    let turns =
        story.turns.iter().map(|turn| ("Turn", Cell::link(turn.to_string(), format!("/admin/turns/{turn}"))));
    let deliveries = story.deliveries.iter().map(|delivery| {
        ("Delivery", Cell::link(short(&delivery.to_string()), format!("/admin/deliveries/{delivery}")))
    });
    let mut facts = vec![("User", person(story.user.as_ref().map(|user| user.as_str())))];
    facts.extend(turns.chain(deliveries));
    let table = Table::new(
        ["When", "After", "To what", "What happened", "Took"],
        steps,
        "Nothing is remembered of it.",
    );
    let verdict = match &story.remedy {
        Some(remedy) => format!("{} {remedy}", story.verdict),
        None => story.verdict.clone(),
    };
    let forgotten = story.forgotten.join(" ");
    vec![
        Section::new("").lead(verdict).facts(facts),
        Section::new("Step by step").lead(forgotten).table(table),
    ]
}

/// The end of a long id, which differs where the beginning is a time.
fn short(id: &str) -> String {
    match id.rsplit_once('-') {
        Some((_, end)) if id.len() == 36 => format!("…{end}"),
        _ => id.to_owned(),
    }
}

async fn replay(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<i64>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let answered = channel::retries::replays::replay(queue, pg, settings, MessageId(id), &who.name).await?;
    let answered = answered.ok_or_else(|| Failed::missing(format!("There is no message {id}.")))?;
    Ok(Done::new(format!("/admin/messages/{id}"), super::turns::in_words(&answered)))
}
