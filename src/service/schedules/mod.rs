//! Operators' schedules, as the command line and the administrator's API show, judge and mend them.

/// `cloudybot schedules …`.
pub(crate) mod command;
/// Whether a schedule fires, and why not.
pub(crate) mod condition;
/// The files of this process's folder.
pub(crate) mod files;
/// What is wrong with the files, and what would surprise.
pub(crate) mod findings;
/// Every schedule with its next and last slots.
pub(crate) mod listing;
/// What a schedule would do.
pub(crate) mod preview;
/// Firing by hand, trying, switching on and off.
pub(crate) mod switching;
/// A file that is not in place yet.
mod trial;
/// The next slots.
pub(crate) mod upcoming;
