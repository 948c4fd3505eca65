//! Schedules: what an operator writes into `schedules/`, and when it falls due. `crontab`, `moments`, `definition` and `placeholders` are pure; the others work on the database.

/// The users of a slot, page by page.
pub mod audience;
/// Crontab expressions.
pub mod crontab;
/// A schedule's file.
pub mod definition;
/// What is said at a slot.
pub mod duty;
/// The end of a slot.
pub mod ending;
/// Days on which a schedule is silent.
pub mod excepted_days;
/// Makes the slots of what has fallen due.
pub mod firing;
/// When a schedule falls due.
pub mod moments;
/// `{{user.id}}` and the like.
pub mod placeholders;
/// The time zone rules that schedules go by.
pub mod zones;
