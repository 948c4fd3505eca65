//! How jobs, groups of dead ones, pauses and counts are shown at a terminal.

use std::collections::BTreeMap;

use channel::administration::pauses::PauseView;
use queue::failure_groups::FailureGroup;
use queue::inspection::{ActionOutcome, JobCount, JobCriteria, JobDetail, JobList, JobSummary};
use twilio::explanations;

use super::output::{moment, table};

/// How many came to what.
pub(super) fn counted(outcomes: &[ActionOutcome]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.outcome.as_str()).or_default() += 1;
    }
    counts.iter().map(|(outcome, number)| format!("{number} {outcome}")).collect::<Vec<_>>().join(", ")
}

/// What was not looked at.
pub(super) fn unread(list: &JobList, filter: &JobCriteria) -> String {
    let most = filter.looked_at_in_words();
    let live = list.unread_live_before.map(|before| {
        format!("Of live jobs the newest {most} were looked at; older ones: a state (--state waiting) with --before {before}, or a --kind\n")
    });
    let finished = list.unread_before.map(|before| {
        format!(
            "Of finished jobs the newest {most} were looked at; older ones: --state done --before {before}\n"
        )
    });
    let dead = list.unread_dead_before.map(|before| {
        format!("Of dead jobs the newest {most} were looked at; older ones: --state dead --before {before}\n")
    });
    live.into_iter().chain(finished).chain(dead).collect()
}

/// Over jobs.
pub(super) const LIST_HEAD: [&str; 8] =
    ["JOB", "STATE", "KIND", "POOL", "LANE", "FAILED", "CREATED", "REASON"];
/// Over groups of dead jobs.
pub(super) const GROUPS_HEAD: [&str; 7] =
    ["GROUP", "KIND", "JOBS", "FIRST", "LAST", "EXAMPLE", "WHAT WENT WRONG"];
/// Over what is paused.
pub(super) const PAUSES_HEAD: [&str; 6] = ["SCOPE", "NAME", "SINCE", "BY", "NEXT PROBE", "WHY"];
/// Over counts of jobs.
pub(super) const STATS_HEAD: [&str; 6] = ["POOL", "KIND", "STATE", "JOBS", "OLDEST", ""];

/// A job in a list.
pub(super) fn list_row(job: &JobSummary) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.state.to_string(),
        job.kind.clone(),
        job.pool.clone(),
        job.lane.clone().unwrap_or_default(),
        job.failed_attempts.to_string(),
        moment(job.created_at),
        job.reason.clone().unwrap_or_default().chars().take(60).collect(),
    ]
}

/// A group of dead jobs.
pub(super) fn group_row(group: &FailureGroup) -> Vec<String> {
    vec![
        group.group.clone(),
        group.kind.clone(),
        group.jobs.to_string(),
        moment(group.first),
        moment(group.last),
        group.example.to_string(),
        group.shape.chars().take(100).collect(),
    ]
}

/// What is paused.
pub(super) fn pause_row(pause: &PauseView) -> Vec<String> {
    vec![
        pause.scope.as_str().to_owned(),
        pause.name.clone(),
        moment(pause.since),
        pause.by.clone(),
        pause.next_probe_at.map(moment).unwrap_or_default(),
        pause.reason.clone().unwrap_or_default(),
    ]
}

/// How many jobs there are of a pool, kind and state.
pub(super) fn stats_row(count: &JobCount) -> Vec<String> {
    let paused = if count.paused { "paused" } else { "" };
    let oldest = count.oldest.map(moment).unwrap_or_default();
    vec![
        count.pool.clone(),
        count.kind.clone(),
        count.state.to_string(),
        if count.is_more { format!("{} or more", count.jobs) } else { count.jobs.to_string() },
        oldest,
        paused.to_owned(),
    ]
}

/// All of one job.
pub(super) fn detail(job: &JobDetail) -> String {
    let (summary, rest) = (&job.summary, &job.rest);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let lines = [
        ("job", format!("{} {} ({})", summary.kind, summary.id, summary.state)),
        ("pool", summary.pool.clone()),
        ("lane", or_none(summary.lane.clone())),
        ("key", or_none(rest.unique_key.clone())),
        (
            "attempts",
            format!(
                "{} failed of {}",
                summary.failed_attempts,
                or_none(rest.max_attempts.map(|most| most.to_string()))
            ),
        ),
        ("crashes", rest.crashes.to_string()),
        ("created", moment(summary.created_at)),
        ("run at", or_none(summary.run_at.map(moment))),
        ("claimed", or_none(rest.claimed_at.map(moment))),
        ("finished", or_none(summary.finished_at.map(moment))),
        ("worker", or_none(rest.worker_id.map(|id| id.to_string()))),
        ("reason", or_none(summary.reason.clone())),
        ("trace", or_none(rest.traceparent.clone())),
        ("payload", rest.payload.to_string()),
    ];
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect();
    if let Some((code, said)) = summary.reason.as_deref().and_then(explanations::named_in) {
        text.push_str(&format!("{:<10}{code}: {} {}\n", "", said.cause, said.remedy));
    }
    if !job.attempts.is_empty() {
        text.push('\n');
        let rows = job.attempts.iter().map(|attempt| {
            vec![
                attempt.attempt.to_string(),
                attempt.outcome.to_string(),
                or_none(attempt.worker_id.map(|id| id.to_string())),
                or_none(attempt.started_at.map(moment)),
                moment(attempt.ended_at),
                attempt.error.clone().unwrap_or_default(),
            ]
        });
        text.push_str(&table(&["ATTEMPT", "OUTCOME", "WORKER", "STARTED", "ENDED", "ERROR"], rows));
    }
    text
}
