//! Turns that failed in an outage of their agent: each is answered after all, by a turn of its own.

use queue::connections::Connections;
use queue::job::Job as _;
use queue::transaction::Transaction;
use queue::{Queue, audit, dead_jobs};
use store::ids::TurnId;
use store::retries::{self, FailedTurn};
use store::turns::TurnState;

use super::messages;
use super::{Answered, Result, refused};
use crate::app::Settings;
use crate::kinds::Answer;
use crate::lanes;

/// How a turn is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whose it is.
    pub actor: &'a str,
    /// To find out what would come of it: nothing is kept.
    pub is_dry: bool,
}

/// Has the messages of one failed turn answered once more. `None`: there is no such turn.
pub async fn retry_one(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    id: TurnId,
    wish: Wish<'_>,
) -> Result<Option<Answered>> {
    let (turn, failed) = {
        let mut conn = pg.acquire().await?;
        (store::turns::get(&mut conn, id).await?, retries::failed_turn(&mut conn, id).await?)
    };
    match (turn, failed) {
        (None, _) => Ok(None),
        (Some(turn), None) => refused(format!("it has not failed: it is {}", turn.state)).map(Some),
        (Some(_), Some(failed)) => answer_again(queue, pg, settings, &failed, wish).await.map(Some),
    }
}

/// Enqueues the answer to a failed turn's messages, behind those that were enqueued before in its conversation. The dead jobs that it was about go to the
/// history in the same transaction.
pub async fn answer_again(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    turn: &FailedTurn,
    wish: Wish<'_>,
) -> Result<Answered> {
    let mut tx = queue.begin(pg).await?;
    let answered = again(&mut tx, settings, turn, wish.actor).await?;
    if !wish.is_dry {
        let outcome = match &answered {
            Answered::Retried(successor) => format!("retried as {successor}"),
            Answered::Refused(why) => why.clone(),
        };
        audit::note(&mut tx, wish.actor, "retry", &format!("turn {}", turn.id), &outcome).await?;
    }
    if wish.is_dry {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(answered)
}

async fn again(
    tx: &mut Transaction,
    settings: &Settings,
    turn: &FailedTurn,
    actor: &str,
) -> Result<Answered> {
    let conversation = turn.conversation_id;
    // Before everything else, as whoever tries one of them again does.
    let dead = dead_jobs::lock_of_lane(tx, &lanes::conversation(conversation), Answer::KIND).await?;
    store::addresses::lock_of_conversation(tx, conversation).await?;
    store::conversations::lock(tx, conversation).await?;
    match retries::successor_of_turn(tx, turn.id).await? {
        Some((successor, TurnState::Running)) => {
            return refused(format!("it is tried again already, as turn {successor}"));
        }
        Some((successor, TurnState::Failed)) => {
            return refused(format!("it was tried again already, as turn {successor}"));
        }
        Some((successor, _)) => return refused(format!("it was answered already, by turn {successor}")),
        None => {}
    }
    let unanswered = retries::unanswered_of_turn(tx, turn.id).await?;
    let Some(message) = unanswered.last().copied() else {
        return refused("none of its messages waits for an answer");
    };
    let wish = Answer { conversation, message, retry_of: None };
    let answered = messages::answer_again(tx, settings, &wish).await?;
    let Answered::Retried(successor) = &answered else { return Ok(answered) };
    for job in dead {
        let about: Option<Answer> = serde_json::from_value(job.payload).ok();
        if about.is_some_and(|about| unanswered.contains(&about.message)) {
            dead_jobs::put_away(tx, job.id, &format!("retried by {actor} as {successor}")).await?;
            dead_jobs::note(tx, actor, job.id, &format!("retried as {successor}")).await?;
        }
    }
    Ok(answered)
}
