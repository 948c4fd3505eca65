//! `cloudybot workers`: the processes that work.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::processes::{self, ProcessView};

use super::output::{UNANSWERED, moment, print, table};
use crate::config::Config;
use crate::database::Database;

/// Prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let processes = processes::all(&mut *pg.acquire().await?).await.context(UNANSWERED)?;
    print(as_json, &processes, || {
        if processes.is_empty() {
            return "no process works: start one with `cloudybot run`\n".to_owned();
        }
        table(&HEAD, processes.iter().map(row))
    })
}

const HEAD: [&str; 9] = [
    "WORKER",
    "ROLES",
    "HOST",
    "PROCESS",
    "VERSION",
    "STARTED",
    "HEARTBEAT",
    "SCHEDULES",
    "POOLS (RUNNING OF ROOM)",
];

fn row(process: &ProcessView) -> Vec<String> {
    let served: Vec<String> = process
        .pools
        .iter()
        .map(|served| format!("{} {} of {}", served.pool, served.running, served.concurrency))
        .collect();
    let heartbeat = moment(process.renewed_at);
    vec![
        process.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string()),
        process.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
        process.host.clone(),
        process.process_id.map(|number| number.to_string()).unwrap_or_default(),
        process.version.clone().unwrap_or_default(),
        moment(process.started_at),
        if process.alive { heartbeat } else { format!("{heartbeat}, lost") },
        process.schedules.as_deref().unwrap_or("-").chars().take(8).collect(),
        served.join(", "),
    ]
}
