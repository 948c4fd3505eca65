//! The queue's contract, proved on a real Postgres.

mod support;

mod attempts;
mod enqueueing;
mod lanes;
mod leases;
mod stopping;
