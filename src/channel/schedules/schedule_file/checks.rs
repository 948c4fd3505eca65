//! What of a definition cannot be meant. Everything is looked at, so that an author sees all of it at once.

use std::time::Duration;

use store::ids::{ScheduleName, UserId};
use whatsapp_text::text::{Format, WhatsappText};

use crate::outbound::{planning, template};
use crate::quiet_hours::QuietHours;
use crate::schedules::crontab::Cron;
use crate::schedules::definition::{AudienceKey, Content, Definition, QuietKey, Template, USERS_OWN};
use crate::schedules::except_item::ExceptItem;
use crate::schedules::excepted_days::ExceptedDays;
use crate::schedules::placeholders;
use crate::schedules::timing::{Interval, Recurrence, Timing};
use crate::schedules::zone_choice::ZoneChoice;

/// A shorter interval is a slip of the pen.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(60);

/// More users than this are a plan.
const LISTED_USERS: usize = 10_000;

/// What is wrong with a definition, and the key that it is about.
pub(super) struct Wrong {
    pub(super) key: &'static [&'static str],
    pub(super) reason: String,
    /// Of several keys none is there. Where another mistake was taken out of the file, it may have been that one.
    pub(super) names_none: bool,
}

impl Wrong {
    fn new(key: &'static [&'static str], reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into(), names_none: false }
    }
}

/// What a definition comes to.
pub(super) struct Checked {
    pub(super) name: ScheduleName,
    pub(super) timing: Timing,
    pub(super) zone: ZoneChoice,
}

/// Checks a definition whose file has this stem.
pub(super) fn check(stem: &str, definition: &Definition) -> Result<Checked, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let name = stem.parse::<ScheduleName>();
    let name = name.map_err(|invalid| wrong.push(Wrong::new(&[], invalid.to_string()))).ok();
    let recurrence = recurrence(definition).map_err(|reason| wrong.push(reason)).ok();
    let zone = zone(definition).map_err(|reason| wrong.push(reason)).ok();
    wrong.extend(check_audience(&definition.audience));
    wrong.extend(check_content(&definition.content));
    wrong.extend(check_durations(definition));
    wrong.extend(definition.quiet_hours.as_ref().and_then(check_quiet_hours));
    if let Some(template) = &definition.template {
        wrong.extend(check_template(template));
    }
    let days = definition.except.iter().filter_map(|item| match item {
        ExceptItem::Days(rule) => Some(rule.clone()),
        ExceptItem::Calendar(_) => None,
    });
    let except = ExceptedDays::new(days.collect());
    let timing = recurrence.map(|recurrence| Timing { recurrence, until: definition.until, except });
    match (name, timing, zone) {
        (Some(name), Some(timing), Some(zone)) if wrong.is_empty() => Ok(Checked { name, timing, zone }),
        _ => Err(wrong),
    }
}

fn recurrence(definition: &Definition) -> Result<Recurrence, Wrong> {
    if definition.anchor.is_some() && definition.every.is_none() {
        return Err(Wrong::new(&["anchor"], "anchor is where the steps of `every` are counted from"));
    }
    match (&definition.cron, definition.at, definition.every) {
        (Some(cron), None, None) => {
            let cron = Cron::parse(cron).map_err(|wrong| Wrong::new(&["cron"], wrong.to_string()))?;
            if cron.never_due() {
                return Err(Wrong::new(&["cron"], "cron never falls due: no day of any year fits"));
            }
            Ok(Recurrence::Cron(Box::new(cron)))
        }
        (None, Some(time), None) => Ok(Recurrence::At(time)),
        (None, None, Some(step)) if step < SHORTEST_INTERVAL || step.subsec_nanos() != 0 => {
            Err(Wrong::new(&["every"], "every must be full seconds, and at least \"1m\""))
        }
        (None, None, Some(step)) => Ok(Recurrence::Every(Interval { step, anchor: definition.anchor })),
        (None, None, None) => {
            let reason =
                "it must have one of cron = \"30 8 * * *\", at = \"2026-12-24T18:00\", every = \"90m\"";
            Err(Wrong { names_none: true, ..Wrong::new(&[], reason) })
        }
        (cron, ..) => {
            let key: &'static [&'static str] = if cron.is_some() { &["cron"] } else { &["at"] };
            Err(Wrong::new(key, "it must have exactly one of cron, at, every"))
        }
    }
}

fn zone(definition: &Definition) -> Result<ZoneChoice, Wrong> {
    let is_users_own = definition.timezone == USERS_OWN;
    if definition.default_timezone.is_some() && !is_users_own {
        let reason = "default_timezone is for users who have no zone, where timezone = \"user\"";
        return Err(Wrong::new(&["default_timezone"], reason));
    }
    ZoneChoice::of(definition).map_err(|unknown| {
        let key: &'static [&'static str] = if is_users_own { &["default_timezone"] } else { &["timezone"] };
        Wrong::new(key, unknown.to_string())
    })
}

fn check_audience(audience: &AudienceKey) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let named =
        [audience.user.is_some(), audience.users.is_some(), audience.plan.is_some(), audience.everyone];
    let named = named.into_iter().filter(|named| *named).count();
    if named != 1 {
        let reason = "[audience] must have exactly one of user, users, plan, everyone = true";
        wrong.push(Wrong { names_none: named == 0, ..Wrong::new(&["audience"], reason) });
    }
    if let Some(users) = &audience.users {
        wrong.extend(check_users(&["audience", "users"], users));
        if users.is_empty() {
            wrong.push(Wrong::new(&["audience", "users"], "[audience] users names nobody"));
        }
    }
    wrong.extend(check_users(&["audience", "except_users"], &audience.except_users));
    if !audience.except_users.is_empty() && audience.plan.is_none() && !audience.everyone {
        let reason = "[audience] except_users goes with plan or everyone; leave them out of users";
        wrong.push(Wrong::new(&["audience", "except_users"], reason));
    }
    wrong
}

fn check_users(key: &'static [&'static str], users: &[UserId]) -> Option<Wrong> {
    let mut sorted: Vec<&UserId> = users.iter().collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let reason = if users.len() > LISTED_USERS {
        format!("[audience] a list has at most {LISTED_USERS} users; give them a plan")
    } else {
        format!("[audience] {:?} is there twice", twice?)
    };
    Some(Wrong::new(key, reason))
}

fn check_content(content: &Content) -> Vec<Wrong> {
    let (key, text): (&'static [&'static str], _) = match (&content.message, &content.prompt) {
        (Some(text), None) => (&["content", "message"], text),
        (None, Some(text)) => (&["content", "prompt"], text),
        _ => return vec![Wrong::new(&["content"], "[content] must have exactly one of message, prompt")],
    };
    let mut wrong = Vec::new();
    if text.trim().is_empty() || text.contains('\0') {
        wrong.push(Wrong::new(key, "[content] is blank, or holds a NUL"));
    } else if content.message.is_some() && shows_nothing(content, text) {
        wrong.push(Wrong::new(key, "[content]: nothing of the message can be seen in WhatsApp"));
    }
    wrong.extend(placeholders::check(text).err().map(|told| Wrong::new(key, format!("[content]: {told}"))));
    wrong
}

fn shows_nothing(content: &Content, message: &str) -> bool {
    planning::is_blank(WhatsappText::of(message, content.format(Format::default())).as_str())
}

fn check_quiet_hours(quiet: &QuietKey) -> Option<Wrong> {
    let key: &'static [&'static str] = &["quiet_hours"];
    match (&quiet.from, &quiet.to) {
        (None, None) => None,
        (Some(from), Some(to)) => {
            QuietHours::parse(from, to).err().map(|wrong| Wrong::new(key, format!("quiet_hours: {wrong}")))
        }
        _ => Some(Wrong::new(key, "quiet_hours must have both of from, to, or only then for users' own")),
    }
}

fn check_durations(definition: &Definition) -> Option<Wrong> {
    let Definition { jitter, expires, .. } = definition;
    if expires.is_zero() {
        return Some(Wrong::new(&["expires"], "expires must be longer than \"0s\""));
    }
    if jitter < expires {
        return None;
    }
    let (jitter, expires) = (humantime::format_duration(*jitter), humantime::format_duration(*expires));
    let reason = format!(
        "jitter = \"{jitter}\" spreads beyond expires = \"{expires}\", when nothing is sent any more"
    );
    Some(Wrong::new(&["jitter"], reason))
}

fn check_template(template: &Template) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let sid = &template.content_sid;
    if let Err(remedy) = template::check_content_sid(sid) {
        let reason = format!("template.content_sid is {sid:?}; {remedy}");
        wrong.push(Wrong::new(&["template", "content_sid"], reason));
    }
    let key: &'static [&'static str] = &["template", "variables"];
    let variables = template.variables.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
    wrong.extend(template::check_variables(variables).err().map(|told| Wrong::new(key, told.to_string())));
    for (name, value) in &template.variables {
        let told = placeholders::check(value).err();
        wrong.extend(told.map(|told| Wrong::new(key, format!("template.variables.{name}: {told}"))));
    }
    wrong
}
