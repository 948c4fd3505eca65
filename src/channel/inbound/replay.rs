//! A stored webhook that is taken in anew: keyword or job, as when it came.

use queue::transaction::Transaction;
use store::messages::Message;
use twilio::inbound::InboundMessage;

use super::intake::{self, Stored};
use crate::app::Settings;
use crate::write_error::WriteError;

/// Obeys a stored message again, which has no outcome and no job. Returns how it ended where it did so at once: a keyword needs no job. The caller holds
/// the lock of its writer.
pub(crate) async fn obey_again(
    tx: &mut Transaction,
    settings: &Settings,
    inbound: &InboundMessage,
    message: &Message,
) -> Result<Option<String>, WriteError> {
    let stored = Stored { id: message.id, address_id: message.address_id, written_at: message.written_at };
    intake::obey(tx, settings, inbound, stored).await?;
    let now_is = store::messages::get(tx, message.id).await?;
    Ok(now_is.and_then(|message| message.outcome).map(|outcome| outcome.to_string()))
}
