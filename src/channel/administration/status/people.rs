//! What people notice or would: an agent that does not answer, alerts, messages that were not fetched, erasures, ids.

use chrono::TimeDelta;
use queue::bounded_count::BoundedCount;
use sqlx::PgConnection;
use store::alerts::{Alert, AlertCause};
use store::overview;

use super::{Finding, Subject, Urgency};
use crate::alerts::causes;
use crate::conversation::agent_health;
use crate::inbound::{backfill, changed_ids};

/// A gateway that restarts is no news before this.
const NEWS_AFTER: TimeDelta = TimeDelta::seconds(30);

pub(super) async fn look(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let mut findings = agent(conn).await?;
    findings.push(fetched(conn).await?);
    findings.extend(erasures(conn).await?);
    findings.push(moved_sender(conn).await?);
    Ok(findings)
}

/// What turns tell of agents. A user's own agent is the user's to mend.
async fn agent(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = overview::outages(conn)
        .await?
        .into_iter()
        .map(|outage| {
            let urgency = if agent_health::is_a_users(&outage.agent) { Urgency::Note } else { Urgency::Now };
            let trouble = causes::meaning(outage.trouble.alert());
            let text =
                format!("the agent {} answers nobody. {}", outage.agent, trouble.means.trim_end_matches('.'));
            let remedy = causes::remedy(outage.trouble.alert(), outage.opened_at);
            Finding::of(urgency, Subject::Agent, text, remedy)
                .since(outage.opened_at)
                .seen(outage.failed_at)
                .outage_of(outage.agent)
        })
        .collect();
    let asked_again = overview::asked_again(conn).await?;
    if let Some(since) = asked_again.since {
        let is_news = store::clock::now(conn).await? - since > NEWS_AFTER;
        let turns = BoundedCount::of(asked_again.number).of_what("turn");
        let text = format!("the agent has failed, and is asked again for {turns}");
        let urgency = if is_news { Urgency::Now } else { Urgency::Note };
        let heard_at = overview::agent_heard_at(conn).await?;
        findings.push(
            Finding::of(urgency, Subject::Agent, text, "`cloudybot check` asks it now")
                .since(since)
                .seen(heard_at),
        );
    }
    if findings.is_empty() {
        let heard_at = overview::agent_heard_at(conn).await?;
        let text = match heard_at {
            Some(_) => "no turn waits for it to come back; `cloudybot check` asks it now",
            None => "no turn has asked it yet; `cloudybot check` does",
        };
        findings.push(Finding::fine(Subject::Agent, text).seen(heard_at));
    }
    Ok(findings)
}

/// Open alerts that nobody has acknowledged, one for each cause at most. What a finding tells already is not told twice.
pub(super) async fn alerts(conn: &mut PgConnection, told: &[Finding]) -> sqlx::Result<Vec<Finding>> {
    let open = store::alerts::open(conn).await?;
    let open = open.into_iter().filter(|alert| alert.acknowledged_at.is_none());
    let is_told = |alert: &Alert| {
        // A finding that is fine tells of what is over: the next look closes the alert.
        told.iter().any(|finding| Some(finding.subject) == subject_of(alert.cause))
    };
    let (repeats, news): (Vec<Alert>, Vec<Alert>) = open.partition(is_told);
    let mut findings: Vec<Finding> = news.iter().map(of_alert).collect();
    if findings.is_empty() {
        let text = match repeats.len() {
            0 => "none is open".to_owned(),
            open => format!("{open} open, told above or about to close"),
        };
        findings.push(Finding::fine(Subject::Alerts, text));
    }
    Ok(findings)
}

fn of_alert(alert: &Alert) -> Finding {
    let Alert { id, cause, detail, opened_at, .. } = alert;
    let urgency = if *cause == AlertCause::DoubleSend { Urgency::Now } else { Urgency::Soon };
    let ends = causes::meaning(*cause).ends;
    let remedy = format!(
        "{}; it ends {ends}; `cloudybot alerts acknowledge {id}` silences it",
        causes::remedy(*cause, *opened_at)
    );
    Finding::of(urgency, Subject::Alerts, format!("{cause}: {detail}"), remedy).since(*opened_at)
}

/// What else tells of the same.
const fn subject_of(cause: AlertCause) -> Option<Subject> {
    match cause {
        AlertCause::SenderRefused => Some(Subject::Sender),
        AlertCause::DeadJobs => Some(Subject::DeadJobs),
        AlertCause::Undelivered => Some(Subject::Undelivered),
        AlertCause::SendInDoubt => Some(Subject::InDoubt),
        AlertCause::LongPause => Some(Subject::Pauses),
        AlertCause::UnknownKind => Some(Subject::UnknownKinds),
        AlertCause::SenderMoved => Some(Subject::WhatsappIds),
        AlertCause::BackfillBehind => Some(Subject::Backfill),
        AlertCause::DatabaseAway | AlertCause::DatabaseReadOnly | AlertCause::DatabaseRefuses => {
            Some(Subject::Database)
        }
        AlertCause::AgentToken
        | AlertCause::AgentEndpoint
        | AlertCause::AgentName
        | AlertCause::AgentUnreachable
        | AlertCause::AgentLockedOut
        | AlertCause::AgentBusy
        | AlertCause::AgentProvider
        | AlertCause::AgentSetup
        | AlertCause::AgentFailing => Some(Subject::Agent),
        _ => None,
    }
}

async fn fetched(conn: &mut PgConnection) -> sqlx::Result<Finding> {
    let until = overview::backfilled_until(conn).await?;
    let Some(until) = until else { return Ok(Finding::fine(Subject::Backfill, "has not begun")) };
    if store::clock::now(conn).await? - until <= backfill::TOLD_AFTER {
        return Ok(Finding::fine(Subject::Backfill, "Twilio's list of messages has been read"));
    }
    let text = "messages whose webhook never came are not fetched; what is older than a day is lost";
    Ok(Finding::of(
        Urgency::Soon,
        Subject::Backfill,
        text,
        "`cloudybot check` asks Twilio; `cloudybot jobs list --kind upkeep`",
    )
    .since(until))
}

async fn erasures(conn: &mut PgConnection) -> sqlx::Result<Option<Finding>> {
    let late = overview::late_erasures(conn).await?;
    let parts = BoundedCount::of(late.number);
    Ok((!parts.is_none()).then(|| {
        let text = format!("{} of erased people should be empty", parts.of_what("part"));
        Finding::of(Urgency::Soon, Subject::Erasures, text, "`cloudybot jobs list --kind erase_people`")
            .since(late.since)
    }))
}

async fn moved_sender(conn: &mut PgConnection) -> sqlx::Result<Finding> {
    let Some(moved) = store::changed_ids::undecided(conn).await? else {
        return Ok(Finding::fine(Subject::WhatsappIds, "no move of the sender waits for a decision"));
    };
    let all = moved.held + moved.let_through;
    let text = format!(
        "the numbers of {all} linked people came with other WhatsApp ids ({} links are held back)",
        moved.held
    );
    Ok(Finding::of(Urgency::Now, Subject::WhatsappIds, text, changed_ids::REMEDY).since(moved.since))
}
