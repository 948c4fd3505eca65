//! What keeps jobs from being done: pauses, deaths, a backlog.

use chrono::TimeDelta;
use queue::bounded_count::BoundedCount;
use queue::failure_groups::FailureGroup;
use queue::job::Job as _;
use queue::pauses::Scope;
use queue::{backlog, failure_groups};
use sqlx::PgConnection;
use twilio::explanations::{self, Explanation};

use super::{Finding, Subject, Urgency};
use crate::administration::pauses::{self, PauseView};
use crate::administration::processes::PoolView;
use crate::kinds::Answer;
use crate::outbound::sender;
use crate::{pools, unknown_kinds};

/// A job may be due for this long before anybody is told.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// Groups of dead jobs that have a line of their own.
const GROUPS: usize = 5;

pub(super) async fn look(conn: &mut PgConnection, pools: &[PoolView]) -> sqlx::Result<Vec<Finding>> {
    let pauses = pauses::all(conn).await?;
    let mut findings: Vec<Finding> = of_sender(&pauses, pools).into_iter().collect();
    findings.extend(of_pauses(&pauses, pools));
    findings.extend(dead(conn).await?);
    findings.extend(unknown(conn).await?);
    findings.extend(waiting(conn, pools, &pauses).await?);
    Ok(findings)
}

/// A sender that Twilio refuses pauses its pools together.
fn of_sender(pauses: &[PauseView], pools: &[PoolView]) -> Option<Finding> {
    let held_back: Vec<&PauseView> = pauses.iter().filter(|pause| pause.by == sender::ACTOR).collect();
    let Some(first) = held_back.first() else {
        let is_sending_paused = pauses.iter().any(is_sending);
        return (!is_sending_paused).then(|| Finding::fine(Subject::Sender, "sending is not held back"));
    };
    let reason = first.reason.as_deref().unwrap_or("see the alert sender_refused");
    let waiting = waiting_in(pools, held_back.iter().map(|pause| pause.name.as_str()));
    let next = match first.next_probe_at {
        Some(at) => format!("; one is tried by itself at {}", at.format("%H:%M:%SZ")),
        None => String::new(),
    };
    let text = format!("nothing is sent{waiting}: Twilio refuses our account or sender: {reason}{next}");
    let mend = explanations::named_in(reason)
        .map_or("mend what Twilio names", |(_, Explanation { remedy, .. })| remedy.trim_end_matches('.'));
    let remedy = format!("{mend}; then `cloudybot jobs probe`");
    Some(Finding::of(Urgency::Now, Subject::Sender, text, remedy).since(first.since))
}

/// How many jobs wait in these pools, as a part of a sentence.
fn waiting_in<'a>(pools: &[PoolView], names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let waiting: Vec<String> = pools
        .iter()
        .filter(|pool| names.contains(&pool.pool.as_str()) && !pool.waiting.is_none())
        .map(|pool| format!("{} in {}", pool.waiting.of_what("job"), pool.pool))
        .collect();
    if waiting.is_empty() { String::new() } else { format!(", while {} wait", waiting.join(" and ")) }
}

fn is_sending(pause: &PauseView) -> bool {
    pause.scope == Scope::Pool && pools::SENDING.contains(&pause.name.as_str())
}

/// What somebody has paused.
fn of_pauses(pauses: &[PauseView], pools: &[PoolView]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = pauses
        .iter()
        .filter(|pause| pause.by != sender::ACTOR)
        .map(|pause| {
            let PauseView { scope, name, by, reason, since, .. } = pause;
            let scope = scope.as_str();
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let urgency = if pause.scope == Scope::Pool { Urgency::Now } else { Urgency::Soon };
            let waiting = match pause.scope {
                Scope::Pool => waiting_in(pools, std::iter::once(name.as_str())),
                Scope::Kind => String::new(),
            };
            let text = format!("the {scope} {name} is paused by {by}{waiting}{reason}");
            let remedy = format!("once {by} says that it is over: `cloudybot jobs resume {scope} {name}`");
            Finding::of(urgency, Subject::Pauses, text, remedy).since(*since)
        })
        .collect();
    if pauses.is_empty() {
        findings.push(Finding::fine(Subject::Pauses, "nothing is paused"));
    }
    findings
}

async fn dead(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let groups = failure_groups::of_dead(conn).await?;
    if groups.is_empty() {
        return Ok(vec![Finding::fine(Subject::DeadJobs, "none")]);
    }
    let mut findings: Vec<Finding> = groups
        .iter()
        .take(GROUPS)
        .map(|group| {
            let text =
                format!("{}: {}", group.jobs.of_what(&format!("dead {} job", group.kind)), group.shape);
            Finding::of(Urgency::Soon, Subject::DeadJobs, text, remedy_of(group)).since(group.first)
        })
        .collect();
    if let Some(more) = groups.len().checked_sub(GROUPS).filter(|more| *more > 0) {
        findings.push(Finding::of(
            Urgency::Soon,
            Subject::DeadJobs,
            format!("dead jobs of {more} other groups"),
            "`cloudybot jobs groups`",
        ));
    }
    Ok(findings)
}

/// What is done about jobs that died of one cause.
fn remedy_of(group: &FailureGroup) -> String {
    let (id, example) = (&group.group, group.example);
    if group.kind == Answer::KIND {
        return format!(
            "once the agent is well, `cloudybot jobs retry --group {id}` answers them; so does `cloudybot turns retry`, and each is answered once"
        );
    }
    let mend = explanations::named_in(&group.shape)
        .map(|(_, Explanation { cause, remedy })| format!("{cause} {remedy} "))
        .unwrap_or_default();
    format!(
        "{mend}once that is mended, `cloudybot jobs retry --group {id}` tries them again; `cloudybot jobs show {example}` tells of one"
    )
}

async fn unknown(conn: &mut PgConnection) -> sqlx::Result<Option<Finding>> {
    let unknown = queue::unknown_kinds::since(conn, unknown_kinds::PATIENCE).await?;
    let since = unknown.iter().map(|kind| kind.since).min();
    Ok((!unknown.is_empty()).then(|| {
        let remedy = "start a version that knows them, or `cloudybot jobs cancel --kind KIND`";
        let waits: Vec<String> =
            unknown.iter().map(|kind| format!("{} jobs of kind {}", kind.jobs, kind.kind)).collect();
        let text = format!("no running process knows what waits: {}", waits.join(", "));
        Finding::of(Urgency::Soon, Subject::UnknownKinds, text, remedy).since(since)
    }))
}

async fn waiting(
    conn: &mut PgConnection,
    pools: &[PoolView],
    pauses: &[PauseView],
) -> sqlx::Result<Vec<Finding>> {
    let is_paused =
        |pool: &PoolView| pauses.iter().any(|pause| pause.scope == Scope::Pool && pause.name == pool.pool);
    let mut findings: Vec<Finding> = pools
        .iter()
        .filter(|pool| pool.processes > 0 && !is_paused(pool))
        .filter(|pool| pool.waiting_since.is_some_and(|since| pool.now - since > PATIENCE))
        .map(|pool| {
            let PoolView { pool, waiting, waiting_since, running, concurrency, .. } = pool;
            let text = format!(
                "{} due in the pool {pool}, where {running} of {concurrency} run",
                waiting.of_what("job")
            );
            let remedy =
                format!("`cloudybot workers`; more processes help, or a higher pools.{pool}.concurrency");
            Finding::of(Urgency::Soon, Subject::Backlog, text, remedy).since(*waiting_since)
        })
        .collect();
    let overdue = backlog::overdue(conn).await?;
    if overdue.jobs > 0 {
        let jobs = BoundedCount::of(overdue.jobs).of_what("scheduled job");
        let text = format!("the time of {jobs} has come, and no process puts them in line");
        findings.push(
            Finding::of(Urgency::Now, Subject::Backlog, text, "`cloudybot workers`").since(overdue.since),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            Subject::Backlog,
            "where nothing is paused, no job has been due for more than a minute",
        ));
    }
    Ok(findings)
}
