//! What Twilio says became of a message, by a callback or in its list: moves the message's chunk, its allowance and its person's opt-out, and
//! wakes the jobs that wait for it. Forward only, harmless when it comes twice or late.

use outside::words;
use queue::transaction::Transaction;
use store::chunks::{Chunk, ChunkState};
use store::ids::{ChunkId, DeliveryId};
use store::send_attempts::SidOutcome;
use store::twilio_statuses::TwilioStatus;
use twilio::errors::ErrorClass;

use crate::app::Settings;
use crate::lanes;
use crate::opt_out::{OptOut, opt_out};
use crate::outbound::acceptance;
use crate::outbound::proactive;
use crate::write_error::WriteError;

/// What Twilio says of a message.
#[derive(Clone, Copy, Debug)]
pub struct StatusReport<'a> {
    /// Twilio's id of it.
    pub sid: &'a str,
    /// The chunk and the send attempt that the callback's URL names, which proves that they sent it.
    pub chunk: Option<ChunkId>,
    /// See `chunk`.
    pub attempt: Option<i32>,
    /// The delivery that the URL names: of another delivery's chunk the callback says nothing.
    pub delivery: Option<DeliveryId>,
    /// What became of it, in Twilio's word.
    pub status: &'a str,
    /// Twilio's error code, after a failure.
    pub error_code: Option<i32>,
    /// What Twilio says about it.
    pub error_message: Option<&'a str>,
}

impl StatusReport<'_> {
    fn failed_for_good(&self) -> bool {
        self.status.parse().is_ok_and(TwilioStatus::is_failure)
    }

    /// The person wants nothing of our own accord.
    fn opts_out(&self) -> bool {
        self.failed_for_good()
            && self.error_code.is_some()
            && twilio::errors::class_of_callback(self.error_code) == ErrorClass::OptedOut
    }
}

/// Applies a report in the caller's transaction; returns the chunk that it names as it was before, if there is one.
pub async fn apply(
    tx: &mut Transaction,
    settings: &Settings,
    report: StatusReport<'_>,
) -> Result<Option<Chunk>, WriteError> {
    let named = match report.chunk {
        Some(id) => Some(id),
        // Reported to another URL than the one we gave: the SID may still be one of ours.
        None => store::chunks::find_by_sid(tx, report.sid).await?,
    };
    let Some(named) = named else { return Ok(None) };
    let mut person = None;
    if report.opts_out()
        && let Some(chunk) = store::chunks::get(tx, named).await?
    {
        // The person is locked before the chunk, as everywhere.
        person = Some(store::addresses::lock(tx, chunk.address_id).await?.id);
    }
    // The message may be what another chunk was taken to be; both deliveries are locked in one order.
    let owner = store::chunks::find_by_sid(tx, report.sid).await?;
    store::chunks::lock_deliveries(tx, &[named, owner.unwrap_or(named)]).await?;
    let Some(chunk) = store::chunks::lock(tx, named).await? else { return Ok(None) };
    if report.delivery.is_some_and(|delivery| delivery != chunk.delivery_id) {
        tracing::warn!(
            sid = report.sid,
            "Message {} is of a delivery that the database has forgotten, and whose chunk's number is another one's now",
            report.sid
        );
        return Ok(None);
    }
    let send_attempt = report.attempt.unwrap_or(chunk.attempt);
    match acceptance::record(tx, settings, chunk.id, send_attempt, report.sid).await? {
        SidOutcome::DoubleSend { .. } => {}
        // The message is what another chunk was taken to be, so its fate is that chunk's.
        SidOutcome::AnothersSid { owner } => {
            if let Some(owner) = store::chunks::lock(tx, owner).await? {
                move_chunk(tx, settings, report, &owner).await?;
                go_on_after(tx, &owner).await?;
            }
        }
        SidOutcome::Stored | SidOutcome::Already => move_chunk(tx, settings, report, &chunk).await?,
    }
    if let Some(address_id) = person {
        opt_out(tx, &settings.secret_keys, address_id, OptOut::Provider(report.error_code)).await?;
    }
    go_on_after(tx, &chunk).await?;
    Ok(Some(chunk))
}

/// Lets the delivery of a chunk follow it, and wakes what waits for it. The chunk is as it was before the report.
async fn go_on_after(tx: &mut Transaction, chunk: &Chunk) -> Result<(), WriteError> {
    store::deliveries::follow_chunks(tx, chunk.delivery_id).await?;
    if matches!(chunk.state, ChunkState::Sending | ChunkState::Unknown) {
        // What waited behind a send in doubt has no job any more.
        proactive::go_on(tx, chunk.delivery_id).await?;
    }
    tx.wake(&lanes::chunk_key(chunk.id)).await?;
    if let Some(next) = store::chunks::after(tx, chunk.id).await? {
        tx.wake(&lanes::chunk_key(next)).await?;
    }
    Ok(())
}

/// Moves the chunk whose message this is.
async fn move_chunk(
    tx: &mut Transaction,
    settings: &Settings,
    report: StatusReport<'_>,
    chunk: &Chunk,
) -> Result<(), WriteError> {
    let StatusReport { status, error_code, error_message, .. } = report;
    // Twilio's words may quote ours.
    let message = error_message.map(|message| words::of_others(message, &[&chunk.body]));
    if store::twilio_statuses::apply(tx, chunk.id, status, error_code, message.as_deref()).await? {
        tracing::info!(chunk.id = chunk.id.0, status, "Chunk {} is {status}", chunk.id);
    }
    if report.failed_for_good() && settings.metering.credit_failed {
        store::allowances::credit(tx, chunk.id).await?;
    }
    Ok(())
}
