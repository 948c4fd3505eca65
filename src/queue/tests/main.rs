//! The queue's contract, proved on a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the clock of the machine that runs the database"
)]

mod support;

mod attempts;
mod backlog;
mod completions;
mod connections;
mod durability;
mod enqueueing;
mod failure_groups;
mod histories;
mod history;
mod idle_connections;
mod inspection;
mod lanes;
mod leases;
mod locks;
mod lost_answers;
mod lost_completions;
mod outages;
mod plans;
mod run_now;
mod searching;
mod session_health;
mod starting;
mod stopping;
mod storms;
mod tids;
mod unknown_kinds;
mod wake_ups;
