//! Schedules: what an operator writes into `schedules/`, and when it falls due. `audience`, `audience_size`, `coming_up`, `duty`, `ending`, `firing` and `lateness` work on the database; the
//! others are pure.

/// The users of a slot, page by page.
pub mod audience;
/// How many people that are.
pub mod audience_size;
/// What schedules will say to a user next.
pub mod coming_up;
/// Crontab expressions.
pub mod crontab;
/// What a schedule does and when, key by key.
pub mod definition;
/// What is said at a slot.
pub mod duty;
/// The end of a slot.
pub mod ending;
/// What a file excepts.
pub mod except_item;
/// Days on which a schedule is silent.
pub mod excepted_days;
/// Makes the slots of what has fallen due.
pub mod firing;
/// What is late.
pub mod lateness;
/// Times as clocks on the wall show them.
pub mod local_time;
/// The moments at which a schedule falls due.
pub mod moments;
/// `{{user.id}}` and the like.
pub mod placeholders;
/// A schedule's file.
pub mod schedule_file;
/// By what a schedule falls due.
pub mod timing;
/// On whose clocks a schedule falls due.
pub mod zone_choice;
/// The time zone rules that schedules go by.
pub mod zones;
