//! The round of the upkeep: alerts that nobody else raises, the end of those that are over, and repeats.

use chrono::{DateTime, SecondsFormat, Utc};
use queue::dead_jobs::DeadOfKind;
use queue::failure::Failure;
use queue::job::Job as _;
use queue::pauses;
use sqlx::PgConnection;
use store::alerts::{Alert, AlertCause};

use super::causes::{self, Ending};
use super::ends;
use super::post::Telling;
use super::undelivered::Whom;
use crate::alerts;
use crate::app::{App, Settings};
use crate::kinds::PostAlert;
use crate::outbound::sender;
use crate::schedules::lateness;
use crate::unknown_kinds;

/// What a round looks for.
const WATCHED: [AlertCause; 5] = [
    AlertCause::UnknownKind,
    AlertCause::LongPause,
    AlertCause::Undelivered,
    AlertCause::SendInDoubt,
    AlertCause::SlotsLate,
];

/// One round. What cannot be looked at keeps nothing else from its turn.
pub async fn round(app: &App) -> Result<(), Failure> {
    for cause in WATCHED {
        if let Err(failure) = look_for(app, cause).await {
            tracing::warn!("Could not look whether there is an alert {cause}; trying again: {failure:?}");
        }
    }
    tell_of_dead_jobs(app).await?;
    let open = store::alerts::open(&mut *app.pg.acquire().await?).await?;
    for alert in open {
        if let Err(failure) = go_on_with(app, &alert).await {
            let Alert { id, cause, .. } = alert;
            tracing::warn!("Could not look whether alert {id}, {cause}, is over; trying again: {failure:?}");
        }
    }
    Ok(())
}

async fn look_for(app: &App, cause: AlertCause) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    if let Some(detail) = found(&mut tx, &app.settings, cause).await? {
        alerts::hold(&mut tx, &app.settings, cause, &detail).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Closes an alert that is over, or tells of it once more.
async fn go_on_with(app: &App, alert: &Alert) -> Result<(), Failure> {
    let is_over = ends::is_over(app, alert).await?;
    let mut tx = app.begin().await?;
    if is_over {
        alerts::close(&mut tx, &app.settings, &[alert.cause]).await?;
    } else {
        repeat(&mut tx, &app.settings, alert).await?;
    }
    Ok(tx.commit().await?)
}

/// Tells once more of what goes on, or has happened again, and nobody has looked at.
async fn repeat(
    tx: &mut queue::transaction::Transaction,
    settings: &Settings,
    alert: &Alert,
) -> Result<(), Failure> {
    let happened_again = alert.told_at.is_none_or(|told_at| told_at < alert.last_seen_at);
    let goes_on = causes::meaning(alert.cause).ending != Ending::WhenLookedAt;
    if alert.acknowledged_at.is_some() || !alert.is_due || !(goes_on || happened_again) {
        return Ok(());
    }
    alerts::tell(tx, settings, alert.id, Telling::Repeated).await?;
    let Alert { id, cause, detail, times, opened_at, .. } = alert;
    tracing::error!(
        alert.id = id.0,
        cause = cause.as_str(),
        "Alert {id}, {cause}, goes on since {}, {times} times: {detail}",
        in_words(*opened_at)
    );
    Ok(())
}

/// What the database says of a cause now; `None`: nothing of the kind.
pub(super) async fn found(
    conn: &mut PgConnection,
    settings: &Settings,
    cause: AlertCause,
) -> sqlx::Result<Option<String>> {
    match cause {
        AlertCause::UnknownKind => {
            let unknown = queue::unknown_kinds::since(conn, unknown_kinds::PATIENCE).await?;
            Ok((!unknown.is_empty()).then(|| unknown_kinds::in_words(&unknown)))
        }
        AlertCause::LongPause => long_pauses(conn, settings).await,
        AlertCause::Undelivered => undelivered(conn, settings).await,
        AlertCause::SendInDoubt => in_doubt(conn, settings).await,
        AlertCause::SlotsLate => lateness::in_words(conn, settings.alerts.slots_late_after).await,
        _ => Ok(None),
    }
}

async fn long_pauses(conn: &mut PgConnection, settings: &Settings) -> sqlx::Result<Option<String>> {
    let now = store::clock::now(conn).await?;
    let mut long: Vec<String> = Vec::new();
    for pause in pauses::all(conn).await? {
        let lasts = (now - pause.paused_at).to_std().unwrap_or_default();
        // What the sender's probe has paused is another cause.
        if pause.paused_by != sender::ACTOR && lasts >= settings.alerts.pause_after {
            let scope = pause.scope.as_str();
            long.push(format!(
                "{scope} {} since {} by {}",
                pause.name,
                in_words(pause.paused_at),
                pause.paused_by
            ));
        }
    }
    Ok((!long.is_empty()).then(|| format!("paused: {}", long.join(", "))))
}

async fn undelivered(conn: &mut PgConnection, settings: &Settings) -> sqlx::Result<Option<String>> {
    let found = super::undelivered::lately(conn, &settings.alerts).await?;
    let Some(found) = found.filter(|found| found.are_too_many) else { return Ok(None) };
    let errors: Vec<String> = found
        .errors
        .iter()
        .map(|(code, times)| match code {
            Some(code) => format!("{times} with error {code}"),
            None => format!("{times} without a code"),
        })
        .collect();
    Ok(Some(format!(
        "{} of {} messages to {} people failed from {} to {}{}: {}",
        found.failed,
        found.of.unwrap_or(found.failed),
        found.people,
        in_words(found.first),
        in_words(found.last),
        if found.whom() == Whom::Everybody { ", nearly everybody at once" } else { "" },
        errors.join(", ")
    )))
}

async fn in_doubt(conn: &mut PgConnection, settings: &Settings) -> sqlx::Result<Option<String>> {
    let overdue = store::in_doubt::overdue(conn, settings.alerts.in_doubt_after.as_secs_f64()).await?;
    Ok(overdue
        .since
        .map(|since| format!("sends in doubt: {}, the oldest since {}", overdue.chunks, in_words(since))))
}

/// Each death is news; a post that gave up is not, since it would be told by the same way.
async fn tell_of_dead_jobs(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let dead = queue::dead_jobs::latest(&mut tx).await?;
    let told =
        dead.iter().filter(|of_kind| of_kind.kind != PostAlert::KIND).map(|of_kind| of_kind.latest).max();
    let Some(latest) = told else { return Ok(()) };
    let open = store::alerts::open(&mut tx).await?;
    let seen_at =
        open.iter().find(|alert| alert.cause == AlertCause::DeadJobs).map(|alert| alert.last_seen_at);
    if seen_at.is_some_and(|seen_at| latest <= seen_at) {
        return Ok(());
    }
    alerts::raise(&mut tx, &app.settings, AlertCause::DeadJobs, &dead_in_words(&dead)).await?;
    tx.commit().await?;
    Ok(())
}

fn dead_in_words(dead: &[DeadOfKind]) -> String {
    let kinds: Vec<String> =
        dead.iter().map(|of_kind| format!("{} {}", of_kind.jobs, of_kind.kind)).collect();
    format!("jobs that gave up: {}", kinds.join(", "))
}

fn in_words(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
