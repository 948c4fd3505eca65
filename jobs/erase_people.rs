//! Empties what erased people said and were told, page by page, each page in a transaction of its own.
//!
//! Enqueued by whoever has forgotten a person and leaves pages of a long thread, and by the upkeep while anything is left; once for all by its key.
//! Enqueues nothing. It may run twice: a page that is done is not done again.

use std::time::{Duration, Instant};

use channel::app::App;
use channel::kinds::ErasePeople;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::erasure;

/// After this long others get their turn.
const TURN: Duration = Duration::from_secs(30);

/// Runs a job of this kind.
pub async fn run(_: ErasePeople, app: App, _: Attempt) -> Result<(), Failure> {
    let begun = Instant::now();
    while begun.elapsed() < TURN {
        let mut tx = app.begin().await?;
        let emptied = erasure::empty_page(&mut tx, None).await?;
        tx.commit().await?;
        if !emptied {
            return Ok(());
        }
    }
    Err(Failure::Snooze(Duration::from_millis(10)))
}
