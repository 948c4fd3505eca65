//! The command line: its words, and what an administrator at a terminal sees and does.

/// The words.
pub(crate) mod command_line;

/// `cloudybot alerts`.
pub(crate) mod alerts;
/// Arguments that are one of a few words.
mod choices;
/// Jobs by number or by a filter.
mod chosen_jobs;
/// `cloudybot chunks`.
pub(crate) mod chunks;
/// `cloudybot deliveries`.
pub(crate) mod deliveries;
/// `cloudybot jobs`.
pub(crate) mod jobs;
/// How jobs are shown.
mod jobs_tables;
/// `cloudybot keys`.
pub(crate) mod keys;
/// `cloudybot messages` and `cloudybot story`.
pub(crate) mod messages;
/// JSON in the order of its struct.
pub(crate) mod ordered;
/// How answers are written.
pub(crate) mod output;
/// `cloudybot deliveries resend`.
mod resends;
/// `cloudybot stats`.
pub(crate) mod stats;
/// `cloudybot status` and `cloudybot check`.
pub(crate) mod status;
/// `cloudybot takeovers`.
pub(crate) mod takeovers;
/// `cloudybot turns`.
pub(crate) mod turns;
/// `cloudybot users`.
pub(crate) mod users;
/// `cloudybot workers`.
pub(crate) mod workers;
