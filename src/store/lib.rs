//! What is remembered: all SQL over the channel's own tables. No HTTP, no jobs.
//!
//! A function is one statement or a few, on the caller's connection: who calls owns the transaction. Locks are taken in one order
//! everywhere: address, conversation, delivery, chunk.

/// WhatsApp people.
pub mod addresses;
/// What a person must look at.
pub mod alerts;
/// What a user may still be sent.
pub mod allowances;
/// What came of the files that people sent.
pub mod attachments;
/// Numbers that came with another opaque id.
pub mod changed_ids;
/// Their parts, each one Twilio message.
pub mod chunks;
/// By which a phone proves whose it is.
pub mod claim_tokens;
/// The database's clock.
pub mod clock;
/// What people agreed to and took back.
pub mod consents;
/// Threads with the agent.
pub mod conversations;
/// How far periodic work has come.
pub mod cursors;
/// Logical outbound messages.
pub mod deliveries;
/// What tells this database from others.
pub mod deployment;
/// Sends of which nobody knows whether they arrived.
pub mod doubts;
/// A conversation as its user sees it.
pub mod entries;
/// Forgetting a user.
pub mod erasure;
/// The same request is the same delivery.
pub mod idempotency_keys;
/// Which rows hang on which secret key.
pub mod keys_in_use;
/// Which user writes from which address.
pub mod links;
/// Two rows that prove to be one person.
pub mod merging;
/// What people wrote.
pub mod messages;
/// Makes the tables.
pub mod migrations;
/// What is not told at every message.
pub mod notices;
/// Who wants no proactive messages.
pub mod opt_outs;
/// When that begins anew.
pub mod periods;
/// How many users at once are looked up.
pub mod planner;
/// What is sent of our own accord.
pub mod proactive_deliveries;
/// How fast messages may come.
pub mod rate_buckets;
/// Claim tokens in what people wrote.
pub mod redactions;
/// Putting the newest secret key in the place of former ones.
mod rehashing;
/// What a database must be like.
pub mod requirements;
/// Successors of what gave up.
pub mod retries;
/// Which process has loaded which schedules.
pub mod schedulers;
/// Operators' cron duties.
pub mod schedules;
/// Keys of the hashes.
pub mod secret_keys;
/// How fast the sender may speak.
pub mod sender_pace;
/// The moments at which they fell due.
pub mod slots;
/// What is known of users who may be written to.
pub mod standings;
/// What Twilio reported.
pub mod status_callbacks;
/// States, reasons and outcomes.
pub mod text_enum;
/// Turns and messages as administrators look at them.
pub mod turn_records;
/// Runs of the agent.
pub mod turns;
/// What Twilio lists and nobody could take in.
pub mod unusable_entries;
/// The agents that they have of their own.
pub mod user_agents;
/// CloudyBot's accounts.
pub mod users;
