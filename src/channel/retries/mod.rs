//! Another try of what gave up, by an administrator's wish. When a job dies its follow-up closes what the job was about, for good, so running the job
//! once more would do nothing. A retry makes a successor instead, in one transaction with the dead job's end: a delivery, a turn, a slot, a user's
//! part of one. Link, STOP, quota, window and cancellation count as ever, and what stands in the way is told: nothing is ever "retried" for nothing.
//! Quiet hours do not count: whoever retries at night means it.

/// A chunk that was not sent.
mod chunks;
/// A delivery that was not sent as a whole, by its own id.
pub mod deliveries;
/// What was to be said at a slot.
mod duties;
/// A message that nobody decided about, or that was not answered.
mod messages;
/// A message that has neither an outcome nor a job.
pub mod replays;
/// Turns that failed in an outage of their agent.
pub mod turns;

use queue::Queue;
use queue::action_result::ActionResult;
use queue::connections::Connections;
use queue::dead_jobs::{self, DeadJob};
use queue::inspection::{self, JobAction};
use queue::job::{Job, JobId};
use queue::transaction::Transaction;
use serde::de::DeserializeOwned;

use crate::app::Settings;
use crate::kinds::{Answer, PlanWaiting, PostAlert, PromptUser, ReceiveMessage, RunDuty, SendChunk};
use crate::write_error::WriteError;

/// What came of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The dead job.
    pub id: JobId,
    /// Its kind; `None`: it is not dead.
    pub kind: Option<String>,
    /// What does its work now, or why nothing does.
    pub answer: Answered,
}

/// What a retry comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The work is done again, by this.
    Retried(String),
    /// It is not, for this reason.
    Refused(String),
}

type Result<T, E = WriteError> = std::result::Result<T, E>;

fn refused(reason: impl Into<String>) -> Result<Answered> {
    Ok(Answered::Refused(reason.into()))
}

/// Tries a dead job again. Of two who do so at once, one is told that it is not dead any more.
pub async fn retry(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: JobId,
    actor: &str,
) -> Result<Retry> {
    let mut tx = queue.begin(pg).await?;
    let dead = dead_jobs::lock(&mut tx, id).await?;
    let kind = dead.as_ref().map(|dead| dead.kind.clone());
    let answer = match dead {
        None if inspection::is_remembered(&mut tx, id).await? => {
            Answered::Refused("it is not dead".to_owned())
        }
        None => Answered::Refused("there is no such job, or not any more".to_owned()),
        Some(dead) => match successor(&mut tx, settings, &dead).await? {
            Some(answer) => answer,
            None => {
                // Nothing has closed what it was about: the job itself can go on.
                tx.rollback().await?;
                let outcome = queue.act_on(JobAction::Retry, id, actor).await?.outcome;
                let answer = if outcome == ActionResult::Retried {
                    Answered::Retried(format!("job {id}"))
                } else {
                    Answered::Refused(outcome.to_string())
                };
                return Ok(Retry { id, kind, answer });
            }
        },
    };
    let outcome = match &answer {
        Answered::Retried(successor) => {
            dead_jobs::put_away(&mut tx, id, &format!("retried by {actor} as {successor}")).await?;
            format!("retried as {successor}")
        }
        Answered::Refused(reason) => format!("refused: {reason}"),
    };
    dead_jobs::note(&mut tx, actor, id, &outcome).await?;
    tx.commit().await?;
    Ok(Retry { id, kind, answer })
}

/// Makes what does a dead job's work now. `None`: the job itself can.
async fn successor(tx: &mut Transaction, settings: &Settings, dead: &DeadJob) -> Result<Option<Answered>> {
    macro_rules! payload {
        ($job:ty) => {
            match read::<$job>(dead) {
                Ok(job) => job,
                Err(reason) => return refused(reason).map(Some),
            }
        };
    }
    let made = match dead.kind.as_str() {
        SendChunk::KIND => chunks::send_again(tx, settings, payload!(SendChunk).chunk).await?,
        Answer::KIND => messages::answer_again(tx, settings, &payload!(Answer)).await?,
        ReceiveMessage::KIND => {
            messages::receive_again(tx, settings, payload!(ReceiveMessage).message).await?
        }
        RunDuty::KIND => duties::run_again(tx, payload!(RunDuty).slot).await?,
        PromptUser::KIND => duties::prompt_again(tx, payload!(PromptUser)).await?,
        PlanWaiting::KIND => {
            let waiting = store::proactive_deliveries::lock_waiting(tx, &payload!(PlanWaiting).user).await?;
            if !waiting.is_empty() {
                return Ok(None);
            }
            refused("nothing waits for the person any more")?
        }
        PostAlert::KIND if settings.alert_webhook.is_none() => {
            refused("no alerts.webhook_url is configured")?
        }
        _ => return Ok(None),
    };
    Ok(Some(made))
}

fn read<J: DeserializeOwned>(dead: &DeadJob) -> std::result::Result<J, String> {
    serde_json::from_value(dead.payload.clone())
        .map_err(|error| format!("its payload cannot be read: {error}"))
}

/// What is told where there is nothing left to send.
const WORDS_GONE: &str = "its words are not kept any more: they are erased, or older than retention.texts";

/// What is told where the dead job's follow-up has not closed anything yet.
const NOT_CLOSED: &str = "its follow-up has not run yet: is a pool paused?";
