//! What leaves: planned, sent once, and followed to its end.

/// A SID for a chunk.
mod acceptance;
/// A delivery as the product sees it.
pub mod delivery_view;
/// Sends whose outcome nobody knows.
pub mod in_doubt;
/// The channel's own word to a person.
pub mod notices;
/// What stands in the way of words to a person.
pub(crate) mod obstacles;
/// Plans a text: its chunks, footer and limits.
pub mod planning;
/// Plans what we say of our own accord.
pub mod proactive;
/// What quiet hours mean for a delivery.
pub mod quiet_rule;
/// What a failed attempt to send means.
mod send_failures;
/// The job that sends a chunk.
pub mod send_jobs;
/// A sender that Twilio refuses.
pub mod sender;
/// An attempt to send a chunk.
pub mod sending;
/// What Twilio says became of a message.
pub mod status;
/// Finds out what became of messages whose callbacks were lost.
pub mod status_look_ups;
/// What an approved template must look like.
pub mod template;
/// What WhatsApp says of templates from day to day.
pub mod template_changes;
