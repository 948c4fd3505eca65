//! Words about jobs that no running process knows: a rolling deploy is over in minutes, and whoever waits longer waits for a person.

use std::time::Duration;

use queue::unknown_kinds::UnknownKind;

/// A deploy is given this long.
pub const PATIENCE: Duration = Duration::from_secs(300);

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
