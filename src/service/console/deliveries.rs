//! `/admin/deliveries`: what left and what did not, and sending it anew.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use channel::administration::deliveries::{
    self, DeliveryDetail, DeliveryFilter, OutboundChunkView, OutboundView, TwilioErrorView,
};
use store::deliveries::Purpose;
use store::ids::DeliveryId;
use store::text_enum::TextEnum as _;
use store::twilio_statuses::TwilioStatus;
use uuid::Uuid;

use super::Console;
use super::failure::Failed;
use super::filters::{self, PAGE, Wanted};
use super::flash::{Done, Flash};
use super::messages::person;
use super::parts::{Action, Cell, Field, Section, Sections, Table, Tone};
use super::tones::Toned;
use super::turns::in_words;
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::http::problem::Problem;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/admin/deliveries", get(page))
        .route("/admin/deliveries/{id}", get(show))
        .route("/admin/deliveries/{id}/resend", post(resend))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let state = filters::given(wanted.state.as_deref());
    let states = state.map(deliveries::states).transpose();
    let filter = DeliveryFilter {
        user: wanted.user()?,
        number: wanted.number(),
        states: states.map_err(|error| Failed::invalid(format!("state: {error}")))?.unwrap_or_default(),
        reason: filters::given(wanted.reason.as_deref()).map(str::to_owned),
        purpose: filters::parsed("purpose", wanted.purpose.as_deref())?,
        error_code: filters::parsed("code", wanted.code.as_deref())?,
        since: wanted.since()?,
        until: wanted.until()?,
        before: filters::parsed::<Uuid>("before", wanted.before.as_deref())?.map(DeliveryId),
    };
    let list =
        deliveries::list(&mut *admin.pg.acquire().await?, &filter, PAGE).await.map_err(Problem::from)?;
    let table = Table::new(
        ["Planned", "User", "To", "What it is", "State", "Parts", "Why"],
        list.deliveries.iter().map(row),
        "No delivery fits.",
    );
    let known = deliveries::state_words().map(|(word, _)| word);
    let fields = [
        Field::chosen("state", "State", state, known),
        Field::chosen("purpose", "What it is", wanted.purpose.as_deref(), Purpose::TEXTS.iter().copied()),
        Field::written("code", "Twilio's code", wanted.code.as_deref()),
    ];
    let fields = fields.into_iter().chain(wanted.whose_and_when()).collect();
    let next = list.next.map(|before| wanted.address("/admin/deliveries", Some(&before.to_string())));
    let sections = vec![Section::new("").table(table)];
    Ok(Sections::new(&who, "/admin/deliveries", flash, "Deliveries", sections).filter(fields).next(next))
}

fn row(delivery: &OutboundView) -> [Cell; 7] {
    let state = delivery.state.to_string();
    let error = delivery.error().map(|error| format!("{}: {}", error.code, error.cause));
    let resent = delivery.resent_as.map(|_| ", sent anew").unwrap_or_default();
    let planned = Cell { link: None, ..Cell::moment(delivery.created_at) };
    [
        planned,
        person(delivery.user.as_ref().map(|user| user.as_str())),
        Cell::maybe(delivery.to.clone()),
        Cell::link(
            delivery
                .schedule
                .as_ref()
                .map_or_else(|| delivery.purpose.to_string(), |name| format!("schedule {name}")),
            format!("/admin/deliveries/{}", delivery.id),
        ),
        Cell::tag(format!("{state}{resent}"), delivery.state.tone()),
        Cell::text(delivery.chunks.len().to_string()),
        Cell::maybe(error.or_else(|| delivery.reason.clone())),
    ]
}

async fn show(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Path(id): Path<Uuid>,
) -> Result<Sections, Failed> {
    let detail = deliveries::show(&mut *admin.pg.acquire().await?, DeliveryId(id)).await?;
    let detail = detail.ok_or_else(|| Failed::missing(format!("There is no delivery {id}.")))?;
    let sections = sections(&detail);
    let title = format!(
        "A {} to {}",
        detail.delivery.purpose,
        detail.delivery.to.as_deref().unwrap_or("nobody's phone")
    );
    Ok(Sections::new(&who, "/admin/deliveries", flash, title, sections).up("/admin/deliveries", "Deliveries"))
}

fn sections(detail: &DeliveryDetail) -> Vec<Section> {
    let DeliveryDetail { delivery, send_attempts, callbacks } = detail;
    let to_delivery = |id: DeliveryId| Cell::link(id.to_string(), format!("/admin/deliveries/{id}"));
    let facts = [
        ("State", Cell::tag(delivery.state.as_str(), delivery.state.tone())),
        ("Why", Cell::maybe(delivery.reason.clone())),
        ("User", person(delivery.user.as_ref().map(|user| user.as_str()))),
        (
            "Schedule",
            delivery.schedule.as_ref().map_or_else(Cell::default, |name| {
                Cell::link(name.to_string(), format!("/admin/schedules/{name}"))
            }),
        ),
        (
            "Answers",
            delivery.message.map_or_else(Cell::default, |id| {
                Cell::link(format!("the story of message {id}"), format!("/admin/messages/{id}"))
            }),
        ),
        (
            "Turn",
            delivery.turn.map_or_else(Cell::default, |id| {
                Cell::link(format!("turn {id}"), format!("/admin/turns/{id}"))
            }),
        ),
        ("Planned", Cell::moment(delivery.created_at)),
        ("Waits until", Cell::maybe_moment(delivery.waits_until)),
        ("Not sent after", Cell::moment(delivery.expires_at)),
        ("Ended", Cell::maybe_moment(delivery.closed_at)),
        ("Sends anew", delivery.resent_from.map_or_else(Cell::default, to_delivery)),
        ("Sent anew as", delivery.resent_as.map_or_else(Cell::default, to_delivery)),
        ("Id", Cell::text(delivery.id.to_string())),
    ];
    let resend = Action::new("Send it anew", format!("/admin/deliveries/{}/resend", delivery.id))
        .confirmed("What did not arrive is sent to the person again, under all checks: opt-out, allowance, window, quiet hours.");
    let chunks = Table::new(
        [
            "Part",
            "Form",
            "State",
            "meterProactive",
            "proactive",
            "Twilio's id",
            "Tries",
            "Changed",
            "What went wrong",
        ],
        delivery.chunks.iter().map(chunk),
        "It has no parts.",
    );
    let attempts = send_attempts.iter().map(|attempt| {
        let outcome =
            attempt.outcome.map_or_else(|| "no answer known".to_owned(), |outcome| outcome.to_string());
        [
            Cell::text(attempt.attempt.to_string()),
            Cell::moment(attempt.started_at),
            Cell::text(outcome),
            Cell::maybe(attempt.sid.clone()),
            Cell::maybe(error_text(attempt.error.as_ref()).or_else(|| attempt.reason.clone())),
        ]
    });
    let attempts = Table::new(
        ["Try", "Begun", "Came to", "Twilio's id", "What went wrong"],
        attempts,
        "Nothing was sent yet.",
    );
    let callbacks = callbacks.iter().map(|callback| {
        [
            Cell::moment(callback.received_at),
            Cell::tag(
                &callback.status,
                callback.status.parse::<TwilioStatus>().map_or(Tone::Plain, Toned::tone),
            ),
            Cell::text(&callback.sid),
            Cell::maybe(error_text(callback.error.as_ref())),
        ]
    });
    let callbacks = Table::new(
        ["Received", "Status", "Twilio's id", "What went wrong"],
        callbacks,
        "Twilio has reported nothing yet.",
    );
    vec![
        Section::new("").facts(facts).actions(delivery.resent_as.is_none().then_some(resend)),
        Section::new("Parts").table(chunks),
        Section::new("Tries").table(attempts),
        Section::new("What Twilio reported").table(callbacks),
    ]
}

fn chunk(chunk: &OutboundChunkView) -> [Cell; 9] {
    let flag = |is_set: bool| if is_set { Cell::tag("yes", Tone::Plain) } else { Cell::text("no") };
    [
        Cell::text(format!("{} (chunk {})", chunk.index + 1, chunk.id)),
        Cell::text(chunk.form.to_string()),
        Cell::tag(chunk.state.as_str(), chunk.state.tone()),
        flag(chunk.meter_proactive),
        flag(chunk.proactive),
        Cell::maybe(chunk.sid.clone()),
        Cell::text(chunk.attempts.to_string()),
        Cell::moment(chunk.updated_at),
        Cell::maybe(error_text(chunk.error.as_ref()).or_else(|| chunk.reason.clone())),
    ]
}

fn error_text(error: Option<&TwilioErrorView>) -> Option<String> {
    error.map(|error| format!("{}: {} {}", error.code, error.cause, error.remedy))
}

async fn resend(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Result<Done, Failed> {
    let Admin { pg, queue, settings, .. } = &admin;
    let answered =
        channel::retries::deliveries::resend(queue, pg, settings, DeliveryId(id), &who.name).await?;
    let answered = answered.ok_or_else(|| Failed::missing(format!("There is no delivery {id}.")))?;
    Ok(Done::new(format!("/admin/deliveries/{id}"), in_words(&answered)))
}
