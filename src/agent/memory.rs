//! What an agent knows of a conversation before a turn, and who keeps it.

/// Who keeps the history of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKeeper {
    /// The gateway does, in the session that a turn names.
    Gateway,
    /// The server forgets each turn, so a turn brings along what was said before.
    Thread,
}

/// What the agent knows of a conversation before a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The gateway knows it.
    Gateway,
    /// The turn brings it along, the oldest first.
    Thread(Vec<PastMessage>),
}

/// Something that was said before a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastMessage {
    /// Who said it.
    pub role: Role,
    /// What was said. Pictures are named in words.
    pub text: String,
}

/// Who says something in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person.
    Person,
    /// The agent.
    Assistant,
}

impl Memory {
    /// The newer part, for a model that takes no more. `None`: nothing is left to leave out.
    pub(crate) fn shorter(&self) -> Option<Self> {
        match self {
            Self::Thread(past) if !past.is_empty() => {
                Some(Self::Thread(past[past.len() - past.len() / KEPT..].to_vec()))
            }
            Self::Gateway | Self::Thread(_) => None,
        }
    }

    /// Everything that was said, without who said it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let past = match self {
            Self::Gateway => &[],
            Self::Thread(past) => past.as_slice(),
        };
        past.iter().map(|said| said.text.as_str())
    }
}

/// One in so many messages is kept when a model takes no more: after a few refusals there is a question without a past.
const KEPT: usize = 3;

impl Role {
    /// Its name in OpenAI's API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "user",
            Self::Assistant => "assistant",
        }
    }
}
