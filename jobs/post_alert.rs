//! Tells the operator's own service of an alert: that it has begun, that it goes on, or that it is over.
//!
//! Enqueued where one of these is noted, in the same transaction and in the alert's lane, if a webhook is configured. It enqueues nothing. It may run
//! twice; the header `webhook-id` tells the receiver.

use channel::alerts::post::AlertPost;
use channel::app::App;
use channel::kinds::PostAlert;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: PostAlert, app: App, _: Attempt) -> Result<(), Failure> {
    let Some(webhook) = &app.settings.alert_webhook else { return Ok(()) };
    let alert = store::alerts::get(&mut *app.pg.acquire().await?, job.alert).await?;
    let Some(alert) = alert else { return Ok(()) };
    let id = format!("{}-alert-{}-{}", app.deployment, job.alert, job.number);
    Ok(webhook.post(&id, &AlertPost::of(&alert, job.telling)).await?)
}
