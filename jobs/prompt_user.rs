//! Has the agent say something to a user at a slot, and sends it.
//!
//! Enqueued by `run_duty`, in a pool of its own, so that a large audience keeps nobody waiting who chats, and without a lane: one that backs off
//! holds nothing. It never runs beside a chat turn of the same conversation. The words go into the conversation, and with their copy's delivery
//! go its `send_chunk`s. It may run twice: a user whose part has ended is left alone. When it gives up, `close_prompt` follows. An
//! administrator's retry enqueues one that may outlast its slot.

use std::time::Duration;

use agent::turn::{Channel, Part, Reply, TurnRequest};
use chrono::Utc;
use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::slots::{self, Slot};
use store::turns::Turn;

use crate::agents::{self, UsersAgent};
use crate::app::App;
use crate::close_prompt::ClosePrompt;
use crate::close_slot;
use crate::proactive::standings;
use crate::run_duty;
use crate::schedules::definition::Definition;
use crate::turns;

/// The slot, and the user to ask for.
#[derive(Debug, Serialize, Deserialize)]
pub struct PromptUser {
    /// `channel_slots.id`.
    pub slot: i64,
    /// `channel_users.id`.
    pub user: String,
    /// An administrator's retry, which the end of the slot does not stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Why nothing was said to somebody who was erased meanwhile.
const GONE: &str = "the user was erased";

/// A chat turn is waited for like this.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

impl Job for PromptUser {
    type App = App;

    const KIND: &'static str = "prompt_user";
    const POOL: &'static str = "prompts";
    const MAX_ATTEMPTS: u16 = 3;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(60));
    const ON_END: Option<(&'static str, &'static str)> = Some((ClosePrompt::KIND, ClosePrompt::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let Some(Opened { slot, definition, turn, agent, prompt }) = self.open_turn(&app).await? else {
            return Ok(());
        };
        let request = TurnRequest {
            conversation_id: turns::session_key(turn.conversation_id),
            channel: Channel::Whatsapp,
            parts: vec![Part::Text(prompt)],
            timeout: app.settings.agent_timeout,
        };
        let said = match agent {
            Ok(agent) => agent.send_to_openclaw(&request).await,
            Err(error) => Err(error),
        };
        let mut tx = app.begin().await?;
        store::links::lock_of_users(&mut tx, &[&self.user]).await?;
        store::conversations::lock(&mut tx, turn.conversation_id).await?;
        let silent = "the agent chose to stay silent";
        match said {
            Ok(Reply::Text(text)) => {
                if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                    self.say(&app, &mut tx, &slot, &definition, text).await?;
                } else if store::users::get(&mut tx, &self.user).await?.is_some() {
                    // Somebody wrote and was not kept waiting any longer; it begins anew.
                    tx.commit().await?;
                    return Err(Failure::retry("its turn was ended while the agent worked"));
                }
                // Whatever has not ended it: nobody is left to be written to, and the slot must not wait for ever.
                slots::end_asked(&mut tx, slot.id, &self.came_to("empty", GONE)).await?;
            }
            Ok(Reply::Silent) => {
                store::turns::finish_silent(&mut tx, turn.id).await?;
                slots::end_asked(&mut tx, slot.id, &self.came_to("empty", silent)).await?;
            }
            Err(error) => {
                let reason = error.to_string();
                // Until the next attempt it holds nothing: the person may chat.
                store::turns::fail(&mut tx, turn.id, &reason).await?;
                if !claim.is_last_attempt() {
                    tx.commit().await?;
                    return Err(error.into());
                }
                slots::end_asked(&mut tx, slot.id, &self.came_to("agent_failed", &reason)).await?;
            }
        }
        close_slot::close_if_done(&app, &mut tx, slot.id, None).await?;
        claim.complete(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A turn to run.
struct Opened {
    slot: Slot,
    definition: Definition,
    turn: Turn,
    agent: UsersAgent,
    prompt: String,
}

impl PromptUser {
    /// The turn to run, committed before the agent is called; no other runs in this conversation meanwhile. `None`: this part has ended.
    async fn open_turn(&self, app: &App) -> Result<Option<Opened>, Failure> {
        let mut tx = app.begin().await?;
        let Some(user) = store::users::get(&mut tx, &self.user).await? else {
            slots::end_asked(&mut tx, self.slot, &self.came_to("empty", GONE)).await?;
            close_slot::close_if_done(app, &mut tx, self.slot, None).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let conversation = store::conversations::of_user(&mut tx, &self.user).await?;
        store::conversations::lock(&mut tx, conversation).await?;
        let slot = slots::get(&mut tx, self.slot).await?.filter(|slot| self.again || slot.state == "open");
        let Some(slot) = slot else { return Ok(None) };
        if !slots::is_asked(&mut tx, self.slot, &self.user).await? {
            return Ok(None);
        }
        let definition: Definition = serde_json::from_value(slot.definition.clone())
            .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
        let agent = agents::of_user(app, &mut tx, Some(&self.user)).await?;
        let name = agents::name(&agent);
        let Some(turn) = store::turns::begin_of_slot(&mut tx, conversation, &name, self.slot).await? else {
            return Err(Failure::Snooze(CHAT_PAUSE));
        };
        tx.commit().await?;
        let prompt = definition.content.prompt.as_deref().unwrap_or_default();
        let prompt = run_duty::filled(slot.moment, &definition, &user, prompt);
        Ok(Some(Opened { slot, definition, turn, agent, prompt }))
    }

    /// Plans the copy to WhatsApp. The caller holds the lock of the person.
    async fn say(
        &self,
        app: &App,
        tx: &mut Transaction,
        slot: &Slot,
        definition: &Definition,
        text: String,
    ) -> Result<(), Failure> {
        let standings = standings::read(tx, &app.settings, &[&self.user], Utc::now()).await?;
        let Some(standing) = standings.get(&self.user) else { return Ok(()) };
        let said = [(&standing.user, text)];
        for part in run_duty::say(tx, &standings, slot, definition, &said).await? {
            slots::end_asked(tx, slot.id, &part).await?;
        }
        Ok(())
    }

    fn came_to<'a>(&'a self, outcome: &'a str, reason: &'a str) -> slots::Part<'a> {
        slots::Part { user_id: &self.user, outcome, reason: Some(reason), delivery_id: None }
    }
}
