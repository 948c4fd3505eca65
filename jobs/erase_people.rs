//! Empties what erased people said and were told, page by page, each page in a transaction of its own.
//!
//! Enqueued by whoever has forgotten a person and leaves pages of a long thread, and by the upkeep while anything is left; once for all by its key.
//! Enqueues nothing. It may run twice: a page that is done is not done again.

use std::time::{Duration, Instant};

use queue::claim::Claim;
use queue::connections::Connections;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::erasure;

use crate::app::App;
use crate::proactive::PlanError;

/// All that is due.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ErasePeople {}

/// At most one lives.
const KEY: &str = "erase_people";

/// After this long others get their turn.
const TURN: Duration = Duration::from_secs(30);

impl Job for ErasePeople {
    const KIND: &'static str = "erase_people";
    const POOL: &'static str = "upkeep";
    const KEPT: bool = true;
}

/// Does the work.
pub async fn run(_: ErasePeople, app: App, _: Claim) -> Result<(), Failure> {
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

/// Empties a page of this user's. False: nothing is left, or the job is at it.
pub async fn page_of(pg: &Connections, user_id: &str) -> sqlx::Result<bool> {
    let mut tx = pg.begin().await?;
    let emptied = erasure::empty_page(&mut tx, Some(user_id)).await?;
    tx.commit().await?;
    Ok(emptied)
}

/// Enqueues the job while anything is due. True: something is.
pub async fn enqueue(tx: &mut Transaction) -> Result<bool, PlanError> {
    let is_due = erasure::is_due(tx, None).await?;
    if is_due {
        tx.enqueue(NewJob::of(&ErasePeople::default()).unique_key(KEY)).await?;
    }
    Ok(is_due)
}
