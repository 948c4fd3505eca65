//! Replies that the agent has given and the database has not taken yet. Asking again would let the agent's tools do everything once more.
//!
//! A reply is held in memory until it is stored with its job's completion. Where that fails, it is written to its turn as soon as the database takes
//! anything, so that whichever process has the job next need not ask the agent either.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::turn::{AgentAnswer, Reply};
use agent::withheld::Withheld;
use queue::attempt::CompleteError;
use queue::failure::Failure;
use sqlx::PgConnection;
use store::ids::TurnId;
use store::turns::Turn;

use super::withheld;
use crate::app::App;

/// After a failure the database is asked again this much later.
const AGAIN: Duration = Duration::from_secs(1);

/// The replies that this process holds, by their turns.
#[derive(Clone, Default)]
pub struct UnsavedReplies(Arc<Mutex<HashMap<TurnId, Held>>>);

struct Held {
    answer: AgentAnswer,
    /// Somebody writes it to its turn already.
    is_being_kept: bool,
}

impl UnsavedReplies {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<TurnId, Held>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, turn_id: TurnId) -> Option<AgentAnswer> {
        self.change(|held| held.get(&turn_id).map(|held| held.answer.clone()))
    }

    fn forget(&self, turn_id: TurnId) {
        self.change(|held| held.remove(&turn_id));
    }
}

/// The answer to a turn that was left behind, if anybody has it.
pub async fn of(app: &App, conn: &mut PgConnection, turn: &Turn) -> sqlx::Result<Option<AgentAnswer>> {
    if let Some(answer) = app.unsaved_replies().get(turn.id) {
        return Ok(Some(answer));
    }
    let kept = store::turns::in_hand(conn, turn.id).await?;
    Ok(kept.map(|text| AgentAnswer {
        reply: if text.is_empty() { Reply::Silent } else { Reply::Text(text) },
        // It is on record in the turn already.
        withheld: Withheld::default(),
    }))
}

/// A reply on its way into the database. Whatever ends the attempt before it is stored, a lost lease say, the reply stays held.
pub struct UnsavedReply {
    app: App,
    turn_id: TurnId,
}

impl UnsavedReply {
    /// Holds an answer from here on.
    pub fn hold(app: &App, turn: &Turn, answer: &AgentAnswer) -> Self {
        let held = Held { answer: answer.clone(), is_being_kept: false };
        app.unsaved_replies().change(|answers| {
            answers.entry(turn.id).or_insert(held);
        });
        Self { app: app.clone(), turn_id: turn.id }
    }

    /// How storing went. What the database may take later is tried again later, and that costs no attempt.
    pub fn settle(self, stored: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = stored else {
            self.app.unsaved_replies().forget(self.turn_id);
            return Ok(());
        };
        let Failure::Retry(error) = failure else { return Err(failure) };
        match meaning(&*error) {
            StoreFailure::Passing => {
                let (turn_id, error) = (self.turn_id, describe(&*error));
                tracing::warn!(
                    turn.id = turn_id.0,
                    error,
                    "The answer of turn {turn_id} stays in hand: {error}"
                );
                Err(Failure::Snooze(AGAIN))
            }
            StoreFailure::Lost => Err(Failure::Retry(error)),
            StoreFailure::Lasting => {
                self.app.unsaved_replies().forget(self.turn_id);
                Err(Failure::Retry(error))
            }
        }
    }
}

impl Drop for UnsavedReply {
    fn drop(&mut self) {
        let start = |held: &mut HashMap<TurnId, Held>| {
            held.get_mut(&self.turn_id).is_some_and(|held| !std::mem::replace(&mut held.is_being_kept, true))
        };
        if self.app.unsaved_replies().change(start)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(keep(self.app.clone(), self.turn_id));
        }
    }
}

/// Writes an answer to its turn as soon as the database takes it.
async fn keep(app: App, turn_id: TurnId) {
    while let Some(answer) = app.unsaved_replies().get(turn_id) {
        let text = match &answer.reply {
            Reply::Text(text) => text.as_str(),
            Reply::Silent => "",
        };
        let kinds = withheld::stored(&answer.withheld);
        let kept =
            async { store::turns::keep_in_hand(&mut *app.pg.acquire().await?, turn_id, text, &kinds).await };
        match kept.await {
            Ok(()) => app.unsaved_replies().forget(turn_id),
            Err(error) if is_passing(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::warn!(turn.id = turn_id.0, error = %error, "The answer of turn {turn_id} cannot be kept: {error}");
                app.unsaved_replies().forget(turn_id);
            }
        }
    }
}

/// What a failure to store means for the answer.
enum StoreFailure {
    /// The database may take it later.
    Passing,
    /// Somebody else has the job: the answer is theirs.
    Lost,
    /// It will never take it.
    Lasting,
}

fn meaning(error: &(dyn Error + 'static)) -> StoreFailure {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(CompleteError::Lost(_)) = error.downcast_ref::<CompleteError>() {
            return StoreFailure::Lost;
        }
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return if is_passing(error) { StoreFailure::Passing } else { StoreFailure::Lasting };
        }
        next = error.source();
    }
    StoreFailure::Lasting
}

/// Whether the same statement may succeed later: the database is away, full, read-only, at its limits, or has preferred somebody else.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code == "25006"
                || ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// An error's innermost cause: what the database says.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
