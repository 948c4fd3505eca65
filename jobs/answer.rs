//! Runs the agent for a conversation and stores its reply.
//!
//! Enqueued by `receive_message` and by the dashboard for every accepted message, in the conversation's lane. It takes all unanswered messages into one
//! turn, so the jobs of messages that are in a turn already end at once. Enqueues a `send_chunk` for each chunk of the reply; when it
//! gives up, `apologise` follows. An administrator's retry enqueues one that answers a failed turn's messages once more. After a crash it runs again and finds its turn: the agent is called once more, visibly as the next
//! attempt, but only while no reply is stored and none is in hand.

use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass};
use agent::turn::Reply;
use channel::app::App;
use channel::conversation::apology::apologise;
use channel::conversation::turns::{self, Opened};
use channel::conversation::unsaved_reply::UnsavedReply;
use channel::conversation::{replies, request, typing};
use channel::kinds::Answer;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::messages::Said;
use store::turns::Turn;

/// A busy agent is not waited for any longer at a time, whatever it asks for: somebody waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs a job of this kind.
pub async fn run(job: Answer, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(opened) = turns::open(&app, &job).await? else { return Ok(()) };
    let Opened { turn, agent, messages, in_hand } = opened;
    let reply = match in_hand {
        Some(reply) => reply,
        None => {
            let _typing = typing::show(&app, &messages);
            let answered = match agent.usable() {
                Ok(agent) => {
                    let request = request::build(&app, &agent, &turn, &messages).await?;
                    agent.send_to_openclaw(&request).await
                }
                Err(error) => Err(error),
            };
            match answered {
                Ok(reply) => reply,
                Err(error) => return Err(fail(&app, &turn, error).await?),
            }
        }
    };
    let in_hand = UnsavedReply::hold(&app, &turn, &reply);
    in_hand.settle(store(&app, &attempt, &turn, &messages, reply).await)
}

/// Stores the reply, plans its delivery and ends the job, together.
async fn store(
    app: &App,
    attempt: &Attempt,
    turn: &Turn,
    messages: &[Said],
    reply: Reply,
) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    match reply {
        Reply::Text(text) => {
            if store::turns::finish_with_reply(&mut tx, turn.id, &text).await? {
                replies::plan(app, &mut tx, turn, messages, &text).await?;
            }
        }
        Reply::Silent => {
            store::turns::finish_silent(&mut tx, turn.id).await?;
            tracing::info!(turn.id = turn.id.0, "The agent chose to stay silent in turn {}", turn.id);
        }
    }
    attempt.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// What a failed call means: again after a while, or, after the last one, the apology and the end.
async fn fail(app: &App, turn: &Turn, error: AgentError) -> Result<Failure, Failure> {
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, turn.conversation_id).await?;
    store::conversations::lock(&mut tx, turn.conversation_id).await?;
    store::turns::end_attempt(&mut tx, turn.id, turn.attempt, &error.to_string()).await?;
    // What another call cannot change is not called again, and neither is what the gateway has tried again itself.
    let hopeless = matches!(
        error.class(),
        AgentErrorClass::Configuration | AgentErrorClass::Permanent | AgentErrorClass::GaveUp
    );
    let last = hopeless || turn.attempt >= i32::from(app.settings.agent.attempts);
    if last {
        apologise(app, &mut tx, turn, &error.to_string()).await?;
    }
    tx.commit().await?;
    Ok(match error {
        error if last => Failure::abort(error.to_string()),
        error => match error.retry_after() {
            Some(delay) => Failure::RetryAfter(delay.min(LONGEST_WAIT), error.into()),
            None => error.into(),
        },
    })
}
