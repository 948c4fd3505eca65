//! What is remembered: all SQL over the channel's own tables. No HTTP, no jobs.
//!
//! A function is one statement or a few on the caller's connection, so the caller owns the transaction. Locks are
//! taken in one order everywhere, which `src/ARCHITECTURE.md` has.

/// WhatsApp people.
pub mod addresses;
/// Administrators who have logged in with a browser.
pub mod admin_sessions;
/// Calls of the agent within a turn.
pub mod agent_calls;
/// When an agent answered nobody.
pub mod agent_outages;
/// What a person must look at.
pub mod alerts;
/// Metered messages of a user in a billing period.
pub mod allowances;
/// Apologies for turns that failed.
pub mod apologies;
/// Taking messages in.
pub mod arrivals;
/// What came of the files that people sent.
pub mod attachments;
/// The users of a slot, and their zones.
pub mod audiences;
/// Whether the product is told of changes.
pub mod callbacks;
/// Numbers that came with another opaque id.
pub mod changed_ids;
/// Where a chunk stands in a list.
pub mod chunk_place;
/// Which chunks an administrator means.
pub mod chunk_search;
/// Parts of deliveries, each one Twilio message.
pub mod chunks;
/// Tokens by which a phone proves whose it is.
pub mod claim_tokens;
/// The database's clock.
pub mod clock;
/// What people agreed to and took back.
pub mod consents;
/// Threads with the agent.
pub mod conversations;
/// How far periodic work has come.
pub mod cursors;
/// What an open dashboard follows.
pub mod dashboard_changes;
/// Messages that were written in the dashboard.
pub mod dashboard_messages;
/// Who has the dashboard open in a browser.
pub mod dashboard_sessions;
/// Logical outbound messages.
pub mod deliveries;
/// Deliveries for administrators.
pub mod delivery_records;
/// Which deliveries an administrator means.
pub mod delivery_search;
/// A name that tells this database from others.
pub mod deployment;
/// A conversation as its user sees it.
pub mod entries;
/// Erasing a user.
pub mod erasure;
/// What was found out about agents' gateways.
pub mod gateways;
/// Figures for metrics, read by one of all processes.
pub mod gauges;
/// Requests with an Idempotency-Key.
pub mod idempotency_keys;
/// Ids of rows.
pub mod ids;
/// Sends of which nobody knows whether they arrived.
pub mod in_doubt;
/// Which rows hang on which secret key.
pub mod keys_in_use;
/// Links between users and addresses.
pub mod links;
/// Two rows that prove to be one person.
pub mod merging;
/// What people wrote, for administrators.
pub mod message_records;
/// What people wrote.
pub mod messages;
/// Makes the tables.
pub mod migrations;
/// Hints that a person gets now and then.
pub mod notices;
/// Who wants no proactive messages.
pub mod opt_outs;
/// What an operator is told first.
pub mod overview;
/// The people to whom a conversation was opened within a day.
pub mod people_per_day;
/// Billing periods.
pub mod periods;
/// Chunks on their way into their table.
pub mod planned_chunks;
/// Notifications and what schedules send.
pub mod proactive_deliveries;
/// The processes of the service, and what each does.
pub mod processes;
/// What waits for the end of quiet hours.
pub mod quiet_deliveries;
/// Token buckets of the rate limits.
pub mod rate_buckets;
/// Users who may be written to, and what is known of them.
pub mod recipients;
/// Removing claim tokens from stored texts.
pub mod redactions;
/// Hashing rows anew with the newest secret key.
mod rehashing;
/// What the database must offer.
pub mod requirements;
/// What is old and kept no longer.
pub mod retention;
/// Successors of jobs that gave up, made by hand.
pub mod retries;
/// Which process has loaded which schedules.
pub mod schedulers;
/// Operators' cron duties.
pub mod schedules;
/// Keys of the hashes.
pub mod secret_keys;
/// Tries to hand chunks to Twilio.
pub mod send_attempts;
/// The pace of everything that is sent.
pub mod sender_pace;
/// What was sent, by what it costs.
pub mod sent_messages;
/// What slots came to for their users.
pub mod slot_users;
/// Moments at which schedules fell due.
pub mod slots;
/// How Postgres plans statements about many users.
pub mod statement_settings;
/// Status callbacks from Twilio.
pub mod status_callbacks;
/// What takes how much of the database.
pub mod storage;
/// Conversations in which a person of the operator's answers.
pub mod takeovers;
/// What WhatsApp says of templates.
pub mod templates;
/// States, reasons and outcomes.
pub mod text_enum;
/// Turns and messages as administrators look at them.
pub mod turn_records;
/// Runs of the agent.
pub mod turns;
/// What becomes of messages that Twilio has accepted.
pub mod twilio_statuses;
/// Messages that came to nothing of late.
pub mod undelivered;
/// Entries of Twilio's list that nobody could take in.
pub mod unusable_entries;
/// Gateways that users have of their own.
pub mod user_agents;
/// Users as an administrator looks for them.
pub mod user_search;
/// CloudyBot's accounts.
pub mod users;
/// Users of other cells.
pub mod users_elsewhere;
/// What answers held that is not for a person.
pub mod withheld;
