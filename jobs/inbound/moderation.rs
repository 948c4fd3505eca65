//! Whether a message may reach the agent: the operator's rules first, then somebody who judges texts.

use agent::moderation::Moderator;
use queue::claim::Claim;
use queue::failure::Failure;
use regex::RegexSet;
use store::messages::Message;

/// What is done about a message that somebody objects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody looks.
    Off,
    /// It is noted.
    Log,
    /// The agent does not see it.
    Block,
}

/// The operator's moderation.
#[derive(Clone, Debug)]
pub struct Moderation {
    /// What is done about an objection.
    pub mode: Mode,
    /// Texts that fit one of these are objected to.
    pub rules: RegexSet,
    /// Who is asked about the rest.
    pub moderator: Option<Moderator>,
}

/// What came of looking at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The agent may see it.
    Pass,
    /// The agent must not see it, for this reason.
    Blocked(String),
}

/// How often somebody who does not answer is asked before the message is blocked.
const TRIES: u16 = 5;

impl Moderation {
    /// What can be said without asking anybody. `None`: the moderator must be asked.
    pub(crate) fn by_rules(&self, message: &Message) -> Option<Verdict> {
        if self.mode == Mode::Off {
            return Some(Verdict::Pass);
        }
        if let Some(number) = self.rules.matches(&message.body).iter().next() {
            return Some(self.object(message, format!("moderation.rules, number {}", number + 1)));
        }
        let nothing_to_ask = self.moderator.is_none() || message.body.trim().is_empty();
        nothing_to_ask.then_some(Verdict::Pass)
    }

    /// Asks the moderator. One who does not answer is asked again; where messages are blocked, in the end this one is.
    pub(crate) async fn ask(&self, claim: &Claim, message: &Message) -> Result<Verdict, Failure> {
        let Some(moderator) = &self.moderator else { return Ok(Verdict::Pass) };
        match moderator.judge(&message.body).await {
            Ok(verdict) if verdict.flagged => Ok(self.object(message, verdict.categories.join(", "))),
            Ok(_) => Ok(Verdict::Pass),
            Err(error) if self.mode == Mode::Log => {
                tracing::warn!(message.id = message.id, "Nobody judged message {}: {error}", message.id);
                Ok(Verdict::Pass)
            }
            Err(error) if claim.attempt() >= TRIES => {
                tracing::error!(
                    message.id = message.id,
                    "Blocked message {}, since nobody judged it: {error}",
                    message.id
                );
                Ok(Verdict::Blocked(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn object(&self, message: &Message, reason: String) -> Verdict {
        if self.mode == Mode::Block {
            return Verdict::Blocked(reason);
        }
        tracing::warn!(message.id = message.id, "Moderation objects to message {}: {reason}", message.id);
        Verdict::Pass
    }
}
