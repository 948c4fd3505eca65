//! Every schedule: whether it is on and why not, its next and last slots, and who has which version of it.

use std::collections::BTreeMap;

use channel::schedules::firing;
use channel::schedules::schedule_file::Schedule;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use store::schedules::ScheduleRow;
use store::slots::{Past, SlotState};

use super::upcoming::{Upcoming, upcoming};
use crate::jobs_command::table;
use crate::zone_rules::ZoneReport;

/// Slots that are shown of each schedule, before and after now.
const SLOTS: usize = 3;

/// A schedule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedSchedule {
    /// The file's stem.
    schedule: String,
    /// Whether it fires.
    enabled: bool,
    /// Why it does not.
    disabled_why: Option<String>,
    /// When it falls due, as its file says.
    when: String,
    /// The file that this process sees, beside the present version.
    file: Version,
    /// The beginning of the present version's hash.
    hash: String,
    /// Since when this is the present version.
    loaded_at: DateTime<Utc>,
    /// What each running scheduler has.
    processes: BTreeMap<String, Version>,
    /// Its next slots.
    next: Vec<Upcoming>,
    /// Its last slots, the newest first.
    last: Vec<PastSlot>,
}

/// Somebody's version of a schedule beside the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Version {
    Same,
    Differs,
    Missing,
}

impl Version {
    fn of(hash: Option<&str>, present: &str) -> Self {
        match hash {
            None => Self::Missing,
            Some(hash) if hash == present => Self::Same,
            Some(_) => Self::Differs,
        }
    }
}

/// What a slot came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PastSlot {
    moment: DateTime<Utc>,
    fired_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "String::is_empty")]
    zone: String,
    manual: bool,
    test: bool,
    state: SlotState,
    reason: Option<String>,
    /// Only so many users of its audience were counted; `None`: all.
    counted_first: Option<i64>,
    asked: i64,
    agent_failed: i64,
    not_planned: i64,
    blocked: i64,
    planned: i64,
    sent: i64,
    delivered: i64,
    failed: i64,
}

impl PastSlot {
    fn of(slot: Past, users: i64) -> Self {
        Self {
            moment: slot.moment,
            fired_at: slot.fired_at,
            zone: slot.zone,
            manual: slot.manual,
            test: slot.is_test,
            state: slot.state,
            reason: slot.reason,
            counted_first: slot.is_sample.then_some(users),
            asked: slot.asked,
            agent_failed: slot.agent_failed,
            not_planned: slot.not_planned,
            blocked: slot.blocked,
            planned: slot.planned,
            sent: slot.sent,
            delivered: slot.delivered,
            failed: slot.failed,
        }
    }

    /// For people: when, what became of it, and for how many.
    fn sentence(&self) -> String {
        let counts = [
            ("asked", self.asked),
            ("agentFailed", self.agent_failed),
            ("notPlanned", self.not_planned),
            ("blocked", self.blocked),
            ("planned", self.planned),
            ("sent", self.sent),
            ("delivered", self.delivered),
            ("failed", self.failed),
        ];
        let counted: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count != 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let origin = match (self.test, self.manual) {
            (true, _) => " test",
            (_, true) => " by hand",
            _ => "",
        };
        let zone = if self.zone.is_empty() { String::new() } else { format!(" {}", self.zone) };
        let reason = self.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let sample = self.counted_first.map(|users| format!(", of the first {users} users"));
        format!(
            "{}{zone}{origin}  {}{reason}  {}{}",
            self.moment.format("%F %TZ"),
            self.state,
            counted.join(", "),
            sample.unwrap_or_default()
        )
    }
}

/// Lists them by name. `files` are those that this process sees; of each slot the first `users` are counted.
pub(crate) async fn list(
    conn: &mut PgConnection,
    files: &[Schedule],
    users: i64,
) -> sqlx::Result<Vec<ListedSchedule>> {
    let now = store::clock::now(conn).await?;
    let rows = store::schedules::all(conn).await?;
    let schedulers = store::schedulers::alive(conn).await?;
    let mut listed = Vec::new();
    for row in rows {
        let of_row = serde_json::from_value(row.definition.clone()).ok();
        let present = of_row.and_then(|definition| Schedule::of(&row.name, definition).ok());
        let next = match &present {
            Some(schedule) => {
                let places = firing::places(conn, schedule).await?;
                upcoming(schedule, &places, now, SLOTS)
            }
            None => Vec::new(),
        };
        let past =
            store::slots::last(conn, &row.name, i64::try_from(SLOTS).unwrap_or(i64::MAX), users).await?;
        let processes: BTreeMap<String, Version> = schedulers
            .iter()
            .map(|scheduler| {
                (scheduler.process.clone(), Version::of(scheduler.hashes[&row.name].as_str(), &row.hash))
            })
            .collect();
        let file = files.iter().find(|schedule| schedule.name == row.name);
        let why = why_off(&row, present.as_ref(), !next.is_empty(), &processes);
        listed.push(ListedSchedule {
            enabled: why.is_none(),
            disabled_why: why,
            when: present.as_ref().map(|schedule| schedule.definition.when()).unwrap_or_default(),
            file: Version::of(file.map(|schedule| schedule.hash.as_str()), &row.hash),
            hash: row.hash.chars().take(12).collect(),
            loaded_at: row.loaded_at,
            processes,
            next: if row.enabled && present.is_some_and(|schedule| schedule.definition.enabled) {
                next
            } else {
                Vec::new()
            },
            last: past.into_iter().map(|slot| PastSlot::of(slot, users)).collect(),
            schedule: row.name,
        });
    }
    Ok(listed)
}

/// For programs: each schedule with the time zone rules by which it falls due.
pub(crate) fn with_zones(listed: &[ListedSchedule], zones: &ZoneReport) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(listed)?;
    for schedule in value.as_array_mut().into_iter().flatten() {
        schedule["zoneRules"] = zones.json();
    }
    Ok(value)
}

/// Why a schedule does not fire.
fn why_off(
    row: &ScheduleRow,
    present: Option<&Schedule>,
    falls_due: bool,
    processes: &BTreeMap<String, Version>,
) -> Option<String> {
    let Some(present) = present else {
        return Some("its definition cannot be read by this version of the program".to_owned());
    };
    if !row.enabled {
        return Some(row.disabled_why.clone().unwrap_or_else(|| "switched off".to_owned()));
    }
    if !present.definition.enabled {
        return Some("its file says enabled = false".to_owned());
    }
    if !falls_due {
        return Some("it falls due no more".to_owned());
    }
    if processes.is_empty() {
        return Some("no scheduler runs".to_owned());
    }
    let is_loaded = processes.values().any(|version| *version == Version::Same);
    (!is_loaded).then(|| "no running scheduler has this version of its file".to_owned())
}

/// For people: a table, and below it the slots of each schedule.
pub(crate) fn shown(listed: &[ListedSchedule]) -> String {
    let rows = listed.iter().map(|schedule| {
        let same = schedule.processes.values().filter(|version| **version == Version::Same).count();
        vec![
            schedule.schedule.clone(),
            if schedule.enabled { "on" } else { "off" }.to_owned(),
            schedule.when.clone(),
            schedule.next.first().map(|next| next.sentence(true)).unwrap_or_else(|| "-".to_owned()),
            format!("{} ({same} of {})", schedule.hash, schedule.processes.len()),
            schedule.disabled_why.clone().unwrap_or_default(),
        ]
    });
    let mut text = table(&["SCHEDULE", "ON", "WHEN", "NEXT", "VERSION (LOADED BY)", "WHY OFF"], rows);
    for schedule in listed {
        text.push_str(&format!("\n{}  file here: {}", schedule.schedule, word(schedule.file)));
        text.push_str(&format!("  since {}\n", schedule.loaded_at.format("%F %TZ")));
        for (process, has) in &schedule.processes {
            text.push_str(&format!("    loaded   {process}: {}\n", word(*has)));
        }
        for next in &schedule.next {
            text.push_str(&format!("    next     {}\n", next.sentence(true)));
        }
        for last in &schedule.last {
            text.push_str(&format!("    last     {}\n", last.sentence()));
        }
    }
    text
}

fn word(version: Version) -> &'static str {
    match version {
        Version::Same => "same",
        Version::Differs => "differs",
        Version::Missing => "missing",
    }
}
