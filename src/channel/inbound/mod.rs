//! What arrives: taken in once, understood, and decided on.

/// Who may talk to the agent.
pub mod admission;
/// Takes in what Twilio has and we have not.
pub mod backfill;
/// Takes messages in that arrive together.
pub mod batcher;
/// Whose a number is that comes with another opaque id.
pub mod changed_ids;
/// Tokens by which a phone proves whose it is.
pub mod claims;
/// What a message says to the channel itself.
pub mod commands;
/// The way to a person.
pub mod human;
/// Takes a message in, in the webhook's own transaction.
pub mod intake;
/// STOP and START.
mod keywords;
/// How fast people may write.
pub mod limits;
/// What may be said to the agent.
pub mod moderation;
/// A stored webhook that is taken in anew.
pub(crate) mod replay;
