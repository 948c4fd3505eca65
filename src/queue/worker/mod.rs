//! The parts of a worker process.
//!
//! A pool is one apalis worker. Its [`backend`] claims jobs, the [`attempt_layer`] runs each on a task of its own and
//! judges its outcome, and the [`completer`] stores outcomes in batches. The [`process`] keeps the lease, and the
//! [`poller`] finds due jobs without a wake-up.

pub(crate) mod attempt_layer;
pub(crate) mod backend;
pub(crate) mod claim_gap;
pub(crate) mod claimed;
pub(crate) mod completer;
pub(crate) mod dispatch;
pub(crate) mod lease;
pub(crate) mod listener;
pub(crate) mod lost_completions;
pub(crate) mod maintenance;
pub(crate) mod outcome;
pub(crate) mod outcome_store;
pub(crate) mod pending_claim;
pub(crate) mod poller;
pub(crate) mod pool;
pub(crate) mod process;
pub(crate) mod stop_signal;
pub(crate) mod suspects;
pub(crate) mod tid;
