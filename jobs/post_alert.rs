//! Tells the operator's own service of an alert.
//!
//! Enqueued where an alert is raised, in the same transaction, if it is new and a webhook is configured. It enqueues nothing. It may run twice; the
//! alert's number tells the receiver.

use std::time::Duration;

use alert_webhook::AlertPost;
use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::enqueue::EnqueueError;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::alerts::AlertCause;

use crate::app::{App, Settings};

/// The alert to tell of.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostAlert {
    /// `channel_alerts.id`.
    pub alert: i64,
}

impl Job for PostAlert {
    const KIND: &'static str = "post_alert";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 12;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(600));
}

/// Does the work.
pub async fn run(job: PostAlert, app: App, _: Claim) -> Result<(), Failure> {
    let Some(webhook) = &app.settings.alert_webhook else { return Ok(()) };
    let alert = store::alerts::get(&mut *app.pg.acquire().await?, job.alert).await?;
    let Some(alert) = alert else { return Ok(()) };
    let text = format!("CloudyBot's WhatsApp channel: {}: {}", alert.cause, alert.detail);
    let posted = AlertPost { text: &text, id: alert.id, cause: alert.cause.as_str(), detail: &alert.detail };
    Ok(webhook.post(&posted).await?)
}

/// Raises an alert in the caller's transaction: a row that stays until somebody acknowledges it, an `error!` line and a post to the operator's webhook,
/// once per cause and hour.
pub async fn raise(
    tx: &mut Transaction,
    settings: &Settings,
    cause: AlertCause,
    detail: &str,
) -> Result<(), AlertError> {
    let detail = &outside::words::without_phone_numbers(detail);
    let Some(alert) = store::alerts::raise(tx, cause, detail).await? else { return Ok(()) };
    tracing::error!(alert.id = alert, cause = cause.as_str(), "Alert {alert}, {cause}: {detail}");
    if settings.alert_webhook.is_some() {
        tx.enqueue(NewJob::of(&PostAlert { alert })).await?;
    }
    Ok(())
}

/// Why an alert could not be raised.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The database refused or was away.
    #[error("cannot store the alert: {0}")]
    Database(#[from] sqlx::Error),
    /// Its post could not be enqueued.
    #[error("cannot enqueue the alert's post: {0}")]
    Enqueue(#[from] EnqueueError),
}
