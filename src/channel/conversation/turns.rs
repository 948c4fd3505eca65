//! Turns of the agent with a person: which one is run, and with which messages.

use std::time::Duration;

use queue::failure::Failure;
use store::agent_outages::AgentTrouble;
use store::ids::MessageId;
use store::messages::Said;
use store::turns::Turn;
use tokio::time::Instant;

use super::agent_health::AgentIdentity;
use super::agents::{self, UsersAgent};
use super::apology::{Cause, apologise};
use super::turn_budget::TurnBudget;
use super::{agent_failures, debounce, delay_notice, typing, unsaved_replies};
use crate::app::App;
use crate::kinds::Answer;

/// After the time for a run and this much more, a schedule's prompt has been left behind.
const PROMPT_GRACE: Duration = Duration::from_secs(30);

/// A schedule's prompt is waited for like this.
const PROMPT_PAUSE: Duration = Duration::from_millis(500);

/// A turn to run.
pub struct OpenedTurn {
    /// The turn.
    pub turn: Turn,
    /// Who is asked.
    pub agent: UsersAgent,
    /// The same, for its outages.
    pub identity: AgentIdentity,
    /// What is answered.
    pub messages: Vec<Said>,
    /// The time for it.
    pub budget: TurnBudget,
    /// What the agent has said already, and nobody could store.
    pub in_hand: Option<agent::turn::AgentAnswer>,
    /// A person of the operator's has answered in this conversation of late.
    pub was_answered_by_hand: bool,
}

/// The turn to run: the one that a crash or a failed call left behind, or a new one with every unanswered message. `None`:
/// somebody's turn has this message already. It is committed before the agent is called, so that a second call is always seen as
/// such.
pub async fn open(app: &App, job: &Answer) -> Result<Option<OpenedTurn>, Failure> {
    let begun = Instant::now();
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, job.conversation).await?;
    store::conversations::lock(&mut tx, job.conversation).await?;
    let owner = store::conversations::owner(&mut tx, job.conversation).await?;
    let user = owner.as_ref().and_then(|owner| owner.user_id.as_ref());
    let was_answered_by_hand = owner.as_ref().is_some_and(|owner| owner.was_answered_by_hand);
    let agent = agents::of_user(app, &mut tx, user).await?;
    let identity = agent.identity(job.conversation);
    let running = store::turns::running(&mut tx, job.conversation).await?;
    if let Some(turn) = running.as_ref().filter(|turn| turn.slot_id.is_some()) {
        let at_most = app.settings.agent.timeout + PROMPT_GRACE;
        let is_held_up = turn.is_prompt_at_rest()
            || store::agent_calls::is_left_behind(&mut tx, turn, at_most.as_secs_f64()).await?;
        if !is_held_up {
            // A schedule's prompt is at work; its own job ends it.
            tx.commit().await?;
            return Err(Failure::Snooze(PROMPT_PAUSE));
        }
        // No call is under way: its job waits to be tried again, or its pool is paused. It will begin anew.
        store::turns::fail(&mut tx, turn.id, "its job was held up, and somebody wrote").await?;
    }
    if let Some(turn) = running.filter(|turn| turn.slot_id.is_none()) {
        let in_hand = unsaved_replies::of(app, &mut tx, &turn).await?;
        let mut budget = TurnBudget::of(&mut tx, &app.settings.agent, &turn).await?;
        if budget.is_over() {
            // No process was there to ask again in time. That was no fault of the agent's, and the person still has no answer.
            budget = budget.extended(app.settings.agent.timeout);
        }
        if in_hand.is_some() || turn.calls < i32::from(app.settings.agent.attempts) {
            if in_hand.is_none()
                && let Some(pause) = budget.pause()
            {
                let is_notice_due = budget.notice_in() == Some(Duration::ZERO);
                if is_notice_due {
                    delay_notice::tell(app, &mut tx, &turn).await?;
                }
                let messages = store::messages::of_turn(&mut tx, turn.id).await?;
                tx.commit().await?;
                typing::show_once(app, &messages);
                let idle = if is_notice_due { pause } else { budget.idle_for(pause) };
                return Err(Failure::Snooze(typing::idle_for(app, &turn, idle)));
            }
            let turn = match in_hand {
                Some(_) => turn,
                None => store::agent_calls::count(&mut tx, turn.id).await?,
            };
            let messages = store::messages::of_turn(&mut tx, turn.id).await?;
            tx.commit().await?;
            return Ok(Some(OpenedTurn {
                turn,
                agent,
                identity,
                messages,
                budget,
                in_hand,
                was_answered_by_hand,
            }));
        }
        // Its last call was cut short, by a crash or a lost lease, before anybody could apologise.
        let failed = store::agent_calls::last_error(&mut tx, turn.id).await?;
        let reason = failed.as_deref().unwrap_or(agent_failures::CUT_SHORT);
        let trouble = failed.as_ref().map(|_| (&identity, AgentTrouble::Failing));
        apologise(app, &mut tx, &turn, Cause { reason, agent: trouble }).await?;
    }
    if owner.is_some_and(|owner| owner.is_taken_over) {
        // A person answers, or the end of the takeover enqueues this anew; a failed turn stays as it is, and can be tried again by hand.
        tx.commit().await?;
        return Ok(None);
    }
    if let Some(failed) = job.retry_of {
        let turn = store::turns::begin_again(&mut tx, failed, &agent.name()).await?;
        let Some(turn) = turn else {
            tx.commit().await?;
            return Ok(None);
        };
        let messages = store::messages::of_turn(&mut tx, turn.id).await?;
        let budget = TurnBudget::of_new(begun, &app.settings.agent, &turn);
        tx.commit().await?;
        return Ok(Some(OpenedTurn {
            turn,
            agent,
            identity,
            messages,
            budget,
            in_hand: None,
            was_answered_by_hand,
        }));
    }
    let messages = store::messages::unanswered(&mut tx, job.conversation).await?;
    if !messages.iter().any(|message| message.id == job.message) {
        tx.commit().await?;
        return Ok(None);
    }
    if let Some(pause) = debounce::pause(app, &mut tx, &messages).await? {
        tx.commit().await?;
        return Err(Failure::Snooze(pause));
    }
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    let turn = store::turns::begin(&mut tx, job.conversation, &agent.name(), &ids).await?;
    let budget = TurnBudget::of_new(begun, &app.settings.agent, &turn);
    tx.commit().await?;
    Ok(Some(OpenedTurn { turn, agent, identity, messages, budget, in_hand: None, was_answered_by_hand }))
}
