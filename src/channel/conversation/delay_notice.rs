//! The word to a person who waits that the answer takes longer: once for a turn, while it runs.
//!
//! It is said beside a call of the agent and between two of them. The turn's row says whether it was: it is written with the notice's delivery, so
//! neither a crash nor two processes at a turn say it twice. Nobody is told about a prompt, a question from the dashboard alone, or a turn that an
//! administrator tries again, for which nobody waits any more; nor a person who has read an apology in an outage of the agent that still lasts.

use std::time::Duration;

use queue::transaction::Transaction;
use store::messages::Said;
use store::turns::Turn;
use tokio::task::JoinHandle;

use super::turn_budget::TurnBudget;
use crate::app::App;
use crate::outbound::notices::{self, Notice};
use crate::texts;
use crate::write_error::WriteError;

/// After a failure the database is asked again this much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Says it when it is due, unless this is dropped before.
pub struct DelayNotice(Option<JoinHandle<()>>);

impl Drop for DelayNotice {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            waiting.abort();
        }
    }
}

/// Says it when it is due while a call of the agent is under way.
pub fn when_due(app: &App, turn: &Turn, budget: &TurnBudget) -> DelayNotice {
    let Some(after) = budget.notice_in() else { return DelayNotice(None) };
    let (app, turn) = (app.clone(), turn.clone());
    DelayNotice(Some(tokio::spawn(async move {
        tokio::time::sleep(after).await;
        while let Err(error) = tell_in_a_transaction(&app, &turn).await {
            tracing::warn!(turn.id = turn.id.0, error = %error, "Turn {} takes longer, and nobody could be told: {error}", turn.id);
            tokio::time::sleep(AGAIN).await;
        }
    })))
}

async fn tell_in_a_transaction(app: &App, turn: &Turn) -> Result<(), WriteError> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    tell(app, &mut tx, turn).await?;
    tx.commit().await?;
    Ok(())
}

/// Plans the notice in the caller's transaction, which holds the locks of the person and the conversation. A turn that has ended, or that was
/// told of, is left alone.
pub async fn tell(app: &App, tx: &mut Transaction, turn: &Turn) -> Result<(), WriteError> {
    if !store::turns::note_told(tx, turn.id).await? {
        return Ok(());
    }
    // It would be a promise after an apology, and if the turn fails too, nobody says so.
    if store::apologies::is_in_outage(tx, turn).await? {
        return Ok(());
    }
    let messages = store::messages::of_turn(tx, turn.id).await?;
    let Some(address_id) = messages.iter().rev().find_map(|said: &Said| said.address_id) else {
        return Ok(());
    };
    let notice = Notice {
        address_id,
        message_id: None,
        conversation_id: Some(turn.conversation_id),
        // Later it would be untrue.
        expires_at: turn.started_at + app.settings.agent.turn_budget,
        text: texts::DELAYED,
        urgent: false,
    };
    notices::tell(tx, notice).await?;
    tracing::info!(turn.id = turn.id.0, "Told the person that turn {} takes longer", turn.id);
    Ok(())
}
