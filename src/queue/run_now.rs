//! A job that waits for its time is made due now, because an administrator wants that.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::Queue;
use crate::audit::{self, Change};
use crate::job::JobId;
use crate::job_state::JobState;

/// A job that is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DueNow {
    /// The job.
    #[schema(value_type = i64)]
    pub id: JobId,
    /// When it would have been due.
    pub was_due_at: DateTime<Utc>,
}

/// Why a job was not made due.
#[derive(Debug, thiserror::Error)]
pub enum RunNowError {
    /// There is no such job, or not any more.
    #[error("job {0} is not remembered")]
    Unknown(JobId),
    /// It does not wait for a time.
    #[error("job {id} does not wait for a time: {}", told(*.state))]
    NotScheduled {
        /// The job.
        id: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What helps a job in a state that has no time.
const fn told(state: JobState) -> &'static str {
    match state {
        JobState::Held => "it is held behind another job of its lane; run that one, or cancel it",
        JobState::Scheduled => "it is scheduled",
        JobState::Parked => {
            "its kind is paused or known to no process; resume the kind, or start a process that knows it"
        }
        JobState::Waiting => {
            "it is due, and begins when a worker of its pool is free and the pool is not paused"
        }
        JobState::Running => "it runs",
        JobState::Done | JobState::Cancelled => "it has ended",
        JobState::Dead => "it is dead; retry it",
    }
}

impl Queue {
    /// Makes a scheduled job due now: one of the future, or one that waits for its next attempt. It keeps its attempts and its place in its lane. A job in
    /// any other state is left alone: the row is locked, so one that a worker has claimed meanwhile runs once.
    pub async fn run_now(&self, id: JobId, actor: &str) -> Result<DueNow, RunNowError> {
        let mut tx = self.begin(self.pool()).await?;
        let live: Option<(String, DateTime<Utc>)> =
            sqlx::query_as("SELECT state::TEXT, run_at FROM queue.jobs WHERE id = $1 FOR UPDATE")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        let (state, run_at) = match live {
            Some((state, run_at)) => (state, Some(run_at)),
            None => {
                let ended: Option<String> =
                    sqlx::query_scalar("SELECT state FROM queue.every_job WHERE id = $1")
                        .bind(id)
                        .fetch_optional(&mut *tx)
                        .await?;
                (ended.ok_or(RunNowError::Unknown(id))?, None)
            }
        };
        let state: JobState = state.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let target = format!("job {id}");
        let Some(was_due_at) = run_at.filter(|_| state == JobState::Scheduled) else {
            audit::note(&mut tx, actor, "run now", &target, &format!("refused: it is {state}")).await?;
            tx.commit().await?;
            return Err(RunNowError::NotScheduled { id, state });
        };
        sqlx::query(
            "UPDATE queue.jobs SET run_at = least(run_at, now()), state = 'waiting' WHERE id = $1 AND phase = 'scheduled'",
        )
        .bind(id)
        .execute(&mut *tx)
        .await?;
        let before = format!("scheduled for {}", was_due_at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let change = Change { before: Some(&before), after: Some(JobState::Waiting.as_str()) };
        audit::note_change(&mut tx, actor, "run now", &target, "due now", change).await?;
        tx.wake_pollers();
        tx.commit().await?;
        Ok(DueNow { id, was_due_at })
    }
}
