//! What the operator decides about alerts.

use std::time::Duration;

use serde::Deserialize;

/// When something is worth an alert, and how often it is told.
#[derive(Clone, Debug, Deserialize)]
pub struct AlertSettings {
    /// An alert that nobody has acknowledged is told again this often.
    #[serde(with = "humantime_serde")]
    pub repeat_every: Duration,
    /// Whether something has begun or is over is looked at this often.
    #[serde(with = "humantime_serde")]
    pub look_every: Duration,
    /// Messages of this time are looked at for `undelivered`.
    #[serde(with = "humantime_serde")]
    pub undelivered_within: Duration,
    /// So many of them must have failed …
    pub undelivered_least: u32,
    /// … and so many of a hundred.
    pub undelivered_percent: u32,
    /// A send may be in doubt for this long.
    #[serde(with = "humantime_serde")]
    pub in_doubt_after: Duration,
    /// A slot may be late by this much.
    #[serde(with = "humantime_serde")]
    pub slots_late_after: Duration,
    /// Somebody's pause may last this long.
    #[serde(with = "humantime_serde")]
    pub pause_after: Duration,
    /// The database may take no writes for this long.
    #[serde(with = "humantime_serde")]
    pub database_after: Duration,
}

impl AlertSettings {
    /// What ends and comes back again and again is told this often.
    pub(super) fn until_it_is_news_again(&self) -> Duration {
        self.repeat_every / 6
    }
}
