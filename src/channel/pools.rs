//! The pools of workers. Each has its section in the configuration.

/// Messages that arrive.
pub const INBOUND: &str = "inbound";
/// Turns of the agent with people who chat.
pub const CONVERSATION: &str = "conversation";
/// What schedules ask the agent: it never takes a worker from people who chat.
pub const PROMPTS: &str = "prompts";
/// Replies, and the channel's own words.
pub const REPLIES: &str = "replies";
/// What is sent of our own accord: a broadcast never delays a reply.
pub const PROACTIVE: &str = "proactive";
/// Schedules, alerts and what must be looked after.
pub const UPKEEP: &str = "upkeep";

/// All of them, in the order in which a message passes through them.
pub const ALL: [&str; 7] = [INBOUND, CONVERSATION, PROMPTS, REPLIES, PROACTIVE, CALLBACKS, UPKEEP];
/// What the product is told: a product that is away holds up nothing else.
pub const CALLBACKS: &str = "callbacks";

/// The pools that call Twilio to send.
pub const SENDING: [&str; 2] = [REPLIES, PROACTIVE];
