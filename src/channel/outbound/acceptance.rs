//! A SID for a chunk: the proof that Twilio has it.

use queue::transaction::Transaction;
use store::alerts::AlertCause;
use store::ids::ChunkId;
use store::send_attempts::SidOutcome;

use crate::alerts;
use crate::app::Settings;
use crate::write_error::WriteError;

/// Notes that Twilio has a chunk under this SID, by its answer, a callback or its list. A second SID is kept as a double send and told.
pub(crate) async fn record(
    tx: &mut Transaction,
    settings: &Settings,
    chunk_id: ChunkId,
    send_attempt: i32,
    sid: &str,
) -> Result<SidOutcome, WriteError> {
    let stored = store::send_attempts::store_sid(tx, chunk_id, send_attempt, sid).await?;
    if let SidOutcome::DoubleSend { first_sid } = &stored {
        let detail = format!("chunk {chunk_id} went out as {first_sid} and again as {sid}");
        alerts::raise(tx, settings, AlertCause::DoubleSend, &detail).await?;
    }
    Ok(stored)
}
