//! `[human]`: the way to a person. WhatsApp's Business Messaging Policy wants that somebody who talks to an automaton can reach one.

use std::time::Duration;

use queue::failure::Failure;
use queue::transaction::Transaction;
use serde::{Deserialize, Deserializer};
use store::alerts::AlertCause;
use store::links;
use store::messages::{Message, MessageOutcome};
use store::notices::NoticeKind;

use super::admission;
use super::commands::{self, PersonCommand, Words};
use crate::alerts;
use crate::app::App;
use crate::outbound::planning::ChunkLimits;

/// `[human]`
#[derive(Clone, Debug, Deserialize)]
pub struct Human {
    /// The words that ask for a person, in the spelling in which messages are compared.
    #[serde(deserialize_with = "bare")]
    words: Vec<String>,
    /// What is answered; empty: the words are for the agent.
    text: String,
    /// Where a person is found, on a line of its own behind the text.
    contact: String,
}

fn bare<'de, D: Deserializer<'de>>(given: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(given)?;
    Ok(words.iter().map(|word| commands::bare(word)).collect())
}

impl Human {
    /// Whether there is a way to a person.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.text.trim().is_empty() && !self.words.is_empty()
    }

    /// The words that count.
    pub(super) fn words(&self) -> &[String] {
        if self.is_on() { &self.words } else { &[] }
    }

    fn answer(&self) -> String {
        let parts = [self.text.trim(), self.contact.trim()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// What is wrong with the section.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        for word in &self.words {
            if word.is_empty() {
                return Some("human.words holds a word without a letter or digit".to_owned());
            }
            if PersonCommand::read(word, Words::FIXED) != PersonCommand::Text {
                return Some(format!("human.words holds {word:?}, which means something else already"));
            }
        }
        let most = ChunkLimits::default().chunk_utf16;
        (self.answer().encode_utf16().count() > most).then(|| {
            format!("human.text and human.contact together are longer than one message, {most} characters")
        })
    }
}

/// A person who asks for one again within this time has just read where to find one.
const AGAIN: Duration = Duration::from_secs(60);

/// Tells the writer of a message where a person is found, and the operator that somebody looks for one.
pub async fn lead_to_person(app: &App, tx: &mut Transaction, message: &Message) -> Result<(), Failure> {
    if admission::due(tx, message, NoticeKind::Human, AGAIN).await? {
        admission::tell(app, tx, message, &app.settings.human.answer()).await?;
    }
    let names = store::addresses::names(tx, message.address_id).await?;
    let who = names.first().map(|name| twilio::address::masked(&name.alias)).unwrap_or_default();
    let user = links::proven_of_address(tx, message.address_id).await?.map(|link| link.user_id);
    let user = user.map_or_else(|| "no user".to_owned(), |user| format!("user {user}"));
    let detail = format!("{who}, {user}, asks for a person in message {}", message.id);
    alerts::raise(tx, &app.settings, AlertCause::HumanWanted, &detail).await?;
    store::messages::end(tx, message.id, MessageOutcome::Human, "the writer asked for a person").await?;
    tracing::info!(message.id = message.id.0, "Message {} asks for a person", message.id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn human(words: &[&str], text: &str) -> Human {
        let section = serde_json::json!({ "words": words, "text": text, "contact": "help@example.com" });
        serde_json::from_value(section).unwrap()
    }

    #[test]
    fn a_word_counts_in_every_spelling_and_only_as_the_whole_message() {
        let human = human(&["Human", "Mensch bitte"], "Write to");
        let words = Words { revoke_and_optout: false, human: human.words() };

        for said in ["human", " HUMAN! ", "*human*", "Ｈｕｍａｎ", "mensch  BITTE."] {
            assert_eq!(PersonCommand::read(said, words), PersonCommand::Human, "{said}");
        }
        for said in ["a human", "human being", "/human", "mensch", ""] {
            assert_eq!(PersonCommand::read(said, words), PersonCommand::Text, "{said}");
        }
    }

    #[test]
    fn without_a_text_the_words_are_for_the_agent() {
        let off = human(&["human"], " ");

        assert!(!off.is_on() && off.words().is_empty());
    }

    #[test]
    fn a_word_that_says_nothing_or_something_else_is_named() {
        for (words, problem) in [
            (&["human", "!"][..], "without a letter"),
            (&["stop."], "\"STOP\""),
            (&["Stop browser"], "\"STOP BROWSER\""),
        ] {
            let told = human(words, "Write to").problem().unwrap();
            assert!(told.contains(problem), "{told}");
        }
        assert_eq!(human(&["human"], "Write to").problem(), None);
        assert!(human(&["human"], &"x".repeat(1600)).problem().is_some());
    }
}
