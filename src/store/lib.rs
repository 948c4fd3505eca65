//! What is remembered: all SQL over the channel's own tables. No HTTP, no jobs.
//!
//! A function is one statement or a few, on the caller's connection: who calls owns the transaction. Locks are taken in one order
//! everywhere: address, conversation, delivery, chunk.

/// Makes the tables.
pub mod migrations;
/// WhatsApp people.
pub mod addresses;
/// Threads with the agent.
pub mod conversations;
/// What people wrote.
pub mod messages;
/// Runs of the agent.
pub mod turns;
/// Logical outbound messages.
pub mod deliveries;
/// Their parts, each one Twilio message.
pub mod chunks;
/// What Twilio reported.
pub mod status_callbacks;
/// What a person must look at.
pub mod alerts;
