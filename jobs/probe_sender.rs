//! Finds out when a sender that Twilio refuses is well again.
//!
//! Enqueued when Twilio's answer to a chunk means that nothing will go out, in the transaction that pauses the pools that send, once for all chunks by
//! its key. It tries one chunk: if that is taken, or refused for what it says itself, the pools go on; if not, it tries again later. It may run twice:
//! a chunk that is under way is not begun again. A pool that an administrator lets go on meanwhile goes on, until Twilio refuses once more; what an
//! administrator has paused stays paused. The upkeep brings a probe back that is gone while its pause lasts.

use std::time::Duration;

use chrono::TimeDelta;
use queue::claim::Claim;
use queue::enqueue::EnqueueError;
use queue::failure::Failure;
use queue::inspection::Scope;
use queue::job::{Enqueued, Job, NewJob};
use queue::pauses;
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::app::{App, Settings};
use crate::sending::{self, Sent};
use crate::{lanes, post_alert};

/// How often the sender is tried.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProbeSender {
    /// Between two tries.
    pub every_secs: u64,
}

/// Who has paused the pools, as administrators see it.
pub const ACTOR: &str = "the sender's probe";

/// At most one probe lives.
const KEY: &str = "probe_sender";

impl Job for ProbeSender {
    const KIND: &'static str = "probe_sender";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 1000;
    const KEPT: bool = true;
}

/// Does the work.
pub async fn run(job: ProbeSender, app: App, claim: Claim) -> Result<(), Failure> {
    let waiting = store::chunks::longest_waiting(&mut *app.pg.acquire().await?).await?;
    let sent = match waiting {
        Some(id) => sending::try_out(&app, id).await?,
        // Nothing is left to try with, so nothing is lost by letting the next one try.
        None => Sent::Well,
    };
    if sent == Sent::SenderRefused {
        return Err(Failure::Snooze(Duration::from_secs(job.every_secs)));
    }
    // With the job's end: whoever is refused from here on pauses anew, and finds no probe that is about to end.
    let mut tx = app.begin().await?;
    pauses::lift_own(&mut tx, &lanes::SENDING_POOLS, ACTOR).await?;
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    tracing::info!("The sender is well again");
    Ok(())
}

/// Pauses the pools that send, in the caller's transaction, with a probe that tries a chunk after this time.
pub(crate) async fn hold_back(tx: &mut Transaction, every: Duration) -> Result<(), ProbeError> {
    for pool in lanes::SENDING_POOLS {
        pauses::pause(tx, Scope::Pool, pool, ACTOR).await?;
    }
    let every_secs = every.as_secs().max(1);
    let pause =
        TimeDelta::try_seconds(i64::try_from(every_secs).unwrap_or(i64::MAX)).unwrap_or(TimeDelta::MAX);
    let first_at = store::clock::now(tx).await?.checked_add_signed(pause);
    let probe = NewJob::of(&ProbeSender { every_secs }).unique_key(KEY);
    tx.enqueue(match first_at {
        Some(moment) => probe.run_at(moment),
        None => probe,
    })
    .await?;
    Ok(())
}

/// Has a held-back sender tried out at once. False: it is not held back.
pub async fn probe_now(tx: &mut Transaction, settings: &Settings) -> Result<bool, ProbeError> {
    if tx.wake(KEY).await? {
        return Ok(true);
    }
    if !is_held_back(tx).await? {
        return Ok(false);
    }
    tx.enqueue(anew(settings)).await?;
    Ok(true)
}

/// Brings a probe back that is gone while its pause lasts: nobody else would end it.
pub(crate) async fn look_after(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    if !is_held_back(&mut tx).await? {
        return Ok(());
    }
    if let Enqueued::New(job) = tx.enqueue(anew(&app.settings)).await? {
        let detail = format!("sending was paused and nothing was left to try it out; job {job} does so now");
        post_alert::raise(&mut tx, &app.settings, store::alerts::AlertCause::PauseWithoutProbe, &detail)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn is_held_back(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let pauses = pauses::all(conn).await?;
    Ok(pauses.iter().any(|pause| pause.paused_by == ACTOR))
}

fn anew(settings: &Settings) -> NewJob {
    let every_secs = settings.probe_every.as_secs().max(1);
    NewJob::of(&ProbeSender { every_secs }).unique_key(KEY)
}

/// Why no probe could be sent for.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The database refused or was away.
    #[error("cannot store the pause: {0}")]
    Database(#[from] sqlx::Error),
    /// The probe could not be enqueued.
    #[error("cannot enqueue the probe: {0}")]
    Enqueue(#[from] EnqueueError),
}
