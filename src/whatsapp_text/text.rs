//! The result, and how it is asked for.

use serde::{Deserialize, Serialize};

use crate::{dialect, masking, parser, reader};

/// Which signs an author uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Decided once for the whole text: WhatsApp's if single `*x*` stands beside `_x_` or `~x~` and nothing that only Markdown has; else
    /// Markdown.
    #[default]
    Auto,
    /// Markdown.
    Markdown,
    /// WhatsApp's: the text leaves as it was written.
    Whatsapp,
}

impl Format {
    /// How they are written.
    pub const NAMES: [&str; 3] = ["auto", "markdown", "whatsapp"];
}

/// A text with WhatsApp's signs, ready to be planned and sent. It is a type of its own so that no text is converted twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatsappText(String);

impl WhatsappText {
    /// What an author wrote, with WhatsApp's signs.
    #[must_use]
    pub fn of(text: &str, format: Format) -> Self {
        if format == Format::Whatsapp {
            return Self(text.to_owned());
        }
        let source = text.replace("\r\n", "\n");
        let masked = masking::mask(&source);
        let parsed = parser::parse(&masked.text);
        if format == Format::Auto && dialect::is_whatsapp(&masked.text, &parsed.events) {
            return Self(text.to_owned());
        }
        Self(reader::write(&source, &masked, parsed))
    }

    /// A text that has WhatsApp's signs already: it was converted before it was stored, or it is our own.
    #[must_use]
    pub fn as_written(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
