//! Has the agent say something to a user at a slot, and sends it.
//!
//! Enqueued by `run_duty`, in a pool of its own, so that a large audience keeps nobody waiting who chats, and without a lane: one that backs off
//! holds nobody up. It never runs beside a chat turn of the same conversation. The words go into the conversation, and with their copy's delivery
//! go its `send_chunk`s. It may run twice: a user whose part has ended is left alone. An agent that is away or wants us to wait is asked again until
//! what it says would come too late; one that fails, as often as for a person. When the job gives up, `close_prompt` follows. An administrator's
//! retry enqueues one that may outlast its slot.

use std::time::Duration;

use agent::error::AgentError;
use agent::turn::{AgentAnswer, Reply};
use channel::app::App;
use channel::conversation::agent_failures::{self, FailureMeaning};
use channel::conversation::agent_health::{self, AgentIdentity};
use channel::conversation::agents::{self, UsersAgent};
use channel::conversation::request;
use channel::conversation::turn_budget::TurnBudget;
use channel::conversation::unsaved_replies::{self, UnsavedReply};
use channel::conversation::visible_answers::visible;
use channel::conversation::withheld;
use channel::kinds::PromptUser;
use channel::outbound::proactive::eligibility;
use channel::schedules::definition::Definition;
use channel::schedules::duty;
use channel::schedules::ending;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::transaction::Transaction;
use store::slot_users::{self, PartOutcome, UserPart};
use store::slots::{self, Slot, SlotState};
use store::turns::{OfSlot, Turn};

/// Why nothing was said to somebody who was erased meanwhile.
const GONE: &str = "the user was erased";

/// A chat turn is waited for like this.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

/// Runs a job of this kind.
pub async fn run(job: PromptUser, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(opened) = open_turn(&job, &app).await? else { return Ok(()) };
    let OpenedPrompt { asked, agent, prompt, in_hand } = opened;
    let answer = match in_hand {
        Some(answer) => answer,
        None => {
            let answered = match agent.usable() {
                Ok(agent) => {
                    // The runs before this one may have been of other turns.
                    let is_again = asked.runs > 1;
                    let request = request::of_prompt(&app, &agent, &asked.turn, prompt, is_again).await?;
                    agents::ask(&agent, &request).await
                }
                Err(error) => Err(error),
            };
            let format = asked.definition.content.format(app.settings.agent.format);
            match answered.and_then(|answer| visible(answer, format)) {
                Ok(answer) => answer,
                Err(error) => return fail(&job, &app, &attempt, &asked, error).await,
            }
        }
    };
    let in_hand = UnsavedReply::hold(&app, &asked.turn, &answer);
    in_hand.settle(store(&job, &app, &attempt, &asked, answer).await)
}

/// What a slot asks of the agent.
struct Asked {
    slot: Slot,
    definition: Definition,
    turn: Turn,
    /// Who is asked, for its outages.
    identity: AgentIdentity,
    /// Calls of the agent for this user that were counted, this one included.
    runs: i32,
}

/// A turn to run.
struct OpenedPrompt {
    asked: Asked,
    agent: UsersAgent,
    prompt: String,
    /// What the agent has said already, and nobody could store.
    in_hand: Option<AgentAnswer>,
}

/// Stores the reply, plans its copy and ends the job, together.
async fn store(
    job: &PromptUser,
    app: &App,
    attempt: &Attempt,
    asked: &Asked,
    answer: AgentAnswer,
) -> Result<(), Failure> {
    let Asked { slot, definition, turn, identity, .. } = asked;
    let mut tx = lock(job, app, turn).await?;
    agent_health::note_answer(app, &mut tx, identity).await?;
    withheld::note(&mut tx, turn.id, &answer.withheld).await?;
    match answer.reply {
        Reply::Text(text) => {
            if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                say(job, app, &mut tx, slot, definition, text).await?;
            } else if store::users::get(&mut tx, &job.user).await?.is_some() {
                // Somebody wrote and was not kept waiting any longer; it begins anew.
                tx.commit().await?;
                return Err(Failure::retry("its turn was ended while the agent worked"));
            }
            // Whatever has not ended it: nobody is left to be written to, and the slot must not wait for ever.
            slot_users::end_asked(&mut tx, slot.id, &came_to(job, PartOutcome::Empty, GONE)).await?;
        }
        Reply::Silent => {
            store::turns::finish_silent(&mut tx, turn.id).await?;
            let silent = "the agent chose to stay silent";
            slot_users::end_asked(&mut tx, slot.id, &came_to(job, PartOutcome::Empty, silent)).await?;
        }
    }
    end(app, attempt, tx, slot).await
}

/// What a failed call means: again after a while, or, where no other is to be made in the slot's time, the end of this user's part.
async fn fail(
    job: &PromptUser,
    app: &App,
    attempt: &Attempt,
    asked: &Asked,
    error: AgentError,
) -> Result<(), Failure> {
    let Asked { slot, definition, turn, identity, runs } = asked;
    let reason = error.to_string();
    let mut tx = lock(job, app, turn).await?;
    let meaning = agent_failures::meaning(&error);
    let began = meaning != FailureMeaning::NotBegun;
    if !began {
        slot_users::count_run(&mut tx, slot.id, &job.user, true).await?;
    }
    let now_is = store::turns::running(&mut tx, turn.conversation_id).await?;
    if now_is.is_none_or(|now_is| (now_is.id, now_is.calls) != (turn.id, turn.calls)) {
        // Somebody wrote and was not kept waiting any longer, or our lease was lost; it begins anew.
        tx.commit().await?;
        return Err(error.into());
    }
    let tries = store::agent_calls::end(&mut tx, turn, &reason).await?;
    let pause = agent_failures::pause(&error, if began { *runs } else { tries });
    let ends_at = duty::expires_at(slot, definition);
    let budget = TurnBudget::until(&mut tx, &app.settings.agent, turn, ends_at).await?;
    let is_last = match meaning {
        FailureMeaning::NotBegun => false,
        FailureMeaning::Passing => *runs >= i32::from(app.settings.agent.attempts),
        FailureMeaning::Lasting => true,
    };
    if !is_last && pause < budget.left() {
        // The turn holds nobody up meanwhile: the person may chat.
        store::agent_calls::put_off(&mut tx, turn, !began, pause.as_secs_f64()).await?;
        agent_health::note_wait(app, &mut tx, identity, &budget, &error).await?;
        tx.commit().await?;
        tracing::info!(
            turn.id = turn.id.0,
            "The prompt of turn {} asks again in {pause:?}: {error}",
            turn.id
        );
        return Err(Failure::Snooze(pause));
    }
    if let Some(trouble) = agent_health::trouble(&error) {
        agent_health::raise(app, &mut tx, identity, trouble, &reason).await?;
    }
    store::turns::fail(&mut tx, turn.id, &reason).await?;
    slot_users::end_asked(&mut tx, slot.id, &came_to(job, PartOutcome::AgentFailed, &reason)).await?;
    end(app, attempt, tx, slot).await
}

async fn lock(job: &PromptUser, app: &App, turn: &Turn) -> sqlx::Result<Transaction> {
    let mut tx = app.begin().await?;
    store::links::lock_of_users(&mut tx, &[&job.user]).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    Ok(tx)
}

/// The turn to run, committed before the agent is called; no other runs in this conversation meanwhile. `None`: this part has ended.
async fn open_turn(job: &PromptUser, app: &App) -> Result<Option<OpenedPrompt>, Failure> {
    let mut tx = app.begin().await?;
    let Some(user) = store::users::get(&mut tx, &job.user).await? else {
        slot_users::end_asked(&mut tx, job.slot, &came_to(job, PartOutcome::Empty, GONE)).await?;
        ending::close_if_done(app, &mut tx, job.slot, None).await?;
        tx.commit().await?;
        return Ok(None);
    };
    let conversation = store::conversations::of_user(&mut tx, &job.user).await?;
    store::conversations::lock(&mut tx, conversation).await?;
    let slot = slots::get(&mut tx, job.slot).await?.filter(|slot| job.again || slot.state == SlotState::Open);
    let Some(slot) = slot else { return Ok(None) };
    let Some(runs) = slot_users::runs_of_asked(&mut tx, job.slot, &job.user).await? else { return Ok(None) };
    let definition: Definition = serde_json::from_value(slot.definition.clone())
        .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
    let agent = agents::of_user(app, &mut tx, Some(&job.user)).await?;
    let identity = agent.identity(conversation);
    let begun = store::turns::begin_of_slot(&mut tx, conversation, &agent.name(), job.slot).await?;
    let (turn, in_hand, is_new) = match begun {
        OfSlot::Busy => return Err(Failure::Snooze(CHAT_PAUSE)),
        OfSlot::Begun(turn) => (turn, None, true),
        OfSlot::LeftBehind(turn) => {
            let in_hand = unsaved_replies::of(app, &mut tx, &turn).await?;
            (turn, in_hand, false)
        }
    };
    if in_hand.is_some() {
        tx.commit().await?;
        let asked = Asked { slot, definition, turn, identity, runs };
        return Ok(Some(OpenedPrompt { asked, agent, prompt: String::new(), in_hand }));
    }
    if runs >= i32::from(app.settings.agent.attempts) {
        // The last call was cut short, by a crash or a lost lease.
        let reason = store::agent_calls::last_error(&mut tx, turn.id).await?;
        let reason = reason.as_deref().unwrap_or(agent_failures::CUT_SHORT);
        store::turns::fail(&mut tx, turn.id, reason).await?;
        slot_users::end_asked(&mut tx, slot.id, &came_to(job, PartOutcome::AgentFailed, reason)).await?;
        ending::close_if_done(app, &mut tx, slot.id, None).await?;
        tx.commit().await?;
        return Ok(None);
    }
    let ends_at = duty::expires_at(&slot, &definition);
    let budget = TurnBudget::until(&mut tx, &app.settings.agent, &turn, ends_at).await?;
    if let Some(pause) = budget.pause() {
        tx.commit().await?;
        return Err(Failure::Snooze(pause));
    }
    slot_users::count_run(&mut tx, slot.id, &job.user, false).await?;
    let turn = if is_new { turn } else { store::agent_calls::count(&mut tx, turn.id).await? };
    tx.commit().await?;
    let prompt = definition.content.prompt.as_deref().unwrap_or_default();
    let prompt = duty::filled(slot.moment, &definition, &user, prompt);
    Ok(Some(OpenedPrompt {
        asked: Asked { slot, definition, turn, identity, runs: runs + 1 },
        agent,
        prompt,
        in_hand: None,
    }))
}

/// Plans the copy to WhatsApp. The caller holds the lock of the person.
async fn say(
    job: &PromptUser,
    app: &App,
    tx: &mut Transaction,
    slot: &Slot,
    definition: &Definition,
    text: String,
) -> Result<(), Failure> {
    let eligibilities = eligibility::read(tx, &app.settings, &[&job.user]).await?;
    let Some(eligibility) = eligibilities.get(&job.user) else { return Ok(()) };
    let said = [(&eligibility.user, duty::marked(slot, text))];
    for part in duty::say(tx, &app.settings, &eligibilities, slot, definition, &said).await? {
        slot_users::end_asked(tx, slot.id, &part).await?;
    }
    Ok(())
}

fn came_to<'a>(job: &'a PromptUser, outcome: PartOutcome, reason: &'a str) -> UserPart<'a> {
    UserPart { user_id: &job.user, outcome, reason: Some(reason), delivery_id: None }
}

/// Ends the job with what was written before.
async fn end(app: &App, attempt: &Attempt, mut tx: Transaction, slot: &Slot) -> Result<(), Failure> {
    ending::close_if_done(app, &mut tx, slot.id, None).await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
