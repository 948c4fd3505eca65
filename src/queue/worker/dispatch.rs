//! The innermost apalis service: hands a claimed job to the handler of its kind.

use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use futures::future::BoxFuture;
use tower::Service;

use crate::claim::Claim;
use crate::failure::Failure;
use crate::registry::Registry;
use crate::worker::claimed::{ClaimedJob, ClaimedRow};
use crate::worker::session::Session;

#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) session: Arc<Session>,
    pub(crate) registry: Arc<Registry>,
}

impl Service<Task<ClaimedJob>> for Dispatch {
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<ClaimedJob>) -> Self::Future {
        let job = task.args;
        let Some(kind) = self.registry.get(&job.row.kind) else {
            let reason = format!("unknown kind {}: no worker of this version can run it", job.row.kind);
            return Box::pin(std::future::ready(Err(Failure::Abort(reason).into())));
        };
        let claim = claim_of(&job.row, &job, &self.session);
        let run = kind.run(&job.row.payload.0, claim);
        Box::pin(async move {
            let result = run.await.map_err(BoxDynError::from);
            drop(job);
            result
        })
    }
}

fn claim_of(row: &ClaimedRow, job: &ClaimedJob, session: &Session) -> Claim {
    Claim {
        job_id: row.id,
        fence: row.fence,
        attempt: positive(row.attempt) + 1,
        max_attempts: positive(row.max_attempts),
        crashes: positive(row.crashes),
        cancelled: job.cancel.clone(),
        queue: session.queue.clone(),
    }
}

/// Counters in the database are SMALLINT and never negative.
fn positive(counter: i16) -> u16 {
    u16::try_from(counter).unwrap_or(0)
}
