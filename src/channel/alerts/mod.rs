//! Alerts: what a person must look at.
//!
//! While a cause goes on it has one row, which is told when it begins and every `alerts.repeat_every` until somebody acknowledges it, by an
//! `error!` line and a post to the operator's webhook. Its end is told once. One that comes back soon goes on in its row. What a cause means, what
//! helps and how it ends stands in `causes`; the upkeep looks which ones have begun (`watch`) and which are over (`ends`). While the database
//! takes no row, a process tells of that from memory (`database`).

/// What each cause means.
pub mod causes;
/// The database itself in trouble.
pub mod database;
/// Whether a cause is over.
mod ends;
/// What is posted.
pub mod post;
/// What the operator decides.
pub mod settings;
/// Whether too many messages come to nothing.
pub(crate) mod undelivered;
/// Causes that nobody raises, and repeats.
pub mod watch;

use queue::job::NewJob;
use queue::transaction::Transaction;
use store::alerts::AlertCause;
use store::ids::AlertId;

use self::causes::Ending;
use self::post::Telling;
use crate::app::Settings;
use crate::kinds::PostAlert;
use crate::lanes;
use crate::write_error::WriteError;

/// Raises an alert in the caller's transaction, or counts it to the one that is open.
pub async fn raise(
    tx: &mut Transaction,
    settings: &Settings,
    cause: AlertCause,
    detail: &str,
) -> Result<(), WriteError> {
    let detail = &outside::words::without_phone_numbers(detail);
    let comes_back_within = settings.alerts.repeat_every.as_secs_f64();
    let lifts_acknowledgement = causes::each_is_news(cause);
    let raised = store::alerts::raise(tx, cause, detail, comes_back_within, lifts_acknowledgement).await?;
    if raised.is_news {
        tell(tx, settings, raised.id, Telling::Raised).await?;
        tracing::error!(
            alert.id = raised.id.0,
            cause = cause.as_str(),
            "Alert {}, {cause}: {detail}",
            raised.id
        );
    }
    Ok(())
}

/// Raises an alert about what lasts, or notes that it still does, which counts nothing.
pub async fn hold(
    tx: &mut Transaction,
    settings: &Settings,
    cause: AlertCause,
    detail: &str,
) -> Result<(), WriteError> {
    let detail = &outside::words::without_phone_numbers(detail);
    if store::alerts::goes_on(tx, cause, detail).await? {
        return Ok(());
    }
    raise(tx, settings, cause, detail).await
}

/// What the open alerts of these causes tell of is over.
pub async fn close(tx: &mut Transaction, settings: &Settings, over: &[AlertCause]) -> Result<(), WriteError> {
    let again_in = settings.alerts.until_it_is_news_again().as_secs_f64();
    for closed in store::alerts::close(tx, over, again_in).await?.into_iter().filter(|closed| closed.is_news)
    {
        enqueue(tx, settings, closed.id, Telling::Resolved, closed.tellings).await?;
        tracing::info!(
            alert.id = closed.id.0,
            cause = closed.cause.as_str(),
            "Alert {}, {}, is over",
            closed.id,
            closed.cause
        );
    }
    Ok(())
}

/// Notes that somebody has looked, so that it is not told again. What is over by that is closed. False: no such alert waits for that.
pub async fn acknowledge(tx: &mut Transaction, settings: &Settings, id: AlertId) -> Result<bool, WriteError> {
    if !store::alerts::acknowledge(tx, id).await? {
        return Ok(false);
    }
    if let Some(alert) = store::alerts::get(tx, id).await?
        && causes::meaning(alert.cause).ending == Ending::WhenLookedAt
    {
        close(tx, settings, &[alert.cause]).await?;
    }
    Ok(true)
}

/// Tells that an alert goes on.
async fn tell(
    tx: &mut Transaction,
    settings: &Settings,
    id: AlertId,
    telling: Telling,
) -> Result<(), WriteError> {
    let tellings = store::alerts::tell(tx, id, settings.alerts.repeat_every.as_secs_f64()).await?;
    enqueue(tx, settings, id, telling, tellings).await
}

async fn enqueue(
    tx: &mut Transaction,
    settings: &Settings,
    alert: AlertId,
    telling: Telling,
    number: i32,
) -> Result<(), WriteError> {
    if settings.alert_webhook.is_some() {
        // Its end is not told before its beginning.
        tx.enqueue(NewJob::of(&PostAlert { alert, telling, number }).lane(lanes::alert(alert))).await?;
    }
    Ok(())
}
