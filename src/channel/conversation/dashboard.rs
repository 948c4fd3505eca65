//! What a user writes in the dashboard. A browser phrase ends the browser session there as on the phone. STOP does not opt out there, since the phone's
//! owner alone does that, and it stops no turn: the person is told what does stop something.

use queue::job::NewJob;
use queue::transaction::Transaction;
use store::dashboard_messages;
use store::ids::{ConversationId, MessageId};
use store::messages::MessageOutcome;

use super::debounce;
use crate::app::Settings;
use crate::inbound::commands::PersonCommand;
use crate::kinds::EndBrowserSession;
use crate::write_error::WriteError;
use crate::{lanes, texts};

/// Takes a message in, with all that follows from it, in the caller's transaction. `None`: one with this key was taken in before. The caller holds the
/// conversation's lock.
pub async fn take_in(
    tx: &mut Transaction,
    settings: &Settings,
    conversation: ConversationId,
    key: &str,
    text: &str,
) -> Result<Option<MessageId>, WriteError> {
    let command = PersonCommand::of_dashboard(text);
    let outcome = match command {
        PersonCommand::EndBrowserSession => Some(MessageOutcome::Browser),
        PersonCommand::Stop(_) => Some(MessageOutcome::Keyword),
        _ => None,
    };
    let Some(message) = dashboard_messages::insert(tx, key, conversation, text, outcome).await? else {
        return Ok(None);
    };
    match command {
        PersonCommand::EndBrowserSession => {
            let job = NewJob::of(&EndBrowserSession { conversation, message });
            tx.enqueue(job.lane(lanes::dashboard_browser(conversation))).await?;
        }
        PersonCommand::Stop(_) => {
            let outcome = MessageOutcome::Keyword;
            dashboard_messages::answer(tx, conversation, message, outcome, texts::STOP_IN_DASHBOARD).await?;
        }
        _ => debounce::enqueue_answer(tx, &settings.agent, conversation, message).await?,
    }
    Ok(Some(message))
}
