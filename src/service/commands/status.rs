//! `cloudybot status` and `cloudybot check`: what needs a person first, and how to mend it.

use std::process::ExitCode;
use std::time::Duration;

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::administration::processes::PoolView;
use channel::administration::status::Status;

use super::command_line::Command;
use super::output::{print, table};
use crate::config::Config;
use crate::database::Database;
use crate::{check, status};

/// A database that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What needs a person first, as the database and this machine tell.
pub(crate) async fn status(config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let found = match opened(config).await {
        Ok(database) => {
            let pg = database.pool(2, PATIENCE);
            status::read(&pg, &config.keys.schedules.directory, &config.plans).await
        }
        Err(away) => Status::of(vec![away], Vec::new()),
    };
    report(as_json, &found)
}

async fn opened(config: &Config) -> Result<Database, Finding> {
    let wrong = |text: String, remedy: &str| Finding::of(Urgency::Now, Subject::Database, text, remedy);
    let database = Database::open_existing(config)
        .await
        .map_err(|error| wrong(format!("{error:#}"), "start the service once, or set DATABASE_URL"))?;
    database.reach(PATIENCE).await.map_err(|away| wrong(away.to_string(), away.remedy()))?;
    Ok(database)
}

/// Looks at everything.
pub(crate) async fn check(config: &Config, every_allowance: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    report(as_json, &check::run(config, every_allowance).await)
}

/// The configuration cannot be read: for `status` and `check` that is a finding, for everything else the end.
pub(crate) fn without_configuration(
    command: Option<&Command>,
    error: anyhow::Error,
) -> anyhow::Result<ExitCode> {
    match command {
        Some(Command::Check { json, .. } | Command::Status { json }) => {
            report(*json, &check::unreadable(&error))
        }
        _ => Err(error),
    }
}

fn report(as_json: bool, found: &Status) -> anyhow::Result<ExitCode> {
    print(as_json, found, || {
        let lines: String = found.findings.iter().map(|finding| format!("{finding}\n")).collect();
        if found.pools.is_empty() { lines } else { format!("{lines}\n{}", pools(&found.pools)) }
    })?;
    Ok(match (check::is_answered(found), found.needs_person) {
        (false, _) => ExitCode::from(2),
        (true, needs_person) => ExitCode::from(u8::from(needs_person)),
    })
}

fn pools(pools: &[PoolView]) -> String {
    let row = |pool: &PoolView| {
        let waited = pool.waiting_since.map(|since| (pool.now - since).num_seconds().max(0));
        vec![
            pool.pool.clone(),
            pool.processes.to_string(),
            format!("{} of {}", pool.running, pool.concurrency),
            pool.waiting.to_string(),
            waited.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
        ]
    };
    table(&["POOL", "PROCESSES", "RUNNING", "WAITING", "LONGEST"], pools.iter().map(row))
}
