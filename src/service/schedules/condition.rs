//! Whether a schedule fires, and why not.

use std::collections::BTreeMap;

use channel::schedules::firing;
use channel::schedules::schedule_file::Schedule;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::schedulers::SchedulerRow;
use store::schedules::{OffCause, ScheduleRow, SwitchedOff};
use utoipa::ToSchema;

use super::upcoming::{Upcoming, upcoming};

/// Slots that are looked for after now.
pub(super) const SLOTS: usize = 3;

/// What a running scheduler has loaded, beside the present version of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LoadedVersion {
    /// The present version, by which it fires.
    Same,
    /// Another version, by which it does not fire.
    Differs,
    /// None.
    Missing,
}

impl LoadedVersion {
    pub(super) fn of(hash: Option<&str>, present: &str) -> Self {
        match hash {
            None => Self::Missing,
            Some(hash) if hash == present => Self::Same,
            Some(_) => Self::Differs,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }
}

/// That a schedule was switched off, whatever its file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SwitchedOff)]
pub(crate) struct SwitchedOffView {
    /// What did it.
    cause: OffCause,
    /// When.
    pub(crate) since: DateTime<Utc>,
    /// Who did it by hand; null: nobody.
    by: Option<String>,
    /// Why; null: nobody said.
    reason: Option<String>,
}

impl From<SwitchedOff> for SwitchedOffView {
    fn from(SwitchedOff { cause, since, by, reason }: SwitchedOff) -> Self {
        Self { cause, since, by, reason }
    }
}

impl SwitchedOffView {
    /// Who or what, and why.
    fn in_words(&self) -> String {
        match (&self.by, &self.reason) {
            (Some(by), Some(reason)) => format!("switched off by {by}: {reason}"),
            (Some(by), None) => format!("switched off by {by}"),
            (None, reason) => reason.clone().unwrap_or_else(|| "switched off".to_owned()),
        }
    }
}

/// What decides whether a schedule fires.
#[derive(Debug)]
pub(crate) struct Condition {
    /// `None`: its definition cannot be read.
    pub(super) present: Option<Schedule>,
    /// The moments at which it falls due next, if it is on.
    pub(super) next: Vec<Upcoming>,
    /// What each running scheduler has.
    pub(super) processes: BTreeMap<String, LoadedVersion>,
    /// Why it does not fire; `None`: it does.
    pub(crate) why_off: Option<String>,
    /// Who or what switched it off; `None`: it is enabled.
    pub(crate) switched_off: Option<SwitchedOffView>,
    /// Neither its file nor a switch has it off, and it falls due: if it does not fire, that is not meant.
    pub(crate) should_fire: bool,
}

impl Condition {
    /// Of a schedule, beside what the running schedulers say that they have.
    pub(crate) async fn read(
        conn: &mut PgConnection,
        row: &ScheduleRow,
        schedulers: &[SchedulerRow],
    ) -> sqlx::Result<Self> {
        let definition = serde_json::from_value(row.definition.clone()).ok();
        let present = definition.and_then(|definition| Schedule::of(&row.name, definition).ok());
        let next = match &present {
            Some(schedule) => {
                let due_zones = firing::due_zones(conn, schedule).await?;
                upcoming(schedule, &due_zones, row.now, SLOTS)
            }
            None => Vec::new(),
        };
        let version = |scheduler: &SchedulerRow| {
            let hash = scheduler.hashes[row.name.as_str()].as_str();
            (scheduler.process.clone(), LoadedVersion::of(hash, &row.hash))
        };
        let processes: BTreeMap<String, LoadedVersion> = schedulers.iter().map(version).collect();
        let switched_off = row.switched_off().map(SwitchedOffView::from);
        let why_off = why_off(switched_off.as_ref(), present.as_ref(), !next.is_empty(), &processes);
        let is_on = row.enabled && present.as_ref().is_some_and(|schedule| schedule.definition.enabled);
        let is_meant_off = !row.enabled
            || present.as_ref().is_some_and(|schedule| !schedule.definition.enabled || next.is_empty());
        let should_fire = !is_meant_off;
        let next = if is_on { next } else { Vec::new() };
        Ok(Self { should_fire, present, next, processes, why_off, switched_off })
    }
}

fn why_off(
    switched_off: Option<&SwitchedOffView>,
    present: Option<&Schedule>,
    falls_due: bool,
    processes: &BTreeMap<String, LoadedVersion>,
) -> Option<String> {
    let Some(present) = present else {
        return Some("its definition cannot be read by this version of the program".to_owned());
    };
    if let Some(switched_off) = switched_off {
        return Some(switched_off.in_words());
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
    let is_loaded = processes.values().any(|version| *version == LoadedVersion::Same);
    (!is_loaded).then(|| "no running scheduler has this version of its file".to_owned())
}
