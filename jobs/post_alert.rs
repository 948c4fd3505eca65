//! Tells the operator's own service of an alert.
//!
//! Enqueued where an alert is raised, in the same transaction, if it is new and a webhook is configured. It enqueues nothing. It may run twice; the
//! alert's number tells the receiver.

use alert_webhook::AlertPost;
use channel::app::App;
use channel::kinds::PostAlert;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: PostAlert, app: App, _: Attempt) -> Result<(), Failure> {
    let Some(webhook) = &app.settings.alert_webhook else { return Ok(()) };
    let alert = store::alerts::get(&mut *app.pg.acquire().await?, job.alert).await?;
    let Some(alert) = alert else { return Ok(()) };
    let text = format!("CloudyBot's WhatsApp channel: {}: {}", alert.cause, alert.detail);
    let posted = AlertPost { text: &text, id: alert.id, cause: alert.cause.as_str(), detail: &alert.detail };
    Ok(webhook.post(&posted).await?)
}
