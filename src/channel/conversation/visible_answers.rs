//! Answers of which a person sees something.

use agent::error::AgentError;
use agent::turn::{AgentAnswer, Reply};
use whatsapp_text::text::{Format, WhatsappText};

use crate::outbound::planning;

/// An answer of which WhatsApp's signs leave nothing, as of a lone HTML comment, is an empty one. So it is in the dashboard, which shows no comment
/// either.
pub fn visible(answer: AgentAnswer, format: Format) -> Result<AgentAnswer, AgentError> {
    match &answer.reply {
        Reply::Text(text) if planning::is_blank(WhatsappText::of(text, format).as_str()) => {
            Err(AgentError::Empty(answer.withheld))
        }
        _ => Ok(answer),
    }
}
