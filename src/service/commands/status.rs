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
            status::read(&pg, &status::Settings::of(config)).await
        }
        Err(away) => Status::of(vec![away], Vec::new()),
    };
    report(as_json, &found, false)
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
    report(as_json, &check::run(config, every_allowance).await, true)
}

/// The configuration cannot be read: for `status` and `check` that is a finding, for everything else the end.
pub(crate) fn without_configuration(
    command: Option<&Command>,
    error: anyhow::Error,
) -> anyhow::Result<ExitCode> {
    match command {
        Some(Command::Check { json, .. } | Command::Status { json }) => {
            report(*json, &check::unreadable(&error), true)
        }
        _ => Err(error),
    }
}

fn report(as_json: bool, found: &Status, all_is_told: bool) -> anyhow::Result<ExitCode> {
    print(as_json, found, || {
        let is_told = |finding: &&Finding| all_is_told || finding.urgency != Urgency::Fine;
        let told: String =
            found.findings.iter().filter(is_told).map(|finding| format!("{finding}\n")).collect();
        let fine = if all_is_told { String::new() } else { fine(&found.findings) };
        let waits = found.pools.iter().any(|pool| !pool.waiting.is_none() || pool.processes == 0);
        let pools = if all_is_told || waits { format!("\n{}", pools(&found.pools)) } else { String::new() };
        format!("{}\n{told}{fine}{pools}", in_short(&found.findings))
    })?;
    Ok(match (check::is_answered(found), found.needs_person) {
        (false, _) => ExitCode::from(2),
        (true, needs_person) => ExitCode::from(u8::from(needs_person)),
    })
}

/// How many things need a person.
fn in_short(findings: &[Finding]) -> String {
    let number = |urgency| findings.iter().filter(|finding| finding.urgency == urgency).count();
    match (number(Urgency::Now), number(Urgency::Soon)) {
        (0, 0) => "Nothing needs a person.".to_owned(),
        (now, 0) => format!("{now} to be mended now."),
        (0, soon) => format!("{soon} to be mended soon."),
        (now, soon) => format!("{now} to be mended now, {soon} soon."),
    }
}

/// What all is well with, in a line.
fn fine(findings: &[Finding]) -> String {
    let is_odd = |subject| {
        findings.iter().any(|finding| finding.subject == subject && finding.urgency != Urgency::Fine)
    };
    let mut subjects: Vec<String> = findings
        .iter()
        .filter(|finding| finding.urgency == Urgency::Fine && !is_odd(finding.subject))
        .map(|finding| match finding.seen_at {
            Some(seen) => format!("{} (last seen {})", finding.subject.as_str(), seen.format("%H:%M:%SZ")),
            None => finding.subject.as_str().to_owned(),
        })
        .collect();
    subjects.dedup();
    if subjects.is_empty() {
        String::new()
    } else {
        format!("{:<6} {}\n", Urgency::Fine.as_str(), subjects.join(", "))
    }
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
