//! Empties what erased people said and were told, page by page, each page in a transaction of its own.
//!
//! Enqueued by the erasure in the transaction in which the person is forgotten, and by the upkeep while anything is left; once for all by its key.
//! Enqueues nothing. It may run twice: a page that is done is not done again.

use std::time::{Duration, Instant};

use queue::claim::Claim;
use queue::connections::Connections;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::erasure;

use crate::app::{App, Settings};
use crate::proactive::PlanError;

/// All that is due.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ErasePeople {}

/// At most one lives.
const KEY: &str = "erase_people";

/// After this long others get their turn.
const TURN: Duration = Duration::from_secs(30);

impl Job for ErasePeople {
    type App = App;

    const KIND: &'static str = "erase_people";
    const POOL: &'static str = "upkeep";
    const KEPT: bool = true;

    async fn run(self, app: App, _: Claim) -> Result<(), Failure> {
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
}

/// Empties a page of this user's. False: nothing is left, or the job is at it.
pub async fn page_of(pg: &Connections, user_id: &str) -> sqlx::Result<bool> {
    let mut tx = pg.begin().await?;
    let emptied = erasure::empty_page(&mut tx, Some(user_id)).await?;
    tx.commit().await?;
    Ok(emptied)
}

/// Forgets a user, and sees to it that all that was said goes. False: there is none.
pub async fn begin(tx: &mut Transaction, settings: &Settings, user_id: &str) -> Result<bool, PlanError> {
    let found = erasure::begin(tx, &settings.secret_keys, user_id).await?;
    enqueue(tx).await?;
    Ok(found)
}

/// Enqueues the job while anything is due.
pub(crate) async fn enqueue(tx: &mut Transaction) -> Result<(), PlanError> {
    if erasure::is_due(tx, None).await? {
        tx.enqueue(NewJob::of(&ErasePeople::default()).unique_key(KEY)).await?;
    }
    Ok(())
}
