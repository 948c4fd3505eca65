//! One action on all jobs that fit a filter, in steps: each is committed by itself, so whoever asks can tell how far it has come, and stop.

use crate::Queue;
use crate::finding::{self, Page, Table};
use crate::inspection::{Action, Filter, Outcome};
use crate::job::JobId;

/// Jobs that a step touches, unless the caller says otherwise.
pub const STEP: i64 = 500;

const KEPT: &str = " AND kind <> ALL (ARRAY(SELECT k.kind FROM queue.kinds k WHERE k.kept UNION SELECT k.on_end_kind FROM queue.kinds k WHERE k.on_end_kind IS NOT NULL))";

/// An action under way. It touches no job that was enqueued after its beginning, so it ends.
#[derive(Debug)]
pub struct Bulk {
    action: Action,
    table: Table,
    filter: Filter,
    /// What it leaves alone, in SQL.
    besides: &'static str,
    /// Jobs up to this one are done with.
    after: JobId,
    /// The newest job at its beginning.
    until: JobId,
    /// Jobs that a step touches.
    step: i64,
}

impl Bulk {
    /// Makes each step from now on as large as this.
    pub fn make_steps_of(&mut self, jobs: i64) {
        self.step = jobs;
    }

    /// Goes on behind a job, up to which another one has come.
    #[must_use]
    pub fn behind(self, after: JobId) -> Self {
        Self { after, ..self }
    }

    /// The last job that it has come to; what was refused up to there is not met again.
    #[must_use]
    pub fn position(&self) -> JobId {
        self.after
    }
}

impl Queue {
    /// Begins an action on every job that fits: dead ones for a retry; live ones, or dead ones if they are asked for, for a cancel. A cancel that
    /// names no kind leaves alone what others rely on ([`crate::job::Job::KEPT`]), and follow-ups.
    pub async fn bulk(&self, action: Action, filter: Filter) -> sqlx::Result<Bulk> {
        let of_dead = action == Action::Retry || filter.state.as_deref() == Some("dead");
        let besides = if of_dead || filter.kind.is_some() { "" } else { KEPT };
        let until = sqlx::query_scalar("SELECT last_value FROM queue.job_ids")
            .fetch_one(&mut *self.pool().acquire().await?)
            .await?;
        let table = if of_dead { Table::Dead } else { Table::Live };
        Ok(Bulk { action, table, filter, besides, after: 0, until, step: STEP })
    }

    /// Does the next step; what came of each job. Empty: all is done.
    pub async fn step(&self, bulk: &mut Bulk, actor: &str) -> sqlx::Result<Vec<Outcome>> {
        let ids = self.next_of(bulk).await?;
        self.act_on_all(bulk.action, &ids, actor).await
    }

    /// The jobs of the next step, for a caller who knows better what the action means for them. Empty: all is done.
    pub async fn next_of(&self, bulk: &mut Bulk) -> sqlx::Result<Vec<JobId>> {
        let page = Page::Behind(bulk.after, bulk.until, bulk.step);
        let mut query = finding::ids(bulk.table, &bulk.filter, bulk.besides, page);
        let ids: Vec<JobId> =
            query.build_query_scalar().fetch_all(&mut *self.pool().acquire().await?).await?;
        if let Some(last) = ids.last() {
            bulk.after = *last;
        }
        Ok(ids)
    }

    /// How many jobs are left.
    pub async fn rest(&self, bulk: &Bulk) -> sqlx::Result<i64> {
        let mut query = finding::count(bulk.table, &bulk.filter, bulk.besides, bulk.after, bulk.until);
        query.build_query_scalar().fetch_one(&mut *self.pool().acquire().await?).await
    }
}
