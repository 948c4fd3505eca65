//! One action on all jobs that match a filter, in steps. Each step is a transaction, so the caller can report progress
//! and stop.

use crate::Queue;
use crate::inspection::{ActionOutcome, JobAction, JobCriteria};
use crate::job::JobId;
use crate::job_search::{self, JobPage, JobTable};
use crate::job_state::JobState;

/// Jobs in a step, unless the caller sets another number.
pub const STEP: i64 = 500;

const KEPT: &str = " AND kind <> ALL (ARRAY(SELECT k.kind FROM queue.kinds k WHERE k.kept UNION SELECT k.on_end_kind FROM queue.kinds k WHERE k.on_end_kind IS NOT NULL))";

/// An action under way. It leaves jobs alone that were enqueued after its start, so it ends.
#[derive(Debug)]
pub struct Bulk {
    action: JobAction,
    table: JobTable,
    filter: JobCriteria,
    /// A condition in SQL that excludes jobs.
    extra_condition: &'static str,
    /// The last job that it has come to.
    after: JobId,
    /// The newest job at its start.
    until: JobId,
    /// Jobs in a step.
    step: i64,
}

impl Bulk {
    /// Sets the number of jobs in a step.
    pub fn make_steps_of(&mut self, jobs: i64) {
        self.step = jobs;
    }

    /// Continues after a job, where an earlier action stopped.
    #[must_use]
    pub fn behind(self, after: JobId) -> Self {
        Self { after, ..self }
    }

    /// The last job that it has come to. Jobs up to there that were refused are not tried again.
    #[must_use]
    pub fn position(&self) -> JobId {
        self.after
    }
}

impl Queue {
    /// Starts an action on every job that matches: dead ones for a retry; live ones, or dead ones if the filter says
    /// so, for a cancel. A cancel that names no kind leaves out the kinds on which others rely
    /// ([`crate::job::Job::KEPT`]), and follow-ups.
    pub async fn bulk(&self, action: JobAction, filter: JobCriteria) -> sqlx::Result<Bulk> {
        let of_dead =
            action == JobAction::Retry || filter.state == Some(JobState::Dead) || filter.group.is_some();
        let extra_condition = if of_dead || filter.kind.is_some() { "" } else { KEPT };
        let until = sqlx::query_scalar("SELECT last_value FROM queue.job_ids")
            .fetch_one(&mut *self.pool().acquire().await?)
            .await?;
        let table = if of_dead { JobTable::Dead } else { JobTable::Live };
        Ok(Bulk { action, table, filter, extra_condition, after: JobId(0), until, step: STEP })
    }

    /// Does the next step; returns the outcome of each job. Empty: the action is done.
    pub async fn step(&self, bulk: &mut Bulk, actor: &str) -> sqlx::Result<Vec<ActionOutcome>> {
        let ids = self.next_of(bulk).await?;
        self.act_on_all(bulk.action, &ids, actor).await
    }

    /// The jobs of the next step, for a caller that does the action itself. Empty: the action is done.
    pub async fn next_of(&self, bulk: &mut Bulk) -> sqlx::Result<Vec<JobId>> {
        let page = JobPage::Between(bulk.after, bulk.until, bulk.step);
        let mut query = job_search::ids(bulk.table, &bulk.filter, bulk.extra_condition, page);
        let ids: Vec<JobId> =
            query.build_query_scalar().fetch_all(&mut *self.pool().acquire().await?).await?;
        if let Some(last) = ids.last() {
            bulk.after = *last;
        }
        Ok(ids)
    }

    /// The number of jobs that are left.
    pub async fn rest(&self, bulk: &Bulk) -> sqlx::Result<i64> {
        let mut query =
            job_search::count(bulk.table, &bulk.filter, bulk.extra_condition, bulk.after, bulk.until);
        query.build_query_scalar().fetch_one(&mut *self.pool().acquire().await?).await
    }
}
