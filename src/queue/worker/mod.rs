//! What a process that works is made of.
//!
//! A pool is one apalis worker: its [`backend`] claims jobs, the [`attempt`] layer runs each on a task of its own and turns the
//! outcome into a verdict, and the [`completer`] writes verdicts in batches. The [`session`] keeps the lease under all of it,
//! and the [`poller`] looks at the database when nobody rings.

pub(crate) mod attempt;
pub(crate) mod backend;
pub(crate) mod claimed;
pub(crate) mod completer;
pub(crate) mod dispatch;
pub(crate) mod forgotten;
pub(crate) mod listener;
pub(crate) mod place;
pub(crate) mod poller;
pub(crate) mod pool;
pub(crate) mod session;
pub(crate) mod suspects;
pub(crate) mod upkeep;
