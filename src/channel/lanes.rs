//! The names of lanes, and of the keys that more than one place spells: two jobs that must not run beside each other must spell them alike.

use store::ids::{AddressId, AlertId, ChunkId, ConversationId, ScheduleName};

/// Inbound messages of one person are worked off in order.
#[must_use]
pub fn inbound(address_id: AddressId) -> String {
    format!("inbound:{address_id}")
}

/// Browser phrases of one person and calls for somebody to talk to, beside what they say to the agent.
#[must_use]
pub fn browser(address_id: AddressId) -> String {
    format!("browser:{address_id}")
}

/// Browser phrases of one conversation in the dashboard.
#[must_use]
pub fn dashboard_browser(conversation_id: ConversationId) -> String {
    format!("dashboard-browser:{conversation_id}")
}

/// One turn of a conversation at a time.
#[must_use]
pub fn conversation(conversation_id: ConversationId) -> String {
    format!("conversation:{conversation_id}")
}

/// Replies to one person leave in order.
#[must_use]
pub fn replies(address_id: AddressId) -> String {
    format!("replies:{address_id}")
}

/// What is sent to one person of our own accord leaves in order.
#[must_use]
pub fn proactive(address_id: AddressId) -> String {
    format!("proactive:{address_id}")
}

/// Slots of one schedule in one zone are worked off in order; the zone is empty where the schedule has one.
#[must_use]
pub fn schedule(name: &ScheduleName, zone: &str) -> String {
    format!("schedule:{name}:{zone}")
}

/// What is told of one alert is told in order.
#[must_use]
pub fn alert(id: AlertId) -> String {
    format!("alert:{id}")
}

/// By this key a status callback wakes the job of a chunk that waits for it.
#[must_use]
pub fn chunk_key(chunk_id: ChunkId) -> String {
    format!("chunk:{chunk_id}")
}

/// At most one job lives for each moment at which quiet hours end …
#[must_use]
pub fn quiet_key(end: chrono::DateTime<chrono::Utc>) -> String {
    format!("quiet:{}", end.timestamp_micros())
}

/// … and one for what those left over.
pub const QUIET_LEFT_OVER_KEY: &str = "quiet:left-over";

/// At most one `plan_room` lives.
pub const ROOM_KEY: &str = "room";

/// At most one `upkeep` lives.
pub const UPKEEP_KEY: &str = "upkeep";
