//! What is remembered: all SQL over the channel's own tables. No HTTP, no jobs.
//!
//! A function is one statement or a few, on the caller's connection: who calls owns the transaction. Locks are taken in one order
//! everywhere: address, conversation, delivery, chunk.

/// WhatsApp people.
pub mod addresses;
/// What a person must look at.
pub mod alerts;
/// Their parts, each one Twilio message.
pub mod chunks;
/// Threads with the agent.
pub mod conversations;
/// Logical outbound messages.
pub mod deliveries;
/// What people wrote.
pub mod messages;
/// Makes the tables.
pub mod migrations;
/// What Twilio reported.
pub mod status_callbacks;
/// Runs of the agent.
pub mod turns;
