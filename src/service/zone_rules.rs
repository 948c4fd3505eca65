//! The time zone rules of this process and of the running schedulers, as people and programs are told of them.

use std::collections::BTreeMap;

use channel::schedules::zones::{self, ZoneRules};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

/// What is known of the rules.
pub(crate) struct ZoneReport {
    rules: &'static ZoneRules,
    /// The release of each running scheduler.
    processes: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
    /// Those of them by which a slot may fall due at a wrong moment.
    pub(crate) wrong_moments: Vec<String>,
}

/// The time zone rules, for a program.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZoneRulesView {
    /// The release of tzdata that this process goes by.
    release: String,
    /// Where it comes from.
    source: RulesSource,
    /// The machine's release; null: there is none that could be read.
    machine: Option<String>,
    /// The release in the program.
    compiled: String,
    /// The release of each running scheduler, by process.
    processes: BTreeMap<String, String>,
    /// What should be mended.
    warnings: Vec<String>,
}

/// Where a release comes from.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RulesSource {
    /// The machine's files.
    Machine,
    /// The program.
    Compiled,
}

impl ZoneReport {
    /// Judges by the database's clock, and compares with the schedulers that it knows.
    pub(crate) async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let (rules, now) = (zones::rules(), store::clock::now(conn).await?);
        let alive = store::schedulers::alive(conn).await?;
        let processes: BTreeMap<String, String> =
            alive.into_iter().map(|scheduler| (scheduler.process, scheduler.zone_release)).collect();
        let own = rules.release().to_string();
        let other = processes.iter().filter(|(_, release)| **release != own).map(|(process, release)| {
            format!(
                "process {process} fires schedules by tzdata {release}, this one has {own}: bring the machines to the same tzdata and start the \
                 process again, or a slot may happen at two moments"
            )
        });
        let wrong_moments: Vec<String> = rules.old_age(now).into_iter().chain(other).collect();
        let warnings = rules.older_machine().into_iter().chain(wrong_moments.iter().cloned()).collect();
        Ok(Self { rules, processes, warnings, wrong_moments })
    }

    /// For a program.
    pub(crate) fn view(&self) -> ZoneRulesView {
        ZoneRulesView {
            release: self.rules.release().to_string(),
            source: if self.rules.are_machines() { RulesSource::Machine } else { RulesSource::Compiled },
            machine: self.rules.machine().map(ToString::to_string),
            compiled: self.rules.compiled().to_string(),
            processes: self.processes.clone(),
            warnings: self.warnings.clone(),
        }
    }

    /// For a person at a terminal: a line, and one for each warning.
    pub(crate) fn lines(&self) -> String {
        let warnings: String = self.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        format!("time zones by {}\n{warnings}", self.rules)
    }
}

/// Tells the log of a process that starts.
pub(crate) async fn log(conn: &mut PgConnection) -> sqlx::Result<()> {
    let ZoneReport { rules, warnings, .. } = ZoneReport::read(conn).await?;
    tracing::info!(release = %rules.release(), "Time zones by {rules}");
    for warning in warnings {
        tracing::warn!(release = %rules.release(), "Time zones: {warning}");
    }
    Ok(())
}
