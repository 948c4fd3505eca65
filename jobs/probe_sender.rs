//! Finds out when a sender that Twilio refuses is well again.
//!
//! Enqueued when Twilio's answer to a chunk means that nothing will go out, in the transaction that pauses the pools that send, once for all chunks by
//! its key. It tries one chunk: if that is taken, or refused for what it says itself, the pools go on; if not, it tries again later. It may run twice:
//! a chunk that is under way is not begun again. A pool that an administrator lets go on meanwhile goes on, until Twilio refuses once more; what an
//! administrator has paused stays paused. The upkeep brings a probe back that is gone while its pause lasts.

use std::time::Duration;

use channel::alerts;
use channel::app::App;
use channel::kinds::ProbeSender;
use channel::outbound::sender;
use channel::outbound::sending::{self, Sent};
use channel::pools;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::pauses;
use store::alerts::AlertCause;

/// Runs a job of this kind.
pub async fn run(job: ProbeSender, app: App, attempt: Attempt) -> Result<(), Failure> {
    let waiting = store::chunks::longest_waiting(&mut *app.pg.acquire().await?).await?;
    let sent = match waiting {
        Some(id) => sending::try_out(&app, id).await?,
        // Nothing is left to try with, so nothing is lost by letting the next one try.
        None => Sent::Well,
    };
    match sent {
        Sent::SenderRefused => return Err(Failure::Snooze(Duration::from_secs(job.every_secs))),
        // Another chunk is the one that has waited longest now.
        Sent::NotTried => return Err(Failure::Snooze(Duration::ZERO)),
        Sent::Well => {}
    }
    // With the job's end: whoever is refused from here on pauses anew, and finds no probe that is about to end.
    let mut tx = app.begin().await?;
    pauses::lift_own(&mut tx, &pools::SENDING, sender::ACTOR).await?;
    alerts::close(&mut tx, &app.settings, &[AlertCause::SenderRefused]).await?;
    attempt.complete_and_commit(tx).await?;
    tracing::info!("The sender is well again");
    Ok(())
}
