//! A sender that Twilio refuses: the pools that send are paused, and a probe tries one chunk now and then.

use std::time::Duration;

use chrono::TimeDelta;
use queue::failure::Failure;
use queue::job::{Enqueued, NewJob};
use queue::pauses::{self, Scope};
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::alerts::AlertCause;

use crate::app::{App, Settings};
use crate::kinds::ProbeSender;
use crate::write_error::WriteError;
use crate::{alerts, pools};

/// Who has paused the pools, as administrators see it.
pub const ACTOR: &str = "the sender's probe";

/// At most one probe lives.
pub(crate) const KEY: &str = "probe_sender";

/// Pauses the pools that send for this reason, in the caller's transaction, with a probe that tries a chunk after this time.
pub(crate) async fn hold_back(tx: &mut Transaction, every: Duration, reason: &str) -> Result<(), WriteError> {
    let reason = outside::words::without_phone_numbers(reason);
    for pool in pools::SENDING {
        pauses::pause(tx, Scope::Pool, pool, ACTOR, Some(&reason)).await?;
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
pub async fn probe_now(tx: &mut Transaction, settings: &Settings) -> Result<bool, WriteError> {
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
pub async fn look_after(app: &App) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    if !is_held_back(&mut tx).await? {
        return Ok(());
    }
    if let Enqueued::New(job) = tx.enqueue(anew(&app.settings)).await? {
        let detail = format!("sending was paused and nothing was left to try it out; job {job} does so now");
        alerts::raise(&mut tx, &app.settings, AlertCause::PauseWithoutProbe, &detail).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Whether Twilio refuses the sender, so that it is held back.
pub async fn is_held_back(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let pauses = pauses::all(conn).await?;
    Ok(pauses.iter().any(|pause| pause.paused_by == ACTOR))
}

fn anew(settings: &Settings) -> NewJob {
    let every_secs = settings.sending.probe_every.as_secs().max(1);
    NewJob::of(&ProbeSender { every_secs }).unique_key(KEY)
}
