//! Schedules: what an operator writes into `schedules/`, and when it falls due. Only `firing` looks at a table.

/// Crontab expressions.
pub mod cron;
/// A schedule's file.
pub mod definition;
/// Makes the slots of what has fallen due.
pub mod firing;
/// When a schedule falls due.
pub mod moments;
/// `{{user.id}}` and the like.
pub mod placeholders;
