//! `/v1/users/{user}`: a CloudyBot account, as far as this channel knows it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::app::Settings;
use channel::erasure;
use channel::opt_out::{self, OptOut};
use channel::quiet_hours::QuietHours;
use channel::schedules::zones::tz::Tz;
use channel::user_attributes;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgConnection;
use store::claim_tokens::TokenEnding;
use store::consents::{Consent, ConsentAction, ConsentMethod};
use store::deliveries::Obstacle;
use store::links::Link;
use store::users::User;
use utoipa::ToSchema;

use super::agents::{self, AgentRequest, AgentView};
use super::usage::{self, UsageView};
use super::{Product, known_user, user_id};
use crate::http::input;
use crate::http::problem::Problem;

/// Pages of an erasure that its request waits for: all of a person with some hundred messages.
const PAGES_AT_ONCE: u32 = 20;

/// What changes; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserRequest {
    /// A plan by its name, in any case. A new user without one gets the default plan.
    plan: Option<String>,
    /// On which day of the month billing periods begin, 1 to 31 or a date; null: calendar months. A change holds from the end of the running
    /// period.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    period_anchor: Option<Option<PeriodAnchor>>,
    /// The assistant is silent; STOP and START still work.
    paused: Option<bool>,
    /// The user's own time zone, by its IANA name; null: not known.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    timezone: Option<Option<String>>,
    /// When nothing scheduled is sent, on the clocks of the user's zone; null: never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<QuietHoursView>)]
    quiet_hours: Option<Option<QuietHours>>,
    /// What schedules' texts may say of the user, as `{{user.attributes.NAME}}`, in place of what there was: at most 50 texts of at most 1024 bytes;
    /// names have 1 to 64 letters of A to Z, a to z, digits, `_` and `-`. null: nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    attributes: Option<Option<BTreeMap<String, String>>>,
    /// The agent that the user has of their own, in place of what there was; null: the deployment's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<AgentRequest>)]
    agent: Option<Option<AgentRequest>>,
}

/// Tells null from nothing.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum PeriodAnchor {
    Day(u32),
    Date(NaiveDate),
    Moment(DateTime<Utc>),
}

impl PeriodAnchor {
    fn day(self) -> Result<u32, Problem> {
        let day = match self {
            Self::Day(day) => day,
            Self::Date(date) => date.day(),
            Self::Moment(moment) => moment.day(),
        };
        if (1..=31).contains(&day) {
            return Ok(day);
        }
        Err(Problem::invalid(format!(
            "periodAnchor: {day} is no day of a month; it must be 1 to 31, or a date"
        )))
    }
}

/// All we know of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    user: String,
    plan: String,
    /// On which day billing periods begin; null: calendar months.
    period_anchor: Option<u32>,
    paused: bool,
    /// The user's own time zone; null: not known.
    timezone: Option<String>,
    /// When nothing scheduled is sent, on the clocks of the user's zone; null: never.
    quiet_hours: Option<QuietHoursView>,
    /// What schedules' texts may say of the user.
    attributes: BTreeMap<String, String>,
    /// The agent that the user has of their own; null: the deployment's.
    agent: Option<AgentView>,
    /// The linked phone; null: none.
    whatsapp: Option<LinkView>,
    /// Wants no scheduled and proactive messages.
    opted_out: bool,
    /// The latest claim token; null: there never was one.
    claim: Option<ClaimState>,
    /// Everything the user agreed to and took back, in order.
    consents: Vec<ConsentView>,
    usage: UsageView,
    created_at: DateTime<Utc>,
}

/// Two times of the day, like 22:00 and 07:00. They may go over midnight, and differ.
#[derive(Serialize, ToSchema)]
struct QuietHoursView {
    /// The first time that they cover.
    from: String,
    /// The first time that they do not cover any more.
    to: String,
}

impl From<(NaiveTime, NaiveTime)> for QuietHoursView {
    fn from((from, to): (NaiveTime, NaiveTime)) -> Self {
        let spelled = |time: NaiveTime| time.format("%H:%M").to_string();
        Self { from: spelled(from), to: spelled(to) }
    }
}

/// A linked phone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LinkView {
    /// As Twilio spells it: `whatsapp:+E164`, or `whatsapp:` and an opaque id.
    address: String,
    linked_at: DateTime<Utc>,
    /// Its number came with another WhatsApp id, so it may be somebody else's now: nothing is sent to it until the user claims a phone again.
    unproven: bool,
    /// Since when; null: it is proven.
    unproven_since: Option<DateTime<Utc>>,
}

/// What became of a claim token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClaimState {
    /// `waiting`, `expired`, `redeemed`, `voided`, `number_linked_elsewhere` or `plan`.
    state: &'static str,
    expires_at: DateTime<Utc>,
    /// What helps, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// Something the user agreed to or took back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConsentView {
    phone: Option<String>,
    /// `claim_flow`, `inbound_start`, `inbound_stop`, `admin` or `provider`.
    #[schema(value_type = String)]
    method: ConsentMethod,
    /// `granted` or `revoked`.
    #[schema(value_type = String)]
    action: ConsentAction,
    text: String,
    version: String,
    message_sid: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let Consent { phone, method, action, text, version, message_sid, created_at } = consent;
        Self { phone, method, action, text, version, message_sid, created_at }
    }
}

/// Creates or changes a user.
#[utoipa::path(put, path = "/users/{user}", operation_id = "putUser", tag = "users", params(("user" = String, Path, description = "CloudyBot's id")), request_body = UserRequest, responses((status = 200, body = UserView), (status = 201, body = UserView), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(product): State<Product>,
    input::Path(id): input::Path<String>,
    input::OptionalJson(request): input::OptionalJson<UserRequest>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let settings = &product.settings;
    let mut tx = product.pg.begin().await?;
    let (mut user, new) =
        store::users::create_or_lock(&mut tx, user_id(&id)?, &settings.plans.default().name).await?;
    if let Some(plan) = &request.plan {
        user.plan = plan_name(settings, plan)?;
    }
    if let Some(anchor) = request.period_anchor {
        let day = anchor.map(PeriodAnchor::day).transpose()?;
        // A new user has no period that could be cut short.
        user.anchor = if new {
            store::periods::Anchor { day, ..store::periods::Anchor::default() }
        } else {
            user.anchor.set(day, store::clock::now(&mut tx).await?)
        };
    }
    user.paused = request.paused.unwrap_or(user.paused);
    if let Some(timezone) = request.timezone {
        user.timezone = timezone.map(|name| zone_name(&name)).transpose()?;
    }
    if let Some(hours) = request.quiet_hours {
        user.quiet_hours = hours.map(|hours| (hours.from(), hours.to()));
    }
    if let Some(attributes) = request.attributes {
        let attributes = attributes.unwrap_or_default();
        user_attributes::check(&attributes)
            .map_err(|wrong| Problem::invalid(format!("attributes{wrong}")))?;
        user.attributes = attributes;
    }
    store::users::update(&mut tx, &user).await?;
    if let Some(agent) = request.agent {
        agents::put(&mut tx, settings, &user.id, agent).await?;
    }
    let view = view(&mut tx, settings, user).await?;
    tx.commit().await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// The name of a plan as the configuration has it.
pub(crate) fn plan_name(settings: &Settings, plan: &str) -> Result<String, Problem> {
    let known = || settings.plans.all().iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ");
    settings
        .plans
        .find(plan)
        .map(|plan| plan.name.clone())
        .ok_or_else(|| Problem::invalid(format!("plan: {plan:?} is none; the plans are {}", known())))
}

/// The name of a time zone that the rules in use have.
pub(crate) fn zone_name(name: &str) -> Result<String, Problem> {
    let zone: Tz = name.parse().map_err(|unknown| Problem::invalid(format!("timezone: {unknown}")))?;
    Ok(zone.to_string())
}

/// All we know of a user.
#[utoipa::path(get, path = "/users/{user}", operation_id = "getUser", tag = "users", params(("user" = String, Path, description = "CloudyBot's id")), responses((status = 200, body = UserView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn get(
    State(product): State<Product>,
    input::Path(id): input::Path<String>,
) -> Result<Json<UserView>, Problem> {
    let mut conn = product.pg.acquire().await?;
    let user = known_user(&mut conn, &id).await?;
    Ok(Json(view(&mut conn, &product.settings, user).await?))
}

/// Forgets a user: bodies and numbers go, a keyed hash stays as the proof of an opt-out. Once it is answered nothing can undo it.
#[utoipa::path(delete, path = "/users/{user}", operation_id = "eraseUser", tag = "users", params(("user" = String, Path, description = "CloudyBot's id")), responses((status = 204, description = "Nothing is left"), (status = 202, description = "The user is unknown from now on; a long thread is still being emptied, which goes on by itself"), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn erase(
    State(product): State<Product>,
    input::Path(id): input::Path<String>,
) -> Result<StatusCode, Problem> {
    let mut tx = product.queue.begin(&product.pg).await?;
    let user = known_user(&mut tx, &id).await?;
    store::erasure::begin(&mut tx, &product.settings.secret_keys, &user.id).await?;
    tx.commit().await?;
    tracing::info!(user.id = user.id, "Erased a user");
    // Most people are done with in a few pages. The rest is the job's, which the upkeep enqueues if this process dies here.
    for _ in 0..PAGES_AT_ONCE {
        if !erasure::page_of(&product.pg, &user.id).await? {
            break;
        }
    }
    let left = store::erasure::is_due(&mut *product.pg.acquire().await?, Some(&user.id)).await?;
    if left {
        let mut tx = product.queue.begin(&product.pg).await?;
        erasure::enqueue(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(if left { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT })
}

/// Opts a user out of scheduled and proactive messages; only START or a claim from the phone lifts that.
#[utoipa::path(put, path = "/users/{user}/opt-out", operation_id = "optOutUser", tag = "users", params(("user" = String, Path, description = "CloudyBot's id")), responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn opt_out(
    State(product): State<Product>,
    input::Path(id): input::Path<String>,
) -> Result<StatusCode, Problem> {
    let keys = &product.settings.secret_keys;
    let mut tx = product.pg.begin().await?;
    let user = known_user(&mut tx, &id).await?;
    let Some(link) = store::links::lock_of_user(&mut tx, &user.id).await? else {
        return Err(Problem::conflict(
            Obstacle::NotLinked.as_str(),
            "the user has no phone that could be opted out",
        ));
    };
    opt_out::opt_out(&mut tx, keys, link.address_id, OptOut::Support).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user as the interface and the command line show it.
pub(crate) async fn view(conn: &mut PgConnection, settings: &Settings, user: User) -> sqlx::Result<UserView> {
    let link = store::links::of_user(conn, &user.id).await?;
    let (whatsapp, opted_out) = match link {
        None => (None, store::opt_outs::exists_for_user(conn, &user.id).await?),
        Some(link) => {
            let names = store::addresses::names(conn, link.address_id).await?;
            let opted_out = store::opt_outs::exists(conn, &settings.secret_keys, &names).await?;
            let address = names.into_iter().next().map(|name| name.alias).unwrap_or_default();
            let Link { linked_at, unproven_since, .. } = link;
            let unproven = unproven_since.is_some();
            (Some(LinkView { address, linked_at, unproven, unproven_since }), opted_out)
        }
    };
    let claim = store::claim_tokens::latest(conn, &user.id).await?.map(|token| {
        let open = if token.expired { "expired" } else { "waiting" };
        let state = token.ending.map_or(open, TokenEnding::as_str);
        let remedy = (token.ending == Some(TokenEnding::NumberLinkedElsewhere))
            .then_some("the phone is linked to another user; a claim with \"replace\": true moves it");
        ClaimState { state, expires_at: token.expires_at, remedy }
    });
    let consents = store::consents::of_user(conn, &user.id).await?;
    let agent = store::user_agents::get(conn, &user.id).await?.map(AgentView::from);
    let usage = usage::view(conn, settings, &user).await?;
    Ok(UserView {
        agent,
        whatsapp,
        opted_out,
        claim,
        consents: consents.into_iter().map(ConsentView::from).collect(),
        usage,
        user: user.id,
        plan: user.plan,
        period_anchor: user.anchor.day,
        paused: user.paused,
        timezone: user.timezone,
        quiet_hours: user.quiet_hours.map(QuietHoursView::from),
        attributes: user.attributes,
        created_at: user.created_at,
    })
}
