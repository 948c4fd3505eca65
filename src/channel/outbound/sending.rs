//! A send attempt: the last look under the person's lock, the mark that Twilio may have it, the request, and what came of it.
//!
//! `sending` is committed before the request; from there a chunk only leaves with proof.

use std::time::{Duration, Instant};

use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::trace::TraceParent;
use queue::transaction::Transaction;
use store::addresses::Name;
use store::chunks::{Chunk, End};
use store::deliveries::Obstacle;
use store::ids::ChunkId;
use store::send_attempts::SidOutcome;
use twilio::errors::ErrorClass;
use twilio::message::{MessageContent, OutboundMessage};
use twilio::sending::SendError;

use super::obstacles::{self, Standing};
use super::proactive::room;
use super::send_failures::{self, FailedSend};
use super::{acceptance, proactive};
use crate::app::App;
use crate::counters::{COUNTERS, SendClass, SendResult};
use crate::lanes;

/// Has Twilio report again when we are away for a moment, which it does not do by itself. Twilio neither sends nor signs it.
const OVERRIDES: &str = "#rc=5&rp=all";

/// What a send attempt came to, as far as the sender is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Twilio took it, refused it for what it is, or could not be asked: nothing is wrong with our account.
    Well,
    /// Twilio refuses our account or sender.
    SenderRefused,
    /// It was not sent, since quiet hours have begun: nobody knows about our account.
    NotTried,
}

/// Sends a planned chunk and stores what came of it, with the job's end.
pub async fn send(app: &App, job_attempt: &Attempt, chunk: &Chunk) -> Result<(), Failure> {
    match try_to_send(app, Some(job_attempt), chunk).await? {
        Attempted::Done => Ok(()),
        Attempted::Failed(judgement) => Err(judgement.failure),
    }
}

/// Sends a planned chunk to find out whether Twilio lets us.
pub async fn try_out(app: &App, chunk_id: ChunkId) -> Result<Sent, Failure> {
    let Some(chunk) = store::chunks::get(&mut *app.pg.acquire().await?, chunk_id).await? else {
        return Ok(Sent::Well);
    };
    if proactive::putting_off::put_off_if_quiet(app, &chunk).await? {
        return Ok(Sent::NotTried);
    }
    match try_to_send(app, None, &chunk).await? {
        Attempted::Failed(judgement) if judgement.sender_refused => Ok(Sent::SenderRefused),
        Attempted::Done | Attempted::Failed(_) => Ok(Sent::Well),
    }
}

/// What a send attempt came to.
enum Attempted {
    /// Twilio took the chunk, or it is not to be sent any more.
    Done,
    /// Twilio does not have it, or nobody knows.
    Failed(FailedSend),
}

async fn try_to_send(app: &App, job_attempt: Option<&Attempt>, chunk: &Chunk) -> Result<Attempted, Failure> {
    let times = &app.settings.sending;
    let Some((send_attempt, to)) = begin(app, chunk).await? else { return Ok(Attempted::Done) };
    // The clock starts before the commit that `begin` made could be seen by anybody, so the deadline here is never later than the row's.
    let callback = app.settings.status_callback_url.as_ref().map(|url| {
        // A database that forgets commits may give the chunk's number once more, but not the delivery's random id.
        format!(
            "{url}?chunk={}&attempt={}&delivery={}{OVERRIDES}",
            chunk.id, send_attempt.number, chunk.delivery_id
        )
    });
    let validity = (chunk.expires_at - chunk.now).num_seconds().clamp(1, 36_000);
    let variables = chunk.content_variables.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string);
    let message = OutboundMessage {
        to: &to,
        from: &app.settings.whatsapp_number,
        content: match &chunk.content_sid {
            Some(content_sid) => MessageContent::Template { content_sid, variables: &variables },
            None => MessageContent::Text(&chunk.body),
        },
        status_callback: callback.as_deref(),
        validity_period_secs: u32::try_from(validity).ok(),
    };
    let sent = if send_attempt.begun.elapsed() > times.send_start_within {
        let reason = "the request would have started too late".to_owned();
        Err(SendError::NotSent { reason, retry_after: None, class: ErrorClass::Transient })
    } else {
        let asked_at = Instant::now();
        let sent = app.twilio.send_whatsapp_message(&message, send_attempt.begun + times.send_deadline).await;
        COUNTERS.note_send(class_of(chunk), SendResult::of(&sent), asked_at.elapsed());
        sent
    };
    match sent {
        Ok(accepted) => {
            if let Err(failure) =
                store_acceptance(app, job_attempt, chunk.id, send_attempt.number, &accepted.sid).await
            {
                return Ok(Attempted::Failed(FailedSend { failure, sender_refused: false }));
            }
            tracing::info!(chunk.id = chunk.id.0, sid = accepted.sid, "Twilio accepted chunk {}", chunk.id);
            Ok(Attempted::Done)
        }
        Err(error) => {
            send_failures::judge(app, chunk, send_attempt.number, &to, error).await.map(Attempted::Failed)
        }
    }
}

const fn class_of(chunk: &Chunk) -> SendClass {
    match (chunk.is_notice, chunk.of_own_accord) {
        (true, _) => SendClass::Notice,
        (false, true) => SendClass::Proactive,
        (false, false) => SendClass::Reply,
    }
}

/// A send attempt that is under way.
struct SendAttempt {
    number: i32,
    /// Taken before `sending` was committed.
    begun: Instant,
}

/// planned → sending under the address's lock, committed. `None`: it shall not be sent, or not any more.
async fn begin(app: &App, chunk: &Chunk) -> Result<Option<(SendAttempt, String)>, Failure> {
    let mut tx = app.begin().await?;
    let address = store::addresses::lock(&mut tx, chunk.address_id).await?;
    let Some(locked) = store::chunks::lock(&mut tx, chunk.id).await? else { return Ok(None) };
    let names = store::addresses::names(&mut tx, address.id).await?;
    let mut to = names.first().filter(|_| locked.link_holds);
    if to.is_some_and(Name::is_opaque) && store::send_attempts::was_refused(&mut tx, chunk.id).await? {
        to = to.and(names.iter().find(|name| !name.is_opaque()));
    }
    let standing = Standing::for_chunk(&mut tx, &app.settings, &locked, &address, &names).await?;
    let (end, reason) = match (to, standing.obstacle(locked.content_sid.is_some(), || None)) {
        _ if locked.now >= locked.expires_at => (End::Expired, "it was not sent in time"),
        (Some(to), None) => {
            if locked.content_sid.is_some() && !room::hold(&mut tx, &app.settings, address.id).await? {
                return Err(Failure::Snooze(room::LOOK_AGAIN));
            }
            return mark(app, tx, chunk, to.alias.clone()).await;
        }
        (_, obstacle) => {
            let obstacle = obstacle.unwrap_or(Obstacle::NotLinked);
            COUNTERS.note_block(obstacle);
            (obstacles::end_of_chunk(obstacle), obstacle.as_str())
        }
    };
    if store::chunks::end(&mut tx, chunk.id, end, None, reason).await? {
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        tx.commit().await?;
        tracing::warn!(chunk.id = chunk.id.0, "Chunk {} is not sent: {reason}", chunk.id);
    }
    Ok(None)
}

/// Commits the mark that Twilio may have the chunk from now on.
async fn mark(
    app: &App,
    mut tx: Transaction,
    chunk: &Chunk,
    to: String,
) -> Result<Option<(SendAttempt, String)>, Failure> {
    let begun = Instant::now();
    let trace = TraceParent::current();
    let trace = trace.as_ref().map(TraceParent::as_str);
    let deadline_secs = app.settings.sending.send_deadline.as_secs_f64();
    let Some(number) = store::send_attempts::begin(&mut tx, chunk.id, &to, deadline_secs, trace).await?
    else {
        return Ok(None);
    };
    tx.commit().await?;
    Ok(Some((SendAttempt { number, begun }, to)))
}

/// Stores that Twilio has the chunk under this SID: with the job's completion, if a job sends the chunk. An answer that is known must not be lost to a
/// passing fault of the database, or it would take two lists and a minute to find it again.
pub async fn store_acceptance(
    app: &App,
    job_attempt: Option<&Attempt>,
    chunk_id: ChunkId,
    send_attempt: i32,
    sid: &str,
) -> Result<(), Failure> {
    let mut pause = Duration::from_millis(50);
    for last in [false, false, false, false, false, true] {
        match try_to_store_acceptance(app, job_attempt, chunk_id, send_attempt, sid).await {
            Ok(Proof::Stored) => return Ok(()),
            Ok(Proof::None) => return Err(Failure::Snooze(app.settings.sending.until_looked_up())),
            Err(failure) if last => return Err(failure),
            Err(failure) => tracing::warn!(
                chunk.id = chunk_id.0,
                "Could not store that chunk {chunk_id} was accepted; trying again: {failure:?}"
            ),
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    Ok(())
}

async fn try_to_store_acceptance(
    app: &App,
    job_attempt: Option<&Attempt>,
    chunk_id: ChunkId,
    send_attempt: i32,
    sid: &str,
) -> Result<Proof, Failure> {
    let mut tx = app.begin().await?;
    let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { return Ok(Proof::Stored) };
    match acceptance::record(&mut tx, &app.settings, chunk_id, send_attempt, sid).await? {
        SidOutcome::Stored | SidOutcome::Already | SidOutcome::DoubleSend { .. } => {}
        SidOutcome::AnothersSid { owner } => {
            let reason = format!("Twilio gave it the SID {sid}, which is chunk {owner}'s");
            store::in_doubt::raise(&mut tx, chunk_id, send_attempt, &reason).await?;
            tx.commit().await?;
            tracing::warn!(
                chunk.id = chunk_id.0,
                "Nobody knows whether Twilio has chunk {chunk_id}: {reason}"
            );
            return Ok(Proof::None);
        }
    }
    store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
    if let Some(next) = store::chunks::after(&mut tx, chunk_id).await? {
        // What waited behind a send in doubt has no job any more.
        proactive::go_on(&mut tx, chunk.delivery_id).await?;
        tx.wake(&lanes::chunk_key(next)).await?;
    }
    match job_attempt {
        Some(job_attempt) => job_attempt.complete_and_commit(tx).await?,
        None => tx.commit().await?,
    }
    Ok(Proof::Stored)
}

/// What a SID proves about a chunk.
enum Proof {
    /// Twilio has the chunk, and that is stored.
    Stored,
    /// Nothing: the SID is another chunk's.
    None,
}
