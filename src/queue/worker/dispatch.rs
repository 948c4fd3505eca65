//! The innermost apalis service: hands a claimed job to the handler of its kind.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use tower::Service;

use crate::attempt::Attempt;
use crate::failure::Failure;
use crate::registry::{HandlerFuture, Registry};
use crate::worker::claimed::ClaimedJob;

#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) registry: Arc<Registry>,
}

impl Service<Task<ClaimedJob>> for Dispatch {
    type Response = ();
    type Error = BoxDynError;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<ClaimedJob>) -> Handling {
        let job = task.args;
        let row = &job.owned.row;
        let handler = match self.registry.get(&row.kind) {
            Some(kind) => {
                let attempt = Attempt { job: job.owned.state.clone() };
                kind.run(&row.payload.0, attempt)
            }
            // Unreachable for a worker that has published its kinds. The next claim parks the job.
            None => Box::pin(std::future::ready(Err(Failure::Snooze(Duration::ZERO)))),
        };
        Handling { handler, _job: job }
    }
}

/// A running handler. The job's room is taken for as long as this lives.
pub(crate) struct Handling {
    handler: HandlerFuture,
    _job: ClaimedJob,
}

impl Future for Handling {
    type Output = Result<(), BoxDynError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.handler.as_mut().poll(cx).map_err(BoxDynError::from)
    }
}
