//! The page itself.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use channel::inbound::claims;
use channel::schedules::coming_up::{self, ComingUp};
use channel::schedules::zones::rules;
use channel::schedules::zones::tz::Tz;
use pages::{Page, SCRIPT, STYLE};
use serde::Deserialize;
use sqlx::PgConnection;
use store::entries;
use store::ids::UserId;
use store::users::User;
use uuid::Uuid;
use whatsapp_text::text::Format;

use super::bubbles::{Bubble, shown_in_full, title};
use super::cookie_jar::Kept;
use super::entrance::Visitor;
use super::failure::Failed;
use super::usage_card::UsageCard;
use super::whatsapp_card::WhatsappCard;
use super::{CHAT, Dashboard, changes};
use crate::http::product::messages::EntryView;
use crate::http::product::user_view::{UserView, view};

/// Its address.
pub(super) const PATH: &str = "/dashboard";

/// Entries of the thread that are on it at first.
const ENTRIES: i64 = 50;

/// What of a schedule's words is shown.
const WORDS: usize = 300;

/// Which part of the thread.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// What was said before this entry; the newest without it.
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    /// Whose it is.
    who: String,
    said: Option<String>,
    /// What it shows beside the thread, as one number.
    mark: u64,
    is_paused: bool,
    thread: Thread,
    whatsapp: WhatsappCard,
    usage: UsageCard,
    times: TimesCard,
    schedules: Vec<Scheduled>,
    /// Whether what they say comes to WhatsApp, too.
    reaches: String,
}

/// A part of the thread.
struct Thread {
    bubbles: Vec<Bubble>,
    /// The last entry that is shown.
    seen: i64,
    /// Where the part before it ends.
    earlier: Option<i64>,
    /// It is the newest part, which goes on by itself.
    is_newest: bool,
    /// Makes a form that is sent twice one message.
    key: String,
}

/// The user's time zone and quiet hours.
struct TimesCard {
    zone: String,
    zones: Vec<&'static str>,
    from: String,
    to: String,
}

/// A schedule that will speak.
struct Scheduled {
    title: String,
    at: String,
    moment: String,
    waits: bool,
    text: Option<String>,
}

/// Shows it.
pub(super) async fn page(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(id)): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let settings = &dashboard.product.settings;
    let mut conn = dashboard.product.pg.acquire().await?;
    let mark = changes::mark(&mut conn, &id).await?.unwrap_or_default();
    let user = store::users::get(&mut conn, &id).await?.ok_or_else(Failed::unknown)?;
    let zone = zone_of(&user);
    let view = view(&mut conn, settings, user.clone()).await?;
    let code = match dashboard.cookies.given(&headers, Kept::Claim) {
        Some(text) => claims::still_live(&mut conn, settings, &id, &text).await?,
        None => None,
    };
    let whatsapp = WhatsappCard::of(settings, &view, code, zone);
    let coming = coming_up::coming_up(&mut conn, &user, view.whatsapp.is_some()).await?;
    let thread = Thread::read(&mut conn, &id, wanted.before, zone, settings.agent.format).await?;
    drop(conn);
    let usage = UsageCard::of(settings, &view.usage);
    let page = DashboardPage {
        reaches: reaches(&view, &usage),
        who: who(&view),
        said: dashboard.cookies.given(&headers, Kept::Said),
        mark,
        is_paused: view.paused,
        thread,
        whatsapp,
        usage,
        times: TimesCard::of(&view),
        schedules: coming.into_iter().map(|coming| Scheduled::of(coming, zone)).collect(),
    };
    let mut response = Page(page).into_response();
    response.headers_mut().extend(dashboard.cookies.set(&headers, Kept::Said, ""));
    Ok(response)
}

/// The zone in which a user reads times.
pub(super) fn zone_of(user: &User) -> Tz {
    user.timezone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

fn who(view: &UserView) -> String {
    let name = view.attributes.get("name").filter(|name| !name.trim().is_empty());
    name.cloned().unwrap_or_else(|| view.user.to_string())
}

/// Where scheduled words arrive, and why not on the phone.
fn reaches(view: &UserView, usage: &UsageCard) -> String {
    let why_not = if view.whatsapp.as_ref().is_none_or(|phone| phone.unproven) {
        "no phone is linked"
    } else if view.opted_out {
        "you are unsubscribed"
    } else {
        match &usage.bar {
            None => "your plan has no WhatsApp updates",
            Some(bar) if bar.is_used_up => "your plan's updates are used up",
            Some(_) => return "They come to WhatsApp, and into the chat here.".to_owned(),
        }
    };
    format!("They come into the chat here. To WhatsApp they do not come: {why_not}.")
}

impl Thread {
    async fn read(
        conn: &mut PgConnection,
        id: &UserId,
        before: Option<i64>,
        zone: Tz,
        format: Format,
    ) -> sqlx::Result<Self> {
        let length = entries::lengths(conn, std::slice::from_ref(id)).await?;
        let length = length.first().map_or(0, |(_, length)| *length);
        let last = before.map_or(length, |before| (before - 1).clamp(0, length));
        let from = (last - ENTRIES).max(0);
        let found = entries::after(conn, id, from, last - from).await?;
        // Old entries are taken away, and their numbers stay behind.
        let has_earlier = from > 0 && found.first().is_some_and(|first| first.number == from + 1);
        let bubbles =
            found.into_iter().map(|entry| Bubble::of(EntryView::from(entry), zone, format)).collect();
        Ok(Self {
            bubbles,
            seen: last,
            earlier: has_earlier.then_some(from + 1),
            is_newest: last == length,
            key: Uuid::now_v7().to_string(),
        })
    }
}

impl TimesCard {
    fn of(view: &UserView) -> Self {
        let (from, to) = view
            .quiet_hours
            .as_ref()
            .map_or_else(Default::default, |hours| (hours.from.clone(), hours.to.clone()));
        let zone = view.timezone.clone().unwrap_or_default();
        Self { zone, zones: rules().places(), from, to }
    }
}

impl Scheduled {
    fn of(coming: ComingUp, zone: Tz) -> Self {
        let text = coming.text.map(|text| match text.char_indices().nth(WORDS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        });
        Self {
            title: title(coming.schedule.as_str()),
            at: shown_in_full(coming.at, zone),
            moment: coming.at.to_rfc3339(),
            waits: coming.waits,
            text,
        }
    }
}
