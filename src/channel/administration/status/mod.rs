//! What needs a person first, as the database tells it. Each look is bounded, so that it takes as long with a million rows as with none.

mod deliveries;
mod jobs;
mod people;
mod workers;

use queue::connections::Connections;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::findings::{self, Finding, Subject, Urgency};
use super::processes::{self, PoolView};
use crate::alerts::settings::AlertSettings;

/// How everything stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether any of the findings needs a person.
    pub needs_person: bool,
    /// The most urgent first.
    pub findings: Vec<Finding>,
    /// What is due in each pool, and who works there; empty while the database cannot be asked.
    pub pools: Vec<PoolView>,
}

impl Status {
    /// From all that was found.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>, pools: Vec<PoolView>) -> Self {
        findings::sort(&mut findings);
        Self { needs_person: findings::need_a_person(&findings), findings, pools }
    }
}

/// Whether the database takes writes: a row is written on trial, as `/readyz` does after a failure.
pub async fn of_database(pg: &Connections) -> Finding {
    match pg.try_to_write().await {
        Ok(true) => Finding::fine(Subject::Database, "takes writes"),
        Ok(false) => {
            let text =
                "the database is read-only: a standby, or somebody has set default_transaction_read_only";
            let remedy = "let DATABASE_URL name the primary server, or have it take writes again";
            Finding::of(Urgency::Now, Subject::Database, text, remedy)
        }
        Err(error) => refusing(&error),
    }
}

/// A database that does not take a write.
fn refusing(error: &sqlx::Error) -> Finding {
    let Refusal { means, remedy } = Refusal::of(error).unwrap_or(Refusal::SILENCE);
    Finding::of(Urgency::Now, Subject::Database, format!("{means}: {error}"), remedy)
}

/// Why a database refuses what is asked of it, in words.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub means: &'static str,
    /// What helps.
    pub remedy: &'static str,
}

impl Refusal {
    const SILENCE: Self = Self {
        means: "the database does not answer",
        remedy: "look whether its server runs, and whether DATABASE_URL names it",
    };

    /// By the error's SQLSTATE; `None`: it is not the database that says so.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        let code = error.as_database_error()?.code().unwrap_or_default();
        let (means, remedy) = match &*code {
            "53100" => (
                "the database's disk is full",
                "make room on the disk of its data directory (`df`), but never in that directory itself; the service goes on by itself",
            ),
            "53200" => ("the database is out of memory", "give its machine more memory, or lower work_mem"),
            "53300" => (
                "the database takes no further connection",
                "raise max_connections, or lower database.*_connections",
            ),
            "25006" => (
                "the database is read-only",
                "let DATABASE_URL name the primary server, or have it take writes again",
            ),
            "42501" => ("our role may not write", "grant it all rights on the schemas public and queue"),
            "42P01" | "3F000" | "42883" => (
                "the tables are missing or of another version",
                "run `cloudybot migrate`, or start the service",
            ),
            "57P01" | "57P02" | "57P03" => (
                "the database starts or stops",
                "wait a moment; if it goes on, look at the log of its server and at its disk",
            ),
            // Its own files come first on a disk that fills up, and have no code of their own.
            "XX000" if error.to_string().contains("could not write") => (
                "the database cannot write a file, most likely since its disk is full",
                "look with `df` at the disk of its data directory and make room there, but never in that directory itself; the service goes on by itself",
            ),
            code if code.starts_with("58") || code.starts_with("XX") => (
                "the database's machine or files are at fault",
                "look at its disk (`df`) and at the log of its server",
            ),
            _ => ("the database refuses it", "look at the log of its server"),
        };
        Some(Self { means, remedy })
    }
}

/// Everything that the database tells, where it can be asked.
pub async fn of_everything(
    conn: &mut PgConnection,
    alerts: &AlertSettings,
) -> sqlx::Result<(Vec<Finding>, Vec<PoolView>)> {
    let (processes, pools) = (processes::all(conn).await?, processes::pools(conn).await?);
    let mut findings = workers::look(&processes, &pools);
    findings.extend(jobs::look(conn, &pools).await?);
    findings.extend(deliveries::look(conn, alerts).await?);
    findings.extend(people::look(conn).await?);
    findings.extend(people::alerts(conn, &findings).await?);
    Ok((findings, pools))
}
