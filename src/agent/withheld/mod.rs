//! What an agent writes that is not for a person: its thoughts, the words by which it chooses silence, lines for its gateway, and characters that
//! control a terminal. Whatever has none of it passes byte for byte. Code stays as it is, except for control characters.

/// `<|channel|>analysis<|message|>…<|end|>`.
mod channels;
/// Code within Markdown.
mod code;
/// Characters and sequences that control a terminal.
mod control;
/// `MEDIA:` lines.
mod media;
/// `NO_REPLY` and `HEARTBEAT_OK`.
mod silence;
/// `<think>…</think>`, `[THINK]…[/THINK]` and the like.
mod thoughts;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// A kind of what is not for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WithheldKind {
    /// `NO_REPLY`, and what it says about it.
    Silence,
    /// `HEARTBEAT_OK`, and what it says about it.
    Heartbeat,
    /// What it thought before it spoke.
    Thought,
    /// A file that the gateway was to send.
    MediaDirective,
    /// Characters that control a terminal.
    ControlCharacter,
}

impl fmt::Display for WithheldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "NO_REPLY",
            Self::Heartbeat => "HEARTBEAT_OK",
            Self::Thought => "thoughts",
            Self::MediaDirective => "a media directive",
            Self::ControlCharacter => "control characters",
        })
    }
}

/// The kinds that an answer had. Never the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld(BTreeSet<WithheldKind>);

impl Withheld {
    /// Each kind once, always in the same order.
    pub fn kinds(&self) -> impl Iterator<Item = WithheldKind> + '_ {
        self.0.iter().copied()
    }

    /// Whether all of the answer is for a person.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, kind: WithheldKind) -> bool {
        self.0.contains(&kind)
    }
}

impl FromIterator<WithheldKind> for Withheld {
    fn from_iter<I: IntoIterator<Item = WithheldKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().collect())
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in self.0.iter().enumerate() {
            write!(f, "{}{kind}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// What is left of an answer for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// The words; blank where there are none.
    pub(crate) text: String,
    /// What is missing.
    pub(crate) withheld: Withheld,
    /// The last thought never ended, so the answer is missing, too.
    pub(crate) breaks_off: bool,
}

/// A text without one kind of what is not for a person.
struct Without<'a> {
    text: Cow<'a, str>,
    kinds: Vec<WithheldKind>,
}

impl<'a> Without<'a> {
    /// Nothing had to go.
    fn nothing(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), kinds: Vec::new() }
    }
}

/// Takes out of an answer what is not for a person.
pub(crate) fn take_out(text: &str) -> Spoken {
    // Control characters hide the rest from whoever looks for it; a token of silence may stand in a thought, or behind one.
    let controlled = control::take_out(text);
    let (final_channel, analysis_breaks_off) = channels::take_out(&controlled.text);
    let (thought, thought_breaks_off) = thoughts::take_out(&final_channel.text);
    let directed = media::take_out(&thought.text);
    let silenced = silence::take_out(&directed.text);
    let kinds = [&controlled.kinds, &final_channel.kinds, &thought.kinds, &directed.kinds, &silenced.kinds];
    let withheld = kinds.into_iter().flatten().copied().collect();
    let breaks_off = analysis_breaks_off || thought_breaks_off;
    Spoken { text: silenced.text.into_owned(), withheld, breaks_off }
}

/// How much of the space behind something that was taken out was there for its sake.
fn gap(before: &str, after: &str) -> usize {
    let space = &after[..after.len() - after.trim_start().len()];
    let line = before.trim_end_matches([' ', '\t']);
    match (space.find('\n'), space.rfind('\n')) {
        // The line that it stood on goes with it. What follows keeps its indentation.
        (_, Some(last)) if line.is_empty() || line.ends_with("\n\n") => last + 1,
        (Some(first), _) if line.ends_with('\n') => first + 1,
        (None, None) if line.len() < before.len() || line.is_empty() || line.ends_with('\n') => space.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
