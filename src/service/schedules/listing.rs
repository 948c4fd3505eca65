//! Every schedule: whether it is on and why not, its next and last slots, and who has which version of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::ids::ScheduleName;
use store::slots::{Past, SlotState};
use utoipa::ToSchema;

use super::condition::{Condition, LoadedVersion, SLOTS, SwitchedOffView};
use super::files::Files;
use super::findings::Findings;
use super::upcoming::Upcoming;
use crate::commands::output::table;
use crate::zone_rules::{ZoneReport, ZoneRulesView};

/// Of a slot so many users are counted, where nothing is said.
pub(crate) const USUAL_USERS: i64 = 2_000;

/// Every schedule, and what is wrong with the files.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleList {
    /// By name.
    schedules: Vec<ListedSchedule>,
    /// The time zone rules by which they fall due.
    zone_rules: ZoneRulesView,
    /// What this process sees in its folder; a file that was never right is here alone.
    findings: Findings,
}

/// A schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedSchedule {
    /// The file's stem.
    #[schema(value_type = String)]
    schedule: ScheduleName,
    /// Whether it fires.
    enabled: bool,
    /// Why it does not; null: it does.
    disabled_why: Option<String>,
    /// Who or what switched it off, when and why; null: nobody.
    switched_off: Option<SwitchedOffView>,
    /// When it falls due, as its file says.
    when: String,
    /// The file that this process sees, beside the present version.
    file: FileVersion,
    /// Why the file cannot be read; the present version is the last good one then.
    file_errors: Vec<String>,
    /// The beginning of the present version's hash.
    hash: String,
    /// Since when this is the present version.
    loaded_at: DateTime<Utc>,
    /// What each running scheduler has, by process: `same`, `differs` or `missing` beside the present version.
    processes: BTreeMap<String, LoadedVersion>,
    /// Its next slots; none while it is off.
    next: Vec<Upcoming>,
    /// Its last slots, the newest first.
    last: Vec<PastSlot>,
}

impl ListedSchedule {
    /// For people: why it does not fire, and since when if somebody wanted that.
    fn why_off(&self) -> String {
        let since = self.switched_off.as_ref().map(|off| format!(", since {}", off.since.format("%F %TZ")));
        self.disabled_why.as_ref().map(|why| why.clone() + &since.unwrap_or_default()).unwrap_or_default()
    }
}

/// A file beside the present version of its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FileVersion {
    /// The present version.
    Same,
    /// Another version.
    Differs,
    /// There is no file of this name here.
    Missing,
    /// It cannot be read.
    Wrong,
}

impl FileVersion {
    fn of(files: &Files, errors: &[String], name: &ScheduleName, present: &str) -> Self {
        if !errors.is_empty() {
            return Self::Wrong;
        }
        let file = files.folder.schedules.iter().find(|schedule| schedule.name == *name);
        match LoadedVersion::of(file.map(|schedule| schedule.hash.as_str()), present) {
            LoadedVersion::Same => Self::Same,
            LoadedVersion::Differs => Self::Differs,
            LoadedVersion::Missing => Self::Missing,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// What a slot came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PastSlot {
    /// When it fell due.
    moment: DateTime<Utc>,
    /// When it was fired.
    fired_at: DateTime<Utc>,
    /// Whose users it was for; left out: everybody of the audience.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    zone: String,
    /// Fired by hand.
    manual: bool,
    /// Somebody tried the schedule with one user.
    test: bool,
    /// How far it is.
    state: SlotState,
    /// Why it was skipped or failed.
    reason: Option<String>,
    /// Only so many users of its audience were counted; null: all.
    counted_first: Option<i64>,
    /// Users whom the agent is still at work on.
    asked: i64,
    /// Users for whom the agent failed.
    agent_failed: i64,
    /// Users for whom the agent had nothing to say.
    not_planned: i64,
    /// Users who could not be written to.
    blocked: i64,
    /// Users whose delivery was planned.
    planned: i64,
    /// Deliveries that Twilio has.
    sent: i64,
    /// Deliveries that arrived.
    delivered: i64,
    /// Planned deliveries that came to nothing.
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

    /// For people: when, and what became of it.
    fn in_short(&self) -> String {
        format!("{} {}", self.moment.format("%F %TZ"), self.state)
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

/// Every schedule beside the files that this process sees; of each slot the first `users` are counted.
pub(crate) async fn list(
    conn: &mut PgConnection,
    mut files: Files,
    users: i64,
) -> sqlx::Result<(ScheduleList, ZoneReport)> {
    let zones = ZoneReport::read(conn).await?;
    let schedules = listed(conn, &files, users).await?;
    files.findings.add_unknown_users(conn, &files.folder.schedules).await?;
    Ok((ScheduleList { schedules, zone_rules: zones.view(), findings: files.findings }, zones))
}

async fn listed(conn: &mut PgConnection, files: &Files, users: i64) -> sqlx::Result<Vec<ListedSchedule>> {
    let rows = store::schedules::all(conn).await?;
    let schedulers = store::schedulers::alive(conn).await?;
    let mut listed = Vec::new();
    for row in rows {
        let Condition { present, next, processes, why_off, switched_off, .. } =
            Condition::read(conn, &row, &schedulers).await?;
        let number = i64::try_from(SLOTS).unwrap_or(i64::MAX);
        let last = store::slots::last(conn, &row.name, number, users).await?;
        let file_errors = files.errors_of(row.name.as_str());
        listed.push(ListedSchedule {
            enabled: why_off.is_none(),
            disabled_why: why_off,
            switched_off,
            when: present.map(|schedule| schedule.definition.when()).unwrap_or_default(),
            file: FileVersion::of(files, &file_errors, &row.name, &row.hash),
            file_errors,
            hash: row.hash.chars().take(12).collect(),
            loaded_at: row.loaded_at,
            processes,
            next,
            last: last.into_iter().map(|slot| PastSlot::of(slot, users)).collect(),
            schedule: row.name,
        });
    }
    Ok(listed)
}

/// For people: what is wrong with the files, a table, and below it the slots of each schedule.
pub(crate) fn shown(list: &ScheduleList) -> String {
    let wrong: String = list.findings.wrong.iter().map(|wrong| format!("wrong: {wrong}\n")).collect();
    let listed = &list.schedules;
    let rows = listed.iter().map(|schedule| {
        let same = schedule.processes.values().filter(|version| **version == LoadedVersion::Same).count();
        vec![
            schedule.schedule.to_string(),
            if schedule.enabled { "on" } else { "off" }.to_owned(),
            schedule.when.clone(),
            schedule.next.first().map(|next| next.sentence(true)).unwrap_or_else(|| "-".to_owned()),
            schedule.last.first().map(PastSlot::in_short).unwrap_or_else(|| "-".to_owned()),
            format!("{} ({same} of {})", schedule.hash, schedule.processes.len()),
            schedule.why_off(),
        ]
    });
    let mut text =
        wrong + &table(&["SCHEDULE", "ON", "WHEN", "NEXT", "LAST", "VERSION (LOADED BY)", "WHY OFF"], rows);
    for schedule in listed {
        text.push_str(&format!("\n{}  file here: {}", schedule.schedule, schedule.file.as_str()));
        text.push_str(&format!("  since {}\n", schedule.loaded_at.format("%F %TZ")));
        for (process, has) in &schedule.processes {
            text.push_str(&format!("    loaded   {process}: {}\n", has.as_str()));
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
