//! What is asked and answered.

use std::time::Duration;

use crate::memory::Memory;

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
    /// Whether the agent was asked the same before, and may have begun.
    pub is_again: bool,
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

impl Reply {
    /// What an agent's text means: a lone `NO_REPLY`, in any case, is silence.
    #[must_use]
    pub fn of(text: String) -> Self {
        if text.trim().eq_ignore_ascii_case("NO_REPLY") { Self::Silent } else { Self::Text(text) }
    }
}
