//! What is asked and answered.

use std::time::Duration;

use crate::error::AgentError;
use crate::memory::Memory;
use crate::withheld::{self, Spoken, Withheld, WithheldKind};

/// One run of the agent.
#[derive(Clone, Debug)]
pub struct TurnRequest {
    /// The thread. A gateway keeps its history under this name.
    pub conversation_id: String,
    /// Where the person writes.
    pub channel: Channel,
    /// What was said in it before.
    pub memory: Memory,
    /// What the person said, in order.
    pub parts: Vec<TurnPart>,
    /// How long ago the agent was first asked the same, and may have begun; `None`: it was not.
    pub asked_before: Option<Duration>,
    /// When the run is given up.
    pub timeout: Duration,
}

impl TurnRequest {
    /// Everything that the agent is told in words.
    pub(crate) fn words(&self) -> Vec<&str> {
        let texts = self.parts.iter().filter_map(|part| match part {
            TurnPart::Text(text) => Some(text.as_str()),
            TurnPart::Image { .. } => None,
        });
        texts.chain(self.memory.texts()).collect()
    }
}

/// Where a person writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// WhatsApp.
    Whatsapp,
    /// The dashboard's chat.
    Dashboard,
}

/// A part of what a person said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnPart {
    /// Words.
    Text(String),
    /// A picture. Other media are named in words, since no gateway takes them.
    Image {
        /// Its media type.
        mime: String,
        /// The file.
        bytes: Vec<u8>,
    },
}

impl TurnPart {
    /// The words; of a picture its kind and size, for whoever cannot see it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Image { mime, bytes } => format!("picture ({mime}, {} KB)", bytes.len().div_ceil(1024)),
        }
    }
}

/// A gateway answers 400 to more images than this …
pub const IMAGES: usize = 8;
/// … to larger ones …
pub const IMAGE_BYTES: usize = 10 * 1024 * 1024;
/// … to more bytes in all, which keeps a request below its 20 MB in base64 …
pub const IMAGES_BYTES: usize = 13 * 1024 * 1024;
/// … and to other kinds.
pub const IMAGE_TYPES: [&str; 6] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif"];

/// What the agent wants said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This.
    Text(String),
    /// Nothing at all.
    Silent,
}

/// What came of asking the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAnswer {
    /// What it wants said.
    pub reply: Reply,
    /// What else it wrote, which is not for a person.
    pub withheld: Withheld,
}

impl AgentAnswer {
    /// Silence that the agent chose.
    pub(crate) fn silence() -> Self {
        Self { reply: Reply::Silent, withheld: [WithheldKind::Silence].into_iter().collect() }
    }

    /// What an agent's text means. Where only a token of silence is left of it, it is silence.
    ///
    /// # Errors
    /// [`AgentError::Empty`] where nothing is left, or a thought that never ended took the answer's place; [`AgentError::Permanent`] where
    /// it was nothing but a file to send, since asking again would change nothing.
    pub fn of(text: &str) -> Result<Self, AgentError> {
        let Spoken { text, withheld, breaks_off } = withheld::take_out(text);
        let is_silent = withheld.has(WithheldKind::Silence) || withheld.has(WithheldKind::Heartbeat);
        let reply = match text.trim() {
            _ if breaks_off => return Err(AgentError::Empty(withheld)),
            "" if is_silent => Reply::Silent,
            "" if withheld.has(WithheldKind::MediaDirective) => {
                let problem = "it answered with nothing but a file, and this channel sends none";
                return Err(AgentError::Permanent(problem.to_owned()));
            }
            "" => return Err(AgentError::Empty(withheld)),
            _ => Reply::Text(text),
        };
        Ok(Self { reply, withheld })
    }
}
