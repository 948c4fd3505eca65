//! The channel's rules, each in one place. Jobs, HTTP handlers and the command line call them.
//!
//! ```text
//! inbound ─► conversation ─► outbound ◄─ schedules
//! ```

/// What the rules need.
pub mod app;

/// What is enqueued.
pub mod kinds;
/// The names of lanes and keys.
pub mod lanes;
/// The pools of workers.
pub mod pools;

/// A turn of the agent.
pub mod conversation;
/// What arrives: taken in, understood, decided on.
pub mod inbound;
/// What leaves.
pub mod outbound;
/// What an operator writes into `schedules/`, and when it falls due.
pub mod schedules;

/// What an operator asks and does.
pub mod administration;
/// What must be looked at by a person.
pub mod alerts;
/// How many metered messages a user may still be sent.
pub mod allowance;
/// What the product is told.
pub mod callbacks;
/// Which users are in another deployment.
pub mod cells;
/// In which countries the assistant may talk to people.
pub mod compliance;
/// What messages cost.
pub mod costs;
/// What this process has sent, held back and asked.
pub mod counters;
/// Who may open a user's dashboard.
pub mod dashboard_access;
/// Durations as operators write them.
pub mod durations;
/// Erasing a person.
pub mod erasure;
/// Who wants nothing of our own accord.
pub mod opt_out;
/// What the operator sells.
pub mod plans;
/// When people are left in peace.
pub mod quiet_hours;
/// How long what is not needed any more is kept.
pub mod retention;
/// Another try of what gave up.
pub mod retries;
/// What people read from the channel itself.
pub mod texts;
/// Jobs that no running process knows.
pub mod unknown_kinds;
/// What the product tells of a user.
pub mod user_attributes;
/// A user's time zone and quiet hours.
pub mod user_times;
/// Why something was not written.
pub mod write_error;
