//! Tells systemd how this process is. Without `NOTIFY_SOCKET`, which systemd sets for a unit of `Type=notify`, nothing is told.

use sd_notify::NotifyState;

use crate::http::health::Health;
use crate::roles::Roles;

/// Everything that was to start has started.
pub(crate) fn tell_ready(roles: &Roles) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("Runs as {roles}"))]);
}

/// It was told to stop, and does.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Stops: running jobs end")]);
}

/// Keeps systemd from ending this process, as long as `/healthz` is 200. It goes on during a stop, which systemd bounds by itself.
pub(crate) async fn feed_watchdog(health: Health) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    let mut rounds = tokio::time::interval(limit / 3);
    loop {
        rounds.tick().await;
        match health.dead() {
            None => tell(&[NotifyState::Watchdog]),
            Some(why) => tracing::error!("The watchdog ends this process soon: {why}"),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "Could not tell the service manager: {error}");
    }
}
