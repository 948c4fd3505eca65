//! What an operator asks and does, once for the command line, `/admin/api` and the pages, in the same words.
//!
//! A question is a function that takes connections and gives a view: a type that is JSON for programs (camelCase, RFC 3339) and is described for
//! `/openapi.json`. What a view says to a person, it says in words of its own (`cause`, `remedy`); the command line only lays them out.

/// What a person must look at.
pub mod alerts;
/// The parts of what left.
pub mod chunks;
/// What left, and what did not.
pub mod deliveries;
/// What became of what was said, in short.
pub mod fate;
/// Figures of the whole database, for metrics.
pub mod figures;
/// What was found by looking.
pub mod findings;
/// Sends of which nobody knows whether they arrived.
pub mod in_doubt;
/// What was sent month by month.
pub mod message_stats;
/// What people wrote.
pub mod messages;
/// What is paused.
pub mod pauses;
/// Whom an administrator means.
pub mod people;
/// The processes that work.
pub mod processes;
/// Sending anew what did not arrive.
pub mod resends;
/// What needs a person first.
pub mod status;
/// What takes how much of the database.
pub mod storage;
/// What happened with a message.
pub mod story;
/// Runs of the agent.
pub mod turns;
/// Looking for users.
pub mod users;
