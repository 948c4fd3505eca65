//! Ids of rows. Each table has an id type of its own, so that the compiler tells them apart. In JSON and in the
//! database they are plain numbers and UUIDs.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Defines ids: `ids! { /// Doc. Name(i64), … }`.
macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident($inner:ty),)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// `channel_addresses.id`: a person on WhatsApp.
    AddressId(i64),
    /// `channel_links.id`: a user's claim of an address.
    LinkId(i64),
    /// `channel_conversations.id`: a thread with the agent.
    ConversationId(i64),
    /// `channel_messages.id`: what somebody wrote.
    MessageId(i64),
    /// `channel_turns.id`: a run of the agent.
    TurnId(i64),
    /// `channel_agent_outages.id`: a time in which an agent answered nobody.
    OutageId(i64),
    /// `channel_slots.id`: a moment of a schedule.
    SlotId(i64),
    /// `channel_chunks.id`: one message of Twilio's.
    ChunkId(i64),
    /// `channel_deliveries.id`: one logical outbound message. A UUID v7, so ids are in the order of planning.
    DeliveryId(Uuid),
}

impl DeliveryId {
    /// An id that nothing has yet.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}
