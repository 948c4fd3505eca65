//! Schedules: what an operator writes into `schedules/`, and when it falls due. Nothing in here looks at a clock or a table.

/// Crontab expressions.
pub mod cron;
/// A schedule's file.
pub mod definition;
/// When a schedule falls due.
pub mod moments;
/// `{{user.id}}` and the like.
pub mod placeholders;
