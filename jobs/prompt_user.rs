//! Has the agent say something to a user at a slot, and sends it.
//!
//! Enqueued by `run_duty`, without a lane: one that backs off holds nothing. It never runs beside a chat turn of the same conversation. The words
//! go into the conversation, and with their copy's delivery go its `send_chunk`s. It may run twice: a user whose part has ended is left alone.

use std::time::Duration;

use agent::turn::{Channel, Part, Reply, TurnRequest};
use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use serde::{Deserialize, Serialize};
use store::slots;

use crate::answer;
use crate::app::App;
use crate::close_prompt::ClosePrompt;
use crate::close_slot;
use crate::run_duty;
use crate::schedules::definition::Definition;

/// The slot, and the user to ask for.
#[derive(Debug, Serialize, Deserialize)]
pub struct PromptUser {
    /// `channel_slots.id`.
    pub slot: i64,
    /// `channel_users.id`.
    pub user: String,
}

/// A chat turn is waited for like this.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

impl Job for PromptUser {
    type App = App;

    const KIND: &'static str = "prompt_user";
    const POOL: &'static str = "conversation";
    const MAX_ATTEMPTS: u16 = 3;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(60));
    const ON_END: Option<(&'static str, &'static str)> = Some((ClosePrompt::KIND, ClosePrompt::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let mut tx = app.begin().await?;
        let Some(slot) = slots::lock(&mut tx, self.slot).await?.filter(|slot| slot.state == "open") else {
            return Ok(());
        };
        let definition: Definition = serde_json::from_value(slot.definition.clone())
            .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
        let conversation = store::conversations::of_user(&mut tx, &self.user).await?;
        if store::turns::running(&mut tx, conversation).await?.is_some() {
            tx.commit().await?;
            return Err(Failure::Snooze(CHAT_PAUSE));
        }
        let prompt = definition.content.prompt.as_deref().unwrap_or_default();
        let prompt = run_duty::filled(&mut tx, slot.moment, &definition, &self.user, prompt).await?;
        tx.commit().await?;
        let turn = TurnRequest {
            conversation_id: answer::session_key(conversation),
            channel: Channel::Whatsapp,
            parts: vec![Part::Text(prompt)],
            timeout: app.settings.agent_timeout,
        };
        let said = app.agent.send_to_openclaw(&turn).await;
        let mut tx = app.begin().await?;
        store::links::lock_of_user(&mut tx, &self.user).await?;
        match said {
            Ok(Reply::Text(text)) => {
                run_duty::say(&app, &mut tx, &slot, &definition, &self.user, &text).await?
            }
            Ok(Reply::Silent) => {
                slots::end_user(
                    &mut tx,
                    slot.id,
                    &self.user,
                    "empty",
                    Some("the agent chose to stay silent"),
                    None,
                )
                .await?;
            }
            Err(error) if claim.is_last_attempt() => {
                let reason = error.to_string();
                slots::end_user(&mut tx, slot.id, &self.user, "agent_failed", Some(&reason), None).await?;
            }
            Err(error) => return Err(error.into()),
        }
        close_slot::close_if_done(&app, &mut tx, slot.id).await?;
        claim.complete(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
