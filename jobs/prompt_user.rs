//! Has the agent say something to a user at a slot, and sends it.
//!
//! Enqueued by `run_duty`, in a pool of its own, so that a large audience keeps nobody waiting who chats, and without a lane: one that backs off
//! holds nothing. It never runs beside a chat turn of the same conversation. The words go into the conversation, and with their copy's delivery
//! go its `send_chunk`s. It may run twice: a user whose part has ended is left alone. When it gives up, `close_prompt` follows. An
//! administrator's retry enqueues one that may outlast its slot.

use std::time::Duration;

use agent::error::AgentError;
use agent::turn::{Channel, Part, Reply, TurnRequest};
use queue::backoff::Backoff;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{FollowUp, Job};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use store::ids::SlotId;
use store::slots::{self, PartOutcome, Slot, SlotState};
use store::turns::{OfSlot, Turn};

use crate::agents::{self, UsersAgent};
use crate::app::App;
use crate::close_prompt::ClosePrompt;
use crate::close_slot;
use crate::proactive::standings;
use crate::run_duty;
use crate::schedules::definition::Definition;
use crate::turns::in_hand::InHand;
use crate::turns::{self, in_hand};

/// The slot, and the user to ask for.
#[derive(Debug, Serialize, Deserialize)]
pub struct PromptUser {
    /// `channel_slots.id`.
    pub slot: SlotId,
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
    const KIND: &'static str = "prompt_user";
    const POOL: &'static str = "prompts";
    const MAX_ATTEMPTS: u16 = 3;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<ClosePrompt>());
}

/// Does the work.
pub async fn run(job: PromptUser, app: App, claim: Claim) -> Result<(), Failure> {
    let Some(opened) = job.open_turn(&app).await? else { return Ok(()) };
    let Opened { asked, agent, prompt, in_hand } = opened;
    let reply = match in_hand {
        Some(reply) => reply,
        None => match ask(&app, &asked.turn, agent, prompt).await {
            Ok(reply) => reply,
            Err(error) => return job.fail(&app, &claim, &asked, error).await,
        },
    };
    let in_hand = InHand::hold(&app, &asked.turn, &reply);
    in_hand.settle(job.store(&app, &claim, &asked, reply).await)
}

async fn ask(app: &App, turn: &Turn, agent: UsersAgent, prompt: String) -> Result<Reply, AgentError> {
    let request = TurnRequest {
        conversation_id: turns::session_key(app, turn.conversation_id),
        channel: Channel::Whatsapp,
        parts: vec![Part::Text(prompt)],
        timeout: app.settings.agent_timeout,
    };
    agent?.send_to_openclaw(&request).await
}

/// What a slot asks of the agent.
struct Asked {
    slot: Slot,
    definition: Definition,
    turn: Turn,
}

/// A turn to run.
struct Opened {
    asked: Asked,
    agent: UsersAgent,
    prompt: String,
    /// What the agent has said already, and nobody could store.
    in_hand: Option<Reply>,
}

impl PromptUser {
    /// Stores the reply, plans its copy and ends the job, together.
    async fn store(&self, app: &App, claim: &Claim, asked: &Asked, reply: Reply) -> Result<(), Failure> {
        let Asked { slot, definition, turn } = asked;
        let mut tx = self.lock(app, turn).await?;
        match reply {
            Reply::Text(text) => {
                if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                    self.say(app, &mut tx, slot, definition, text).await?;
                } else if store::users::get(&mut tx, &self.user).await?.is_some() {
                    // Somebody wrote and was not kept waiting any longer; it begins anew.
                    tx.commit().await?;
                    return Err(Failure::retry("its turn was ended while the agent worked"));
                }
                // Whatever has not ended it: nobody is left to be written to, and the slot must not wait for ever.
                slots::end_asked(&mut tx, slot.id, &self.came_to(PartOutcome::Empty, GONE)).await?;
            }
            Reply::Silent => {
                store::turns::finish_silent(&mut tx, turn.id).await?;
                let silent = "the agent chose to stay silent";
                slots::end_asked(&mut tx, slot.id, &self.came_to(PartOutcome::Empty, silent)).await?;
            }
        }
        end(app, claim, tx, slot).await
    }

    /// What a failed call means: again after a while, or, after the last one, the end of this user's part.
    async fn fail(&self, app: &App, claim: &Claim, asked: &Asked, error: AgentError) -> Result<(), Failure> {
        let mut tx = self.lock(app, &asked.turn).await?;
        let reason = error.to_string();
        // Until the next attempt it holds nothing: the person may chat.
        store::turns::fail(&mut tx, asked.turn.id, &reason).await?;
        if !claim.is_last_attempt() {
            tx.commit().await?;
            return Err(error.into());
        }
        slots::end_asked(&mut tx, asked.slot.id, &self.came_to(PartOutcome::AgentFailed, &reason)).await?;
        end(app, claim, tx, &asked.slot).await
    }

    async fn lock(&self, app: &App, turn: &Turn) -> sqlx::Result<Transaction> {
        let mut tx = app.begin().await?;
        store::links::lock_of_users(&mut tx, &[&self.user]).await?;
        store::conversations::lock(&mut tx, turn.conversation_id).await?;
        Ok(tx)
    }

    /// The turn to run, committed before the agent is called; no other runs in this conversation meanwhile. `None`: this part has ended.
    async fn open_turn(&self, app: &App) -> Result<Option<Opened>, Failure> {
        let mut tx = app.begin().await?;
        let Some(user) = store::users::get(&mut tx, &self.user).await? else {
            slots::end_asked(&mut tx, self.slot, &self.came_to(PartOutcome::Empty, GONE)).await?;
            close_slot::close_if_done(app, &mut tx, self.slot, None).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let conversation = store::conversations::of_user(&mut tx, &self.user).await?;
        store::conversations::lock(&mut tx, conversation).await?;
        let slot =
            slots::get(&mut tx, self.slot).await?.filter(|slot| self.again || slot.state == SlotState::Open);
        let Some(slot) = slot else { return Ok(None) };
        if !slots::is_asked(&mut tx, self.slot, &self.user).await? {
            return Ok(None);
        }
        let definition: Definition = serde_json::from_value(slot.definition.clone())
            .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
        let agent = agents::of_user(app, &mut tx, Some(&self.user)).await?;
        let name = agents::name(&agent);
        let (turn, in_hand) =
            match store::turns::begin_of_slot(&mut tx, conversation, &name, self.slot).await? {
                OfSlot::Busy => return Err(Failure::Snooze(CHAT_PAUSE)),
                OfSlot::Begun(turn) => (turn, None),
                OfSlot::LeftBehind(turn) => match in_hand::of(app, &mut tx, &turn).await? {
                    Some(reply) => (turn, Some(reply)),
                    None => (store::turns::count_attempt(&mut tx, turn.id).await?, None),
                },
            };
        tx.commit().await?;
        let prompt = definition.content.prompt.as_deref().unwrap_or_default();
        let prompt = run_duty::filled(slot.moment, &definition, &user, prompt);
        Ok(Some(Opened { asked: Asked { slot, definition, turn }, agent, prompt, in_hand }))
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
        let standings = standings::read(tx, &app.settings, &[&self.user]).await?;
        let Some(standing) = standings.get(&self.user) else { return Ok(()) };
        let said = [(&standing.user, text)];
        for part in run_duty::say(tx, &standings, slot, definition, &said).await? {
            slots::end_asked(tx, slot.id, &part).await?;
        }
        Ok(())
    }

    fn came_to<'a>(&'a self, outcome: PartOutcome, reason: &'a str) -> slots::UserPart<'a> {
        slots::UserPart { user_id: &self.user, outcome, reason: Some(reason), delivery_id: None }
    }
}

/// Ends the job with what was written before.
async fn end(app: &App, claim: &Claim, mut tx: Transaction, slot: &Slot) -> Result<(), Failure> {
    close_slot::close_if_done(app, &mut tx, slot.id, None).await?;
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
