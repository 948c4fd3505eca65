//! Ids of rows. Each table has an id type of its own, so that the compiler tells them apart. In JSON and in the
//! database they are plain numbers, UUIDs and texts.

use std::fmt;
use std::str::FromStr;

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

/// Defines ids that are texts, with the error of a text that is none:
/// `text_ids! { /// Doc. Name where is_name, /// Doc. else Error("what it has to be"); … }`.
macro_rules! text_ids {
    ($($(#[$meta:meta])* $name:ident where $rule:ident, $(#[$error_meta:meta])* else $error:ident($says:literal);)+) => {$(
        $(#[$meta])*
        ///
        /// Every text that comes from outside is parsed. A text that comes from the database was parsed before it was stored.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(try_from = "String")]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as a text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        $(#[$error_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($says)]
        pub struct $error;

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                if $rule(&text) { Ok(Self(text)) } else { Err($error) }
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        /// As the text in quotes.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )+};
}

text_ids! {
    /// `channel_users.id`: CloudyBot's id of an account, opaque.
    UserId where is_user_id,
    /// A text that is the id of no account.
    else InvalidUserId("an id has 1 to 200 characters, and no control characters");
    /// `channel_schedules.name`: the stem of a schedule's file.
    ScheduleName where is_schedule_name,
    /// A text that can be the name of no schedule.
    else InvalidScheduleName("its file's name must be of letters, digits, _ and -");
    /// `channel_users_elsewhere.cell`: the name of a cell, or its address.
    CellName where is_cell_name,
    /// A text that is the name of no cell.
    else InvalidCellName("a cell's name has 1 to 100 visible ASCII characters, and no spaces");
}

fn is_user_id(text: &str) -> bool {
    text.chars().count() <= 200 && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_schedule_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn is_cell_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

ids! {
    /// `channel_addresses.id`: a person on WhatsApp.
    AddressId(i64),
    /// `channel_links.id`: a user's claim of an address.
    LinkId(i64),
    /// `channel_changed_ids.id`: a person's number that came with another opaque id.
    ChangeId(i64),
    /// `channel_claim_tokens.id`: a token by which a phone proves whose it is.
    ClaimTokenId(i64),
    /// `whatsapp_consents.id`: what somebody agreed to or took back.
    ConsentId(i64),
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
    /// `channel_unusable_entries.id`: an entry of Twilio's list that could not be taken in.
    UnusableEntryId(i64),
    /// `channel_erasures.id`: a part of an erasure that is not done.
    ErasureId(i64),
    /// `channel_alerts.id`: what a person must look at.
    AlertId(i64),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_id_is_any_text_that_can_be_seen_of_at_most_200_characters() {
        for right in ["alice", "ä", " a ", "user of 7", "\u{2028}a", &"é".repeat(200)] {
            let id: UserId = right.parse().unwrap();

            assert_eq!((id.as_str(), id.to_string().as_str()), (right, right));
            assert_eq!(serde_json::to_value(&id).unwrap(), right);
            assert_eq!(serde_json::from_value::<UserId>(right.into()).unwrap(), id);
        }
        for wrong in ["", " ", "\u{a0}", "a\0", "a\n", "a\u{85}", &"é".repeat(201)] {
            assert_eq!(wrong.parse::<UserId>(), Err(InvalidUserId), "{wrong:?}");
            let told = serde_json::from_value::<UserId>(wrong.into()).unwrap_err().to_string();
            assert_eq!(told, "an id has 1 to 200 characters, and no control characters", "{wrong:?}");
        }
    }

    #[test]
    fn a_schedules_name_is_of_letters_digits_and_two_signs() {
        for right in ["weekly_reminder", "A-1", "-", &"a".repeat(100)] {
            assert_eq!(right.parse::<ScheduleName>().unwrap().as_str(), right);
        }
        for wrong in ["", " a", "a.b", "ä", "a\0", &"a".repeat(101)] {
            assert_eq!(wrong.parse::<ScheduleName>(), Err(InvalidScheduleName), "{wrong:?}");
        }
    }

    #[test]
    fn a_cells_name_can_be_seen_and_has_no_spaces() {
        for right in ["eu-2", "https://eu-2.example/v1", &"a".repeat(100)] {
            assert_eq!(right.parse::<CellName>().unwrap().as_str(), right);
        }
        for wrong in ["", "eu 2", "ä", "a\0", "a\n", &"a".repeat(101)] {
            assert_eq!(wrong.parse::<CellName>(), Err(InvalidCellName), "{wrong:?}");
        }
    }
}
