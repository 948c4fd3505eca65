//! STOP and START. Whoever writes them is obeyed at once: the row is there before Twilio gets its 200, and the confirmation goes ahead of
//! everything that waits for the same person. An older keyword that arrives late changes nothing.

use chrono::{DateTime, Utc};
use queue::transaction::Transaction;
use store::addresses::Keyword;
use store::ids::{AddressId, MessageId};
use store::messages::MessageOutcome;

use crate::app::Settings;
use crate::opt_out::{self, OptOut};
use crate::outbound::notices::{self, Notice};
use crate::texts;
use crate::write_error::WriteError;

/// A keyword as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeywordMessage<'a> {
    pub message_id: MessageId,
    pub sid: &'a str,
    /// By whom; the caller holds the lock.
    pub address_id: AddressId,
    pub written_at: DateTime<Utc>,
    /// Twilio has confirmed it, so we stay silent.
    pub answered: bool,
}

/// No proactive messages any more.
pub(super) async fn stop(
    tx: &mut Transaction,
    settings: &Settings,
    written: KeywordMessage<'_>,
    word: &str,
) -> Result<(), WriteError> {
    let Some(before) = note(tx, Keyword::Stop, written).await? else { return Ok(()) };
    let by = OptOut::Keyword { word, message_sid: written.sid };
    let new = opt_out::opt_out(tx, &settings.secret_keys, written.address_id, by).await?;
    if new || !before.same {
        confirm(tx, settings, written, texts::STOPPED).await?;
    }
    end(tx, written, "opted out").await
}

/// Proactive messages again.
pub(super) async fn start(
    tx: &mut Transaction,
    settings: &Settings,
    written: KeywordMessage<'_>,
) -> Result<(), WriteError> {
    let Some(before) = note(tx, Keyword::Start, written).await? else { return Ok(()) };
    let lifted = opt_out::opt_in(tx, &settings.secret_keys, written.address_id, written.sid).await?;
    if lifted || !before.same {
        confirm(tx, settings, written, texts::STARTED).await?;
    }
    end(tx, written, "opted in").await
}

/// Takes note of the keyword; `None`: it is older than what is known, and its message has ended.
async fn note(
    tx: &mut Transaction,
    keyword: Keyword,
    written: KeywordMessage<'_>,
) -> Result<Option<store::addresses::Before>, WriteError> {
    let before = store::addresses::note_keyword(tx, written.address_id, keyword, written.written_at).await?;
    if before.is_none() {
        end(tx, written, "a later keyword or claim is known").await?;
    }
    Ok(before)
}

async fn confirm(
    tx: &mut Transaction,
    settings: &Settings,
    written: KeywordMessage<'_>,
    text: &str,
) -> Result<(), WriteError> {
    if written.answered {
        return Ok(());
    }
    let KeywordMessage { message_id, address_id, written_at, .. } = written;
    let notice = Notice {
        address_id,
        message_id: Some(message_id),
        conversation_id: None,
        expires_at: written_at + settings.deliveries.reply_expires,
        text,
        urgent: true,
    };
    notices::tell(tx, notice).await
}

async fn end(tx: &mut Transaction, written: KeywordMessage<'_>, reason: &str) -> Result<(), WriteError> {
    store::messages::end(tx, written.message_id, MessageOutcome::Keyword, reason).await?;
    tracing::info!(
        message.id = written.message_id.0,
        "Obeyed the keyword of message {}: {reason}",
        written.message_id
    );
    Ok(())
}
