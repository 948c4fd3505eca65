//! Jobs that an administrator names at a terminal, by number or by a filter, and what is done to all of them.

use std::fmt;
use std::io::Write as _;

use anyhow::Context as _;
use channel::app::Settings;
use clap::Args;
use queue::Queue;
use queue::bulk;
use queue::connections::Connections;
use queue::inspection::{ActionOutcome, JobAction, JobCriteria};
use queue::job::JobId;
use serde::Serialize;

use super::jobs::{FilterArgs, UNANSWERED};
use super::output::confirm;
use crate::retries::{self, Retried};

/// One job, or all that fit a filter.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Jobs by number; without one, a filter is needed
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// After so many jobs of a filter it tells how far it has come
    #[arg(long, value_name = "JOBS", default_value_t = bulk::STEP, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    step: i64,
    /// Say how many jobs fit the filter, and do nothing
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
}

impl Chosen {
    /// How many jobs would be touched; `None`: they are to be touched.
    pub(crate) async fn trial(&self, queue: &Queue, action: JobAction) -> anyhow::Result<Option<Trial>> {
        let Some(filter) = self.filter()?.filter(|_| self.dry_run) else { return Ok(None) };
        let bulk = queue.bulk(action, filter).await.context(UNANSWERED)?;
        Ok(Some(Trial { dry_run: true, action, fitting: queue.rest(&bulk).await.context(UNANSWERED)? }))
    }

    /// `None`: jobs are named by number.
    fn filter(&self) -> anyhow::Result<Option<JobCriteria>> {
        if !self.ids.is_empty() {
            anyhow::ensure!(self.filter.is_empty(), "say numbers or a filter, not both");
            return Ok(None);
        }
        anyhow::ensure!(
            !self.filter.is_empty(),
            "say which jobs: numbers, or a filter like --kind send_chunk"
        );
        self.filter.filter().map(Some)
    }

    /// Tries them again, and adds to `outcomes` what came of each, also of those before an error.
    pub(crate) async fn retry(
        &self,
        queue: &Queue,
        pg: &Connections,
        settings: &Settings,
        actor: &str,
        outcomes: &mut Vec<Retried>,
    ) -> anyhow::Result<()> {
        let Some(filter) = self.filter()? else {
            let retried = retries::retry_all(queue, pg, settings, &self.ids, actor, outcomes).await;
            return retried.context(UNANSWERED);
        };
        let mut bulk = queue.bulk(JobAction::Retry, filter).await.context(UNANSWERED)?;
        bulk.make_steps_of(self.step);
        let all = queue.rest(&bulk).await.context(UNANSWERED)?;
        loop {
            let ids = queue.next_of(&mut bulk).await.context(UNANSWERED)?;
            if ids.is_empty() {
                return Ok(());
            }
            retries::retry_all(queue, pg, settings, &ids, actor, outcomes).await.context(UNANSWERED)?;
            tell_progress(outcomes.len(), all);
        }
    }

    /// Ends them, or asks them to stop. All that fit a filter only after a yes.
    pub(crate) async fn cancel(
        &self,
        queue: &Queue,
        actor: &str,
        yes: bool,
    ) -> anyhow::Result<Vec<ActionOutcome>> {
        if let Some(filter) = self.filter()? {
            return cancel_fitting(queue, filter, self.step, actor, yes).await;
        }
        let mut outcomes = Vec::new();
        for id in &self.ids {
            outcomes.push(queue.act_on(JobAction::Cancel, *id, actor).await.context(UNANSWERED)?);
        }
        Ok(outcomes)
    }
}

/// Step by step to the end; how far it has come is told in between.
async fn cancel_fitting(
    queue: &Queue,
    filter: JobCriteria,
    step: i64,
    actor: &str,
    yes: bool,
) -> anyhow::Result<Vec<ActionOutcome>> {
    let mut bulk = queue.bulk(JobAction::Cancel, filter).await.context(UNANSWERED)?;
    bulk.make_steps_of(step);
    let all = queue.rest(&bulk).await.context(UNANSWERED)?;
    if all > 0 {
        confirm(&format!("{all} jobs fit, and none that is cancelled comes back."), yes)?;
    }
    let mut outcomes = Vec::new();
    loop {
        let step = queue.step(&mut bulk, actor).await.context(UNANSWERED)?;
        if step.is_empty() {
            return Ok(outcomes);
        }
        outcomes.extend(step);
        tell_progress(outcomes.len(), all);
    }
}

/// What would have been done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trial {
    dry_run: bool,
    #[serde(skip)]
    action: JobAction,
    /// How many jobs fit.
    fitting: i64,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = if self.fitting == 1 { "job" } else { "jobs" };
        let done = match self.action {
            JobAction::Retry => "tried again",
            JobAction::Cancel => "cancelled",
        };
        writeln!(f, "{} {jobs} would be {done}; nothing was done", self.fitting)
    }
}

/// So that whoever stops it knows what is left.
fn tell_progress(done: usize, all: i64) {
    let _ = writeln!(std::io::stderr(), "{done} of {all} jobs");
}
