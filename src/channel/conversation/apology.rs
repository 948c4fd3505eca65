//! The apology for a turn that came to nothing.

use queue::transaction::Transaction;
use store::agent_outages::AgentTrouble;
use store::apologies::NoApology;
use store::messages::ChannelName;
use store::turns::Turn;
use whatsapp_text::text::WhatsappText;

use super::agent_health::{self, AgentIdentity};
use super::replies;
use crate::app::App;
use crate::texts;
use crate::write_error::WriteError;

/// Why a turn came to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// In words.
    pub reason: &'a str,
    /// The agent, and what is wrong with it; `None`: it was not the agent's fault.
    pub agent: Option<(&'a AgentIdentity, AgentTrouble)>,
}

/// Ends a running turn as failed and plans the apology, in the caller's transaction. A person reads one in an outage of the agent, and none for a turn
/// that was tried again by hand. A turn that has ended is left alone. The caller holds the locks of the person and the conversation.
pub async fn apologise(
    app: &App,
    tx: &mut Transaction,
    turn: &Turn,
    cause: Cause<'_>,
) -> Result<(), WriteError> {
    let Cause { reason, agent } = cause;
    let outage_id = match agent {
        Some((agent, trouble)) => agent_health::note_failure(app, tx, agent, trouble, reason).await?,
        None => None,
    };
    let no_apology = match outage_id {
        _ if turn.retry_of.is_some() => Some(NoApology::Retried),
        Some(outage_id)
            if turn.channel == ChannelName::Whatsapp
                && store::apologies::was_apologised_for(tx, turn.conversation_id, outage_id).await? =>
        {
            Some(NoApology::SameOutage)
        }
        _ => None,
    };
    store::apologies::note_failure(tx, turn.id, outage_id, no_apology).await?;
    if store::turns::fail(tx, turn.id, reason).await? {
        tracing::error!(turn.id = turn.id.0, "Gave up turn {}: {reason}", turn.id);
        if no_apology.is_none() {
            let messages = store::messages::of_turn(tx, turn.id).await?;
            let apology = WhatsappText::as_written(texts::APOLOGY);
            replies::plan_converted(&app.settings, tx, turn, &messages, &apology).await?;
        }
    }
    Ok(())
}
