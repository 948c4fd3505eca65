//! Sends one chunk through Twilio, once.
//!
//! Enqueued with its delivery, in the address's lane, so chunks and deliveries to one person leave in order. `sending` is committed before
//! the request; a run that finds `sending` does not know whether Twilio has the message, and asks Twilio's list before anything else. When
//! it gives up, `close_chunk` follows. A status callback wakes it by its key.

use std::time::{Duration, Instant};

use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use queue::trace::TraceParent;
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::chunks::{Accepted, Chunk, End, Unsent};
use twilio::client::SendError;
use twilio::errors::ErrorClass;
use twilio::message::{Content, OutboundMessage};

use crate::app::App;
use crate::close_chunk::CloseChunk;
use crate::{lanes, look_up};

/// The chunk to send. The flags are the row's, repeated for whoever reads the job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendChunk {
    /// `channel_chunks.id`.
    pub chunk: i64,
    /// Counts against the allowance.
    #[serde(default)]
    pub meter_proactive: bool,
    /// Carries the footer.
    #[serde(default)]
    pub proactive: bool,
}

impl Job for SendChunk {
    type App = App;

    const KIND: &'static str = "send_chunk";
    const POOL: &'static str = "replies";
    const MAX_ATTEMPTS: u16 = 25;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(300));
    const ON_END: Option<(&'static str, &'static str)> = Some((CloseChunk::KIND, CloseChunk::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let Some(chunk) = store::chunks::get(&mut *app.pg.acquire().await?, self.chunk).await? else {
            return Ok(());
        };
        match chunk.state.as_str() {
            "planned" => {
                if let Some(pause) = too_early(&app, &chunk).await? {
                    return Err(Failure::Snooze(pause));
                }
                send(&app, &claim, &chunk).await
            }
            "sending" => look_up::resolve(&app, &claim, &chunk).await,
            _ => Ok(()),
        }
    }
}

/// How long to wait for the chunk before this one to be on its way, so that they arrive in order: until its callback, or a few seconds.
async fn too_early(app: &App, chunk: &Chunk) -> sqlx::Result<Option<Duration>> {
    let before = store::chunks::before(&mut *app.pg.acquire().await?, chunk).await?;
    let Some((state, Some(accepted_secs_ago))) = before else { return Ok(None) };
    let left = app.settings.sending.callback_wait.as_secs_f64() - accepted_secs_ago;
    Ok((state == "accepted" && left > 0.0).then(|| Duration::from_secs_f64(left)))
}

async fn send(app: &App, claim: &Claim, chunk: &Chunk) -> Result<(), Failure> {
    let times = &app.settings.sending;
    let Some((attempt, to)) = begin(app, chunk).await? else { return Ok(()) };
    // The clock starts before the commit that `begin` made could be seen by anybody, so the deadline here is never later than the row's.
    let callback = app
        .settings
        .status_callback_url
        .as_ref()
        .map(|url| format!("{url}?chunk={}&attempt={}", chunk.id, attempt.number));
    let validity = (chunk.expires_at - chunk.now).num_seconds().clamp(1, 36_000);
    let message = OutboundMessage {
        to: &to,
        from: &app.settings.whatsapp_number,
        content: Content::Text(&chunk.body),
        status_callback: callback.as_deref(),
        validity_period_secs: u32::try_from(validity).ok(),
    };
    let sent = if attempt.begun.elapsed() > times.start_within {
        let reason = "the request would have started too late".to_owned();
        Err(SendError::NotSent { reason, retry_after: None, class: ErrorClass::Transient })
    } else {
        app.twilio.send_whatsapp_message(&message, attempt.begun + times.deadline).await
    };
    match sent {
        Ok(accepted) => {
            accept(app, Some(claim), chunk.id, attempt.number, &accepted.sid).await?;
            tracing::info!(chunk.id = chunk.id, sid = accepted.sid, "Twilio accepted chunk {}", chunk.id);
            Ok(())
        }
        Err(error) => Err(judge(app, chunk, attempt.number, error).await?),
    }
}

/// An attempt that is under way.
struct Attempt {
    number: i32,
    /// Taken before `sending` was committed.
    begun: Instant,
}

/// planned → sending under the address's lock, committed. `None`: it shall not be sent, or not any more.
async fn begin(app: &App, chunk: &Chunk) -> Result<Option<(Attempt, String)>, Failure> {
    let mut tx = app.begin().await?;
    let address = store::addresses::lock(&mut tx, chunk.address_id).await?;
    let Some(locked) = store::chunks::lock(&mut tx, chunk.id).await? else { return Ok(None) };
    let to = store::addresses::send_to(&mut tx, address.id).await?;
    let (end, reason) = match to {
        _ if locked.now >= locked.expires_at => (End::Expired, "it was not sent in time"),
        Some(to) if !locked.link_ended => return mark(app, tx, chunk, to).await,
        _ => (End::Blocked, "not_linked"),
    };
    if store::chunks::end(&mut tx, chunk.id, end, None, reason).await? {
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        tx.commit().await?;
        tracing::warn!(chunk.id = chunk.id, "Chunk {} is not sent: {reason}", chunk.id);
    }
    Ok(None)
}

/// Commits the mark that Twilio may have the chunk from now on.
async fn mark(
    app: &App,
    mut tx: Transaction,
    chunk: &Chunk,
    to: String,
) -> Result<Option<(Attempt, String)>, Failure> {
    let begun = Instant::now();
    let trace = TraceParent::current();
    let trace = trace.as_ref().map(TraceParent::as_str);
    let deadline_secs = app.settings.sending.deadline.as_secs_f64();
    let Some(number) = store::chunks::begin_sending(&mut tx, chunk.id, &to, deadline_secs, trace).await?
    else {
        return Ok(None);
    };
    tx.commit().await?;
    Ok(Some((Attempt { number, begun }, to)))
}

/// Stores that Twilio has the chunk: with the job's end, if there is a claim to end it by. An answer that is known must not be lost to a
/// passing fault of the database, or it would take two lists and a minute to find it again.
pub(crate) async fn accept(
    app: &App,
    claim: Option<&Claim>,
    chunk_id: i64,
    attempt: i32,
    sid: &str,
) -> Result<(), Failure> {
    let mut pause = Duration::from_millis(50);
    for last in [false, false, false, false, false, true] {
        match try_accept(app, claim, chunk_id, attempt, sid).await {
            Ok(()) => return Ok(()),
            Err(failure) if last => return Err(failure),
            Err(failure) => tracing::warn!(
                chunk.id = chunk_id,
                "Could not store that chunk {chunk_id} was accepted; trying again: {failure:?}"
            ),
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    Ok(())
}

async fn try_accept(
    app: &App,
    claim: Option<&Claim>,
    chunk_id: i64,
    attempt: i32,
    sid: &str,
) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { return Ok(()) };
    if let Accepted::DoubleSend { first_sid } = store::chunks::accept(&mut tx, chunk_id, attempt, sid).await?
    {
        let detail = format!("chunk {chunk_id} went out as {first_sid} and again as {sid}");
        store::alerts::raise(&mut tx, "double_send", &detail).await?;
        tracing::error!(chunk.id = chunk_id, "Double send: {detail}");
    }
    store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
    if let Some(next) = store::chunks::after(&mut tx, chunk_id).await? {
        tx.wake(&lanes::chunk_key(next)).await?;
    }
    if let Some(claim) = claim {
        claim.complete(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What a failed request means. Only what is proven unsent goes back to be sent again.
async fn judge(app: &App, chunk: &Chunk, attempt: i32, error: SendError) -> Result<Failure, Failure> {
    let mut tx = app.begin().await?;
    store::chunks::lock(&mut tx, chunk.id).await?;
    let text = error.to_string();
    let failure = match error {
        SendError::NotSent { retry_after, .. } => {
            store::chunks::return_to_planned(&mut tx, chunk.id, attempt, Unsent::NotSent, &text).await?;
            retry_after.map_or_else(
                || Failure::retry(text.clone()),
                |delay| Failure::RetryAfter(delay, text.clone().into()),
            )
        }
        SendError::InDoubt { .. } => {
            store::chunks::doubt(&mut tx, chunk.id, attempt, &text).await?;
            tracing::warn!(chunk.id = chunk.id, "Nobody knows whether Twilio has chunk {}: {text}", chunk.id);
            Failure::Snooze(app.settings.sending.deadline + app.settings.sending.in_doubt_grace)
        }
        // Nothing is wrong with the message: it waits for the operator.
        SendError::Refused { class: ErrorClass::Configuration, .. } => {
            store::chunks::return_to_planned(&mut tx, chunk.id, attempt, Unsent::NotSent, &text).await?;
            if store::alerts::raise(&mut tx, "sender_configuration", &text).await? {
                tracing::error!("Twilio refuses our account or sender: {text}");
            }
            Failure::retry(text.clone())
        }
        SendError::Refused { code, .. } => {
            store::chunks::end(&mut tx, chunk.id, End::Failed, code, &text).await?;
            store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
            Failure::abort(text.clone())
        }
    };
    tx.commit().await?;
    Ok(failure)
}
