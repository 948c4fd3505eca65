//! Sends one chunk through Twilio, once.
//!
//! Enqueued with its delivery, in a lane of the person: one for replies, one for what is sent of our own accord, so that either leaves in order. In
//! quiet hours it puts its delivery off, with the `plan_quiet` of their end. A run that finds `sending` does not know whether Twilio has the message,
//! and asks Twilio's list before anything else. When it gives up, `close_chunk` follows. A status callback wakes it by its key. Enqueues
//! `probe_sender` when Twilio refuses our account or sender.

use std::time::Duration;

use channel::app::App;
use channel::kinds::SendChunk;
use channel::outbound::proactive::putting_off;
use channel::outbound::{in_doubt, sending};
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::chunks::{Chunk, ChunkState};
use store::rate_buckets::{self, Bucket, Rate};
use store::sender_pace::SendStream;

/// Runs a job of this kind.
pub async fn run(job: SendChunk, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(chunk) = store::chunks::get(&mut *app.pg.acquire().await?, job.chunk).await? else {
        return Ok(());
    };
    match chunk.state {
        ChunkState::Planned => match readiness(&app, &chunk).await? {
            Readiness::Now if putting_off::put_off_if_quiet(&app, &chunk).await? => Ok(()),
            Readiness::Now => sending::send(&app, &attempt, &chunk).await,
            Readiness::Later(pause) => Err(Failure::Snooze(pause)),
            Readiness::AfterVerdict => Ok(()),
        },
        ChunkState::Sending => in_doubt::resolve(&app, &attempt, &chunk).await,
        _ => Ok(()),
    }
}

/// Whether a chunk may be sent.
enum Readiness {
    Now,
    Later(Duration),
    /// The chunk before it is in doubt and waits for a person; whoever clears that up enqueues this one again.
    AfterVerdict,
}

/// While something else to the same person is under way, it is looked at this often.
const LET_PASS: Duration = Duration::from_millis(500);

async fn readiness(app: &App, chunk: &Chunk) -> Result<Readiness, Failure> {
    let mut conn = app.pg.acquire().await?;
    // In order: until the callback of the chunk before this one, or a few seconds.
    if let Some((state, accepted_secs_ago)) = store::chunks::before(&mut conn, chunk).await? {
        let left =
            app.settings.deliveries.callback_wait.as_secs_f64() - accepted_secs_ago.unwrap_or(f64::MAX);
        if state == ChunkState::Accepted && left > 0.0 {
            return Ok(Readiness::Later(Duration::from_secs_f64(left)));
        }
        if state == ChunkState::Sending {
            return Ok(Readiness::AfterVerdict);
        }
    }
    let first = chunk.index == 0;
    if first
        && store::deliveries::must_let_pass(
            &mut conn,
            chunk.delivery_id,
            chunk.address_id,
            chunk.of_own_accord,
        )
        .await?
    {
        return Ok(Readiness::Later(LET_PASS));
    }
    drop(conn);
    // By the database's clock in any case.
    let wait = match chunk.send_at {
        Some(send_at) => (send_at - chunk.now).to_std().unwrap_or_default(),
        None => match pace(app, chunk).await? {
            Pace::SendIn(wait) => wait,
            Pace::AskAgainIn(pause) => return Ok(Readiness::Later(pause)),
        },
    };
    if wait > SHORT {
        return Ok(Readiness::Later(wait));
    }
    tokio::time::sleep(wait).await;
    if chunk.of_own_accord {
        // Only now, or a broadcast would take the sender's moments of the next minutes from the replies.
        let now = store::sender_pace::take(
            &mut *app.pg.acquire().await?,
            SendStream::All,
            app.settings.sending.per_sec(),
        )
        .await?;
        tokio::time::sleep(Duration::from_secs_f64(now.wait_secs).min(Duration::from_secs(2))).await;
    }
    Ok(Readiness::Now)
}

/// A shorter wait than this is not worth putting the job off.
const SHORT: Duration = Duration::from_millis(100);

/// What the pace of a person and of the sender lets a chunk do.
enum Pace {
    /// It has its moment, so long from now.
    SendIn(Duration),
    /// The person has been sent enough for now: it has no moment, and may ask for one after this.
    AskAgainIn(Duration),
}

/// Gives a chunk its moment, which is kept, so that waiting for it costs no second one: the person's pace counts first, then the sender's. What is
/// sent of our own accord has a stream of its own, and a fifth of the sender's rate is kept for replies.
async fn pace(app: &App, chunk: &Chunk) -> Result<Pace, Failure> {
    let settings = &app.settings;
    let mut conn = app.pg.acquire().await?;
    let person = Bucket::Recipient(chunk.address_id);
    let rate = Rate {
        capacity: f64::from(settings.sending.recipient_burst.max(1)),
        per_sec: 1.0 / settings.sending.recipient_every.as_secs_f64().max(0.001),
    };
    if !rate_buckets::take(&mut conn, person, rate, None).await? {
        let wait = rate_buckets::wait_secs(&mut conn, person, rate).await?;
        return Ok(Pace::AskAgainIn(Duration::from_secs_f64(wait.clamp(0.05, 60.0))));
    }
    let moment = if chunk.of_own_accord {
        store::sender_pace::take(&mut conn, SendStream::Proactive, settings.sending.per_sec() * 0.8).await?
    } else {
        store::sender_pace::take(&mut conn, SendStream::All, settings.sending.per_sec()).await?
    };
    store::chunks::keep_send_time(&mut conn, chunk.id, moment.at).await?;
    Ok(Pace::SendIn(Duration::from_secs_f64(moment.wait_secs)))
}
