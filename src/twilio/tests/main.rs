//! The REST client against servers on this machine, faults included.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails its test")]

mod server;

mod lists;
mod media;
mod sending;
mod typing;
