//! What needs a person: alerts that have begun, go on or are over.
//!
//! Enqueued by every process at its start and every `alerts.look_every`, once for all by its key. Enqueues `post_alert`. It may run twice: an alert is one
//! row for its cause. What fails is left to the next round.

use channel::alerts::watch;
use channel::app::App;
use channel::kinds::WatchAlerts;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(_: WatchAlerts, app: App, _: Attempt) -> Result<(), Failure> {
    watch::round(&app).await
}
