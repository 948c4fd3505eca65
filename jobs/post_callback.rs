//! Tells the product what became of a delivery, or what a user agreed to or took back.
//!
//! Enqueued by triggers of the database in the transaction of each change, in a lane of the delivery or user, while `[callbacks]` has a URL. It
//! enqueues nothing. It may run twice; the post's id tells the product. A product that is away is asked again for a day.

use channel::alerts;
use channel::app::App;
use channel::callbacks;
use channel::kinds::PostCallback;
use outgoing_webhook::WebhookError;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::alerts::AlertCause;

/// A product that restarts is no news.
const NEWS_FROM_ATTEMPT: u16 = 6;

/// Runs a job of this kind.
pub async fn run(job: PostCallback, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(webhook) = &app.settings.callback_webhook else { return Ok(()) };
    let sequence = attempt.job_id().0;
    let id = format!("{}-callback-{sequence}", app.deployment);
    let mut conn = app.pg.acquire().await?;
    let post = callbacks::post(&mut conn, &app.settings, &job, id, sequence).await?;
    drop(conn);
    let Some(post) = post else { return Ok(()) };
    match webhook.post(&post.id, &post).await {
        Ok(()) => Ok(()),
        Err(error) => Err(failed(&app, &attempt, error).await?),
    }
}

/// The operator is told when it has failed for a minute.
async fn failed(app: &App, attempt: &Attempt, error: WebhookError) -> Result<Failure, Failure> {
    if attempt.number() >= NEWS_FROM_ATTEMPT {
        let mut tx = app.begin().await?;
        alerts::hold(&mut tx, &app.settings, AlertCause::CallbacksFailing, &error.to_string()).await?;
        tx.commit().await?;
    }
    Ok(error.into())
}
