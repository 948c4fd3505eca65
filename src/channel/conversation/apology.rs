//! The apology for a turn that came to nothing.

use queue::transaction::Transaction;
use store::turns::Turn;
use whatsapp_text::text::WhatsappText;

use super::replies;
use crate::app::App;
use crate::texts;
use crate::write_error::WriteError;

/// Ends a turn as failed and plans the apology, in the caller's transaction. A turn that has ended is left alone. The caller holds the
/// address's lock.
pub async fn apologise(app: &App, tx: &mut Transaction, turn: &Turn, reason: &str) -> Result<(), WriteError> {
    let messages = store::messages::of_turn(tx, turn.id).await?;
    if store::turns::fail(tx, turn.id, reason).await? {
        tracing::error!(turn.id = turn.id.0, "Gave up turn {}: {reason}", turn.id);
        // For a turn that was tried again by hand somebody has apologised already.
        if turn.retry_of.is_none() {
            let apology = WhatsappText::as_written(texts::APOLOGY);
            replies::plan_converted(app, tx, turn, &messages, &apology).await?;
        }
    }
    Ok(())
}
