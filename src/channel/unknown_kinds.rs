//! Tells of jobs that no running process knows: a rolling deploy is over in minutes, and whoever waits longer waits for a person.

use std::time::Duration;

use queue::failure::Failure;
use queue::unknown_kinds::{self, UnknownKind};

use crate::alerts;
use crate::app::App;

/// A deploy is given this long.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Raises an alert where jobs of a kind that nobody knows wait for too long.
pub async fn tell(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let unknown = unknown_kinds::since(&mut tx, PATIENCE).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    alerts::raise(&mut tx, &app.settings, store::alerts::AlertCause::UnknownKind, &in_words(&unknown))
        .await?;
    tx.commit().await?;
    Ok(())
}

/// What waits, and what helps.
#[must_use]
pub fn in_words(unknown: &[UnknownKind]) -> String {
    let kinds: Vec<String> = unknown
        .iter()
        .map(|UnknownKind { kind, since, jobs }| {
            format!("{jobs} jobs of kind {kind} since {}", since.format("%Y-%m-%d %H:%M:%SZ"))
        })
        .collect();
    format!(
        "no running process knows what waits: {}; start a version that does, or `cloudybot jobs cancel --kind KIND`",
        kinds.join(", ")
    )
}
