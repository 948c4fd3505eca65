//! Runs the agent for a conversation and stores its reply.
//!
//! Enqueued by `receive_message` and by the dashboard for every accepted message, in the conversation's lane. It takes all unanswered messages into one
//! turn, so the jobs of messages that are in a turn already end at once. Enqueues a `send_chunk` for each chunk of the reply or apology, and one for the
//! word that it takes longer; when the job itself gives up, `apologise` follows. An administrator's retry enqueues one that answers a failed turn's
//! messages once more. After a crash it runs again and finds its turn: the agent is called once more, visibly as the next call, but only while no
//! reply is stored and none is in hand.

use agent::error::AgentError;
use agent::turn::Reply;
use channel::app::App;
use channel::conversation::agent_failures::{self, FailureMeaning};
use channel::conversation::agent_health::{self, AgentIdentity};
use channel::conversation::apology::{Cause, apologise};
use channel::conversation::turn_budget::TurnBudget;
use channel::conversation::turns::{self, OpenedTurn};
use channel::conversation::unsaved_replies::UnsavedReply;
use channel::conversation::visible_answers::visible;
use channel::conversation::{agents, delay_notice, replies, request, typing, withheld};
use channel::kinds::Answer;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::messages::Said;
use store::turns::Turn;

/// Runs a job of this kind.
pub async fn run(job: Answer, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(opened) = turns::open(&app, &job).await? else { return Ok(()) };
    let OpenedTurn { turn, agent, identity, messages, budget, in_hand, was_answered_by_hand } = opened;
    let answer = match in_hand {
        Some(answer) => answer,
        None => {
            let _typing = typing::show(&app, &messages);
            let _notice = delay_notice::when_due(&app, &turn, &budget);
            let answered = match agent.usable() {
                Ok(agent) => {
                    let mut request =
                        request::build(&app, &agent, &turn, &messages, was_answered_by_hand).await?;
                    request.timeout = request.timeout.min(budget.left());
                    agents::ask(&agent, &request).await
                }
                Err(error) => Err(error),
            };
            match answered.and_then(|answer| visible(answer, app.settings.agent.format)) {
                Ok(answer) => answer,
                Err(error) => return Err(fail(&app, &turn, &identity, &messages, error).await?),
            }
        }
    };
    let in_hand = UnsavedReply::hold(&app, &turn, &answer);
    in_hand.settle(store(&app, &attempt, &turn, &identity, &messages, answer).await)
}

/// Stores the reply, plans its delivery and ends the job, together.
async fn store(
    app: &App,
    attempt: &Attempt,
    turn: &Turn,
    identity: &AgentIdentity,
    messages: &[Said],
    answer: agent::turn::AgentAnswer,
) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    agent_health::note_answer(app, &mut tx, identity).await?;
    withheld::note(&mut tx, turn.id, &answer.withheld).await?;
    match answer.reply {
        Reply::Text(text) => {
            if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                replies::plan(&app.settings, &mut tx, turn, messages, &text).await?;
            }
        }
        Reply::Silent => {
            store::turns::finish_silent(&mut tx, turn.id).await?;
            tracing::info!(turn.id = turn.id.0, "The agent chose to stay silent in turn {}", turn.id);
        }
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}

/// What a failed call means: again after a while, or, where no other is to be made in the turn's time, the apology and the end.
async fn fail(
    app: &App,
    turn: &Turn,
    identity: &AgentIdentity,
    messages: &[Said],
    error: AgentError,
) -> Result<Failure, Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    let now_is = store::turns::running(&mut tx, turn.conversation_id).await?;
    let Some(now_is) = now_is.filter(|now_is| (now_is.id, now_is.calls) == (turn.id, turn.calls)) else {
        // Our lease was lost, and whoever has the job now has gone on with the turn.
        return Ok(error.into());
    };
    let tries = store::agent_calls::end(&mut tx, turn, &error.to_string()).await?;
    let meaning = agent_failures::meaning(&error);
    let calls = if meaning == FailureMeaning::NotBegun { tries } else { turn.calls };
    let pause = agent_failures::pause(&error, calls);
    let budget = TurnBudget::of(&mut tx, &app.settings.agent, &now_is).await?;
    let is_last = match meaning {
        FailureMeaning::NotBegun => false,
        FailureMeaning::Passing => turn.calls >= i32::from(app.settings.agent.attempts),
        FailureMeaning::Lasting => true,
    };
    // The turn counts its calls and keeps the wait: whatever moves the job, the agent is not asked before, and the job does not use itself up.
    store::agent_calls::put_off(&mut tx, turn, meaning == FailureMeaning::NotBegun, pause.as_secs_f64())
        .await?;
    if is_last || pause >= budget.left() {
        let agent = agent_health::trouble(&error).map(|trouble| (identity, trouble));
        apologise(app, &mut tx, turn, Cause { reason: &error.to_string(), agent }).await?;
        tx.commit().await?;
        return Ok(Failure::abort(error.to_string()));
    }
    agent_health::note_wait(app, &mut tx, identity, &budget, &error).await?;
    tx.commit().await?;
    tracing::info!(turn.id = turn.id.0, "Turn {} asks again in {pause:?}: {error}", turn.id);
    // The call may have been too short to show it.
    typing::show_once(app, messages);
    Ok(Failure::Snooze(typing::idle_for(app, turn, budget.idle_for(pause))))
}
