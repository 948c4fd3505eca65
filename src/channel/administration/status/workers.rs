//! Whether anybody works.

use super::{Finding, Subject, Urgency};
use crate::administration::processes::{PoolView, ProcessView};

/// Processes and the pools that they serve.
pub(super) fn look(processes: &[ProcessView], pools: &[PoolView]) -> Vec<Finding> {
    let processes: Vec<&ProcessView> = processes.iter().filter(|process| process.worker.is_some()).collect();
    let living = processes.iter().filter(|process| process.alive).count();
    if living == 0 {
        return vec![nobody(&processes)];
    }
    let mut findings: Vec<Finding> =
        processes.iter().filter(|process| !process.alive).map(|process| lost(process)).collect();
    findings.extend(pools.iter().filter(|pool| pool.processes == 0).map(unserved));
    if findings.is_empty() {
        let text =
            if living == 1 { "1 process works".to_owned() } else { format!("{living} processes work") };
        findings.push(Finding::fine(Subject::Workers, format!("{text}, and all pools are served")));
    }
    findings
}

fn nobody(processes: &[&ProcessView]) -> Finding {
    let last = processes.iter().max_by_key(|process| process.renewed_at);
    let seen = last.map_or_else(String::new, |process| {
        let ProcessView { host, renewed_at, .. } = process;
        format!("; the last heartbeat came from {host} at {}", renewed_at.format("%Y-%m-%d %H:%M:%SZ"))
    });
    let text = format!("no process works: what people write is answered when one does{seen}");
    Finding::of(Urgency::Now, Subject::Workers, text, "start the service: `cloudybot run`")
}

fn lost(process: &ProcessView) -> Finding {
    let ProcessView { host, process_id, .. } = process;
    let name = process_id.map_or_else(|| host.clone(), |number| format!("{host}:{number}"));
    Finding::of(
        Urgency::Soon,
        Subject::Workers,
        format!("process {name} has sent no heartbeat, and its lease is over; its jobs are taken back"),
        format!("look at the process on {host}, then `cloudybot workers`"),
    )
    .since(process.renewed_at)
}

fn unserved(pool: &PoolView) -> Finding {
    let PoolView { pool, waiting, waiting_since, .. } = pool;
    let text = format!(
        "no living process serves the pool {pool}, where {} due",
        are(waiting.of_what("job"), waiting.is_one())
    );
    Finding::of(Urgency::Now, Subject::Workers, text, "start a process of this version: `cloudybot run`")
        .since(*waiting_since)
}

fn are(what: String, is_one: bool) -> String {
    if is_one { format!("{what} is") } else { format!("{what} are") }
}
