//! What a message says to the channel itself: a keyword, a command about the browser session, a claim token, or nothing of the kind.
//!
//! The whole message counts, never a part of it: "stop please" is for the agent. Invisible characters, letter case, compatibility forms
//! (full width, say) and whatever is no letter or digit around the whole of it (spaces, quotes, WhatsApp's signs for bold, emoji) do not
//! matter. Letters of other scripts that only look alike do: a message in Cyrillic is plain text. A slash begins a command of the agent's.

use std::fmt;
use std::iter;

use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use twilio::inbound::{InboundMessage, PAYLOADS};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::emoji::is_emoji_presentation_selector;
use unicode_properties::{
    EmojiStatus, GeneralCategory, GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _,
};

use crate::app::Settings;
use crate::conversation::message_text;

/// What a message says to the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonCommand {
    /// No proactive messages any more; the word that was used, in capitals.
    Stop(&'static str),
    /// Proactive messages again.
    Start,
    /// The browser session shall end.
    EndBrowserSession,
    /// The writer wants to talk to a person.
    Human,
    /// The phone proves whose it is.
    Claim(ClaimToken),
    /// Nothing: it is for the agent.
    Text,
}

/// Which words count, as far as the operator decides.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// REVOKE and OPTOUT are STOP.
    pub revoke_and_optout: bool,
    /// These ask for a person; each is spelled as `bare` spells it.
    pub human: &'a [String],
}

impl Words<'_> {
    /// Those that always count.
    pub(super) const FIXED: Words<'static> = Words { revoke_and_optout: false, human: &[] };
}

impl Settings {
    /// Which words count.
    #[must_use]
    pub fn words(&self) -> Words<'_> {
        Words { revoke_and_optout: self.whatsapp.revoke_and_optout, human: self.human.words() }
    }
}

/// The words that opt out.
const STOP_WORDS: [&str; 6] = ["STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "STOPALL"];

/// The words that opt out as well where the operator wants it.
const FURTHER_STOP_WORDS: [&str; 2] = ["REVOKE", "OPTOUT"];

/// The word that opts in again.
const START_WORD: &str = "START";

/// What ends a browser session; they begin with a keyword and are none.
const BROWSER_PHRASES: [&str; 3] = ["STOP BROWSER", "BROWSER STOP", "STOP SESSION"];

impl PersonCommand {
    /// Reads a message that arrives.
    #[must_use]
    pub fn of(message: &InboundMessage, words: Words<'_>) -> Self {
        Self::read(message.payload.as_deref().unwrap_or(&message.body), words)
    }

    /// Reads a stored message, whose parameters are as Twilio sent them.
    #[must_use]
    pub fn of_stored(body: &str, params: &Value, words: Words<'_>) -> Self {
        let payload = PAYLOADS
            .into_iter()
            .find_map(|name| message_text::field(params, name).filter(|payload| !payload.trim().is_empty()));
        Self::read(payload.unwrap_or(body), words)
    }

    /// Reads what somebody wrote in the dashboard, where nothing but browser phrases and STOP are commands. Words that answer a question as well
    /// (CANCEL, END, QUIT) are for the agent.
    #[must_use]
    pub fn of_dashboard(text: &str) -> Self {
        match Self::read(text, Words::FIXED) {
            command @ (Self::EndBrowserSession | Self::Stop("STOP" | "STOPALL" | "UNSUBSCRIBE")) => command,
            _ => Self::Text,
        }
    }

    /// Reads what somebody wrote, or what is behind the button that was pressed: a "Cancel" that belongs to the agent's question has a payload
    /// of the agent's.
    pub(super) fn read(said: &str, words: Words<'_>) -> Self {
        let said = bare(said);
        let further = FURTHER_STOP_WORDS.iter().filter(|_| words.revoke_and_optout);
        if let Some(word) = STOP_WORDS.iter().chain(further).copied().find(|word| *word == said) {
            return Self::Stop(word);
        }
        if said == START_WORD {
            return Self::Start;
        }
        if BROWSER_PHRASES.contains(&said.as_str()) {
            return Self::EndBrowserSession;
        }
        if words.human.contains(&said) {
            return Self::Human;
        }
        ClaimToken::read(&said).map_or(Self::Text, Self::Claim)
    }
}

/// A message as it is read: compatibility forms resolved, and nothing invisible.
pub fn visible(body: &str) -> impl Iterator<Item = char> {
    body.nfkc().filter(|c| !is_invisible(*c))
}

/// A message as it is compared with words: in one spelling, and without what stands around it.
pub(super) fn bare(said: &str) -> String {
    let plain = plain(said);
    plain.trim_end_matches(is_around).trim_start_matches(|c: char| is_around(c) && c != '/').to_owned()
}

/// A message in one spelling: what is visible, in capitals, with single spaces and none around.
fn plain(body: &str) -> String {
    let marked: String = with_plain_signs(body).collect();
    let folded: String = caseless::Caseless::default_case_fold(visible(&marked)).collect();
    let words: Vec<&str> =
        folded.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    // Folded letters are small; of those that matter here every small one has one capital.
    words.join(" ").to_ascii_uppercase()
}

/// A sign in the place of each emoji and each accent that stands alone: some of their compatibility forms have letters (™), are letters (㊗️) or
/// join the letter before them (´).
fn with_plain_signs(body: &str) -> impl Iterator<Item = char> {
    let next = body.chars().skip(1).map(Some).chain(iter::once(None));
    body.chars().zip(next).map(|(c, next)| {
        let shown_as_emoji = match c.emoji_status() {
            _ if c.is_ascii() => false,
            EmojiStatus::NonEmoji | EmojiStatus::NonEmojiButEmojiComponent => false,
            EmojiStatus::EmojiOther | EmojiStatus::EmojiModifierBase => {
                next.is_some_and(is_emoji_presentation_selector)
            }
            _ => true,
        };
        let accent = c.general_category() == GeneralCategory::ModifierSymbol;
        if shown_as_emoji || accent { SIGN } else { c }
    })
}

/// A symbol that means nothing.
const SIGN: char = '\u{FFFD}';

/// What may stand around a command: what is no letter, digit or accent. Emoji that are newer than our tables have no category yet.
fn is_around(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Symbol)
        || matches!(c, ' ' | '\u{2BB}' | '\u{2BC}' | '\u{20E3}')
        || (('\u{1F000}'..='\u{1FAFF}').contains(&c) && c.general_category() == GeneralCategory::Unassigned)
}

/// Characters that leave no mark of their own: zero widths, directions, soft hyphens, variation selectors, fillers.
fn is_invisible(c: char) -> bool {
    c.general_category() == GeneralCategory::Format
        || matches!(c, '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{180B}'..='\u{180F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

/// A claim token: `LINK-XXXX-XXXX`. It is a secret, and never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimToken(String);

/// 32 symbols that nobody confuses: no 0 and O, no 1 and I.
const SYMBOLS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

const SYMBOL_COUNT: usize = 8;

/// How a token begins; on a Turkish keyboard the I has its dot, or the small one has none. Its symbols hold no I.
const PREFIXES: [&str; 3] = ["LINK", "LI\u{307}NK", "L\u{131}NK"];

impl ClaimToken {
    /// A new one: 40 random bits.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let symbols = std::iter::repeat_with(|| *SYMBOLS.choose(rng).expect("there are symbols"));
        Self(symbols.take(SYMBOL_COUNT).map(char::from).collect())
    }

    /// Reads a token from a message in its plain spelling. Dashes may be missing, be of another kind or have spaces around. A space may
    /// stand for the second one; spaces alone do not do, or "link that page" would be a token.
    pub(crate) fn read(said: &str) -> Option<Self> {
        let said = PREFIXES.into_iter().find_map(|prefix| said.strip_prefix(prefix))?;
        let rest = without_dash(said);
        let dashed = rest.len() < said.len();
        let (first, rest) = rest.split_at_checked(SYMBOL_COUNT / 2)?;
        let second = without_dash(rest);
        let second = if dashed { second.trim_start() } else { second };
        let symbols = first.to_owned() + second;
        let valid = symbols.len() == SYMBOL_COUNT && symbols.bytes().all(|symbol| SYMBOLS.contains(&symbol));
        valid.then_some(Self(symbols))
    }

    /// The symbols alone: what is hashed.
    #[must_use]
    pub fn symbols(&self) -> &str {
        &self.0
    }

    /// As a person reads and sends it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (first, second) = self.0.split_at(SYMBOL_COUNT / 2);
        format!("LINK-{first}-{second}")
    }
}

/// A minus is as good as a dash, and so is the long vowel mark that the same key gives on a Japanese keyboard.
fn without_dash(text: &str) -> &str {
    let dash = |c: char| {
        c.general_category() == GeneralCategory::DashPunctuation || matches!(c, '\u{2212}' | '\u{30FC}')
    };
    text.trim_start().strip_prefix(dash).map_or(text, str::trim_start)
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(…)")
    }
}

#[cfg(test)]
mod tests;
