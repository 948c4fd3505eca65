//! A conversation with the agent: what it is asked, and what is made of its reply.

/// What a failed call of the agent means.
pub mod agent_failures;
/// What the ends of turns tell of an agent.
pub mod agent_health;
/// The agent that a user has.
pub mod agents;
/// The apology for a turn that came to nothing.
pub mod apology;
/// Files that came with messages.
mod attachments;
/// The end of the agent's browser session.
pub mod browser_session;
/// Contacts in words.
mod contact;
/// What is written in the dashboard.
pub mod dashboard;
/// When the agent is asked.
pub mod debounce;
/// The word that an answer takes longer.
pub mod delay_notice;
/// What an agent is told of a conversation before a turn.
pub mod memory;
/// Messages in words.
pub mod message_text;
/// Plans a reply.
pub mod replies;
/// What the agent is asked in a turn.
pub mod request;
/// A person of the operator's answers instead of the agent.
pub mod takeovers;
/// The time for a turn.
pub mod turn_budget;
/// Which turn is run, with which messages.
pub mod turns;
/// The signs of work while it lasts.
pub mod typing;
/// Replies that the database has not taken yet.
pub mod unsaved_replies;
/// Answers of which a person sees something.
pub mod visible_answers;
/// What is not for a person, on record.
pub mod withheld;
