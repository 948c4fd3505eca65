//! What a schedule does and when, key by key.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use store::audiences::{self, Who};
use store::ids::UserId;
use store::users::User;
use whatsapp_text::text::Format;

use super::except_item::ExceptItem;
use super::local_time::{LocalTime, Until};
use crate::outbound::quiet_rule::{QuietRule, WhenQuiet};
use crate::quiet_hours::QuietHours;

/// A schedule as its file has it. This is also how the database keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// A crontab expression of five or six fields, or a macro. Exactly one of `cron`, `at`, `every` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The one moment at which it falls due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<LocalTime>,
    /// It falls due each time this has gone by.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde")]
    pub every: Option<Duration>,
    /// With `every`: the first moment; without it the steps are counted from 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<LocalTime>,
    /// It does not fall due after this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Days on which it is silent. In a file also calendars beside it, `holidays.ics`; the database has their days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<ExceptItem>,
    /// An IANA zone, or `user`: each user's own.
    #[serde(default = "utc")]
    pub timezone: String,
    /// With `timezone = "user"`: the zone of users who have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_timezone: Option<String>,
    /// When nothing is sent, on the clocks of each user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietKey>,
    /// Whether it fires at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What happens with slots that fell due while no process ran.
    #[serde(default)]
    pub misfire: Misfire,
    /// With `misfire = "once"`: how late the last of them may still fire.
    #[serde(default = "fifteen_minutes", with = "humantime_serde")]
    pub misfire_grace: Duration,
    /// What happens with a slot that falls due while the one before it still runs.
    #[serde(default)]
    pub overlap: Overlap,
    /// The messages of a slot are spread over this time.
    #[serde(default, with = "humantime_serde")]
    pub jitter: Duration,
    /// What has not been sent this long after its slot is not sent any more.
    #[serde(default = "two_hours", with = "humantime_serde")]
    pub expires: Duration,
    /// Who is written to.
    pub audience: AudienceKey,
    /// What is said.
    pub content: Content,
    /// What is sent instead while WhatsApp takes no free text.
    pub template: Option<Template>,
}

impl Definition {
    /// When it falls due, in a few words of the file.
    #[must_use]
    pub fn when(&self) -> String {
        let recurrence = match (&self.cron, self.at, self.every) {
            (Some(cron), ..) => cron.clone(),
            (_, Some(at), _) => format!("at {at}"),
            (.., Some(every)) => format!("every {}", humantime::format_duration(every)),
            _ => String::new(),
        };
        let zone = if self.timezone == USERS_OWN { "each user's zone" } else { &self.timezone };
        format!("{recurrence} ({zone})")
    }

    /// Whether both fall due at the same moments.
    #[must_use]
    pub fn keeps_time_of(&self, other: &Self) -> bool {
        let times = |definition: &Self| {
            let Self { cron, at, every, anchor, until, except, timezone, default_timezone, .. } =
                definition.clone();
            (cron, at, every, anchor, until, except, timezone, default_timezone)
        };
        times(self) == times(other)
    }
}

/// What happens with slots that fell due while no process ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Misfire {
    /// The last one fires, if it is not later than the grace.
    #[default]
    Once,
    /// All of them fire, up to a bound.
    All,
    /// None fires.
    Skip,
}

/// What happens with a slot that falls due while the one before it still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits.
    Wait,
}

/// Who is written to: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table like { plan = \"pro\" }, { user = \"alice\" } or { everyone = true }"
)]
pub struct AudienceKey {
    /// One user.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "user_id")]
    pub user: Option<UserId>,
    /// These users.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "listed_ids")]
    pub users: Option<Vec<UserId>>,
    /// Everybody on a plan; who has no phone is blocked with that reason, and has the words in the dashboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Everybody who has a phone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// With `plan` or `everyone`: all but these.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "user_ids")]
    pub except_users: Vec<UserId>,
}

fn user_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserId>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(parsed_id).transpose()
}

fn listed_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UserId>>, D::Error> {
    user_ids(deserializer).map(Some)
}

fn user_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.into_iter().map(parsed_id).collect()
}

fn parsed_id<E: serde::de::Error>(text: String) -> Result<UserId, E> {
    text.parse().map_err(|wrong| E::custom(format!("[audience] {text:?} is no user's id: {wrong}")))
}

impl AudienceKey {
    /// As the database is asked for it.
    #[must_use]
    pub fn as_stored(&self) -> audiences::Audience<'_> {
        let who = match self {
            Self { user: Some(user), .. } => Who::User(user),
            Self { users: Some(users), .. } => Who::Users(users),
            Self { plan: Some(plan), .. } => Who::Plan(plan),
            _ => Who::Everyone,
        };
        audiences::Audience { who, except: &self.except_users }
    }

    /// Whether a user is among them; `has_phone`: the user has a phone.
    #[must_use]
    pub fn includes(&self, user: &User, has_phone: bool) -> bool {
        let is_among = match self.as_stored().who {
            Who::User(one) => *one == user.id,
            Who::Users(some) => some.contains(&user.id),
            Who::Plan(plan) => plan.to_lowercase() == user.plan.to_lowercase(),
            Who::Everyone => has_phone,
        };
        is_among && !self.except_users.contains(&user.id)
    }
}

/// What is said: a message or a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a table like { message = \"Good morning\" } or { prompt = \"…\" }")]
pub struct Content {
    /// These words.
    pub message: Option<String>,
    /// What the agent says to this.
    pub prompt: Option<String>,
    /// Whose signs it has on its way to WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

impl Content {
    /// Whose signs the words have: a message's are WhatsApp's, and what the agent says has the `agents`, unless the file says otherwise.
    #[must_use]
    pub fn format(&self, agents: Format) -> Format {
        self.format.unwrap_or(if self.prompt.is_some() { agents } else { Format::Whatsapp })
    }
}

/// `quiet_hours`: the schedule's own, and what happens with a message that falls into them or into its user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuietKey {
    /// They begin, like `22:00`. Without `from` and `to` only users' own hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// They end, like `07:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// It waits for their end, or is dropped.
    #[serde(default)]
    pub then: WhenQuiet,
}

impl Definition {
    /// What quiet hours mean for its deliveries.
    #[must_use]
    pub fn quiet_rule(&self) -> QuietRule {
        let key = self.quiet_hours.clone().unwrap_or_default();
        let hours = key.from.as_deref().zip(key.to.as_deref());
        QuietRule {
            hours: hours.and_then(|(from, to)| QuietHours::parse(from, to).ok()),
            then: key.then,
            timezone: if self.timezone == USERS_OWN {
                self.default_timezone.clone().unwrap_or_else(utc)
            } else {
                self.timezone.clone()
            },
            lasts: self.expires,
            waits_for_inbound: false,
        }
    }
}

/// An approved template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `HX` and 32 hex digits.
    pub content_sid: String,
    /// Its variables.
    #[serde(default)]
    pub variables: std::collections::BTreeMap<String, String>,
}

/// In `timezone`: each user's own zone.
pub const USERS_OWN: &str = "user";

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

fn fifteen_minutes() -> Duration {
    Duration::from_secs(15 * 60)
}

fn two_hours() -> Duration {
    Duration::from_secs(2 * 3600)
}
