//! The time for a turn, from its beginning to its end: calls of the agent, waits that the agent asks for, and crashes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use store::messages::ChannelName;
use store::turns::Turn;
use tokio::time::Instant;

use crate::app::AgentRuns;

/// What is left of the time for a turn. The database's clock says how much; a stopwatch measures it from then on.
#[derive(Clone, Copy, Debug)]
pub struct TurnBudget {
    read_at: Instant,
    age: Duration,
    left: Duration,
    /// The agent is not asked again before this has passed.
    pause: Duration,
    /// Then the person is told that it takes longer; `None`: there is nobody to tell.
    notice_in: Option<Duration>,
}

impl TurnBudget {
    /// What is left for a turn.
    pub async fn of(conn: &mut PgConnection, runs: &AgentRuns, turn: &Turn) -> sqlx::Result<Self> {
        Self::until(conn, runs, turn, turn.started_at + runs.turn_budget).await
    }

    /// The same for one that ends then, as a schedule's prompt does.
    pub async fn until(
        conn: &mut PgConnection,
        runs: &AgentRuns,
        turn: &Turn,
        ends_at: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        let read_at = Instant::now();
        let now = store::clock::now(conn).await?;
        Ok(Self::at(read_at, now, runs, turn, ends_at))
    }

    /// The same for one that has begun after `read_at`: all of it.
    pub(super) fn of_new(read_at: Instant, runs: &AgentRuns, turn: &Turn) -> Self {
        Self::at(read_at, turn.started_at, runs, turn, turn.started_at + runs.turn_budget)
    }

    fn at(
        read_at: Instant,
        now: DateTime<Utc>,
        runs: &AgentRuns,
        turn: &Turn,
        ends_at: DateTime<Utc>,
    ) -> Self {
        let is_awaited =
            turn.channel == ChannelName::Whatsapp && turn.slot_id.is_none() && turn.retry_of.is_none();
        let is_to_be_told = is_awaited && turn.told_at.is_none() && !runs.tell_after.is_zero();
        Self {
            read_at,
            age: time_until(now, turn.started_at),
            left: time_until(ends_at, now),
            pause: turn.ask_again_at.map_or(Duration::ZERO, |ask_again_at| time_until(ask_again_at, now)),
            notice_in: is_to_be_told.then(|| time_until(turn.started_at + runs.tell_after, now)),
        }
    }

    /// What is left now, in whole milliseconds.
    #[must_use]
    pub fn left(&self) -> Duration {
        let left = self.left.saturating_sub(self.read_at.elapsed());
        Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    /// The same with so much time, for the one call that nobody could make before it was over.
    #[must_use]
    pub(super) fn extended(self, left: Duration) -> Self {
        Self { read_at: Instant::now(), left, ..self }
    }

    /// How long the turn had lasted when it was read.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Whether nothing was left when it was read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left.is_zero()
    }

    /// How long the agent is still left alone; `None`: it may be asked.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        Some(self.pause).filter(|pause| !pause.is_zero())
    }

    /// When, after it was read, the person is to be told that it takes longer; `None`: there is nobody to tell.
    #[must_use]
    pub fn notice_in(&self) -> Option<Duration> {
        self.notice_in
    }

    /// How long there is nothing to do while the agent is left alone for so long.
    #[must_use]
    pub fn idle_for(&self, pause: Duration) -> Duration {
        self.notice_in.map_or(pause, |notice_in| pause.min(notice_in))
    }
}

fn time_until(moment: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (moment - now).to_std().unwrap_or_default()
}
