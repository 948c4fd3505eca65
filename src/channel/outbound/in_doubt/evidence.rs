//! What Twilio's list says of a chunk whose send is in doubt: it is this message, it is none of these, or the list proves nothing.
//!
//! A text is known by its body. A template's body is rendered by Twilio, and an account with redaction lists no bodies; then address and time
//! are all there is, and only a single candidate is believed. Nothing is sent again on a list that could hide the message.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use twilio::address::{is_another_person, is_number};
use twilio::listed::{Entry, ListedMessage};

/// Twilio's dates have whole seconds, and its clock is not the database's.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(5);

/// A message that fits and is older than the attempt by no more than this may be the attempt's by a clock that is wrong: it proves no miss.
const WRONG_CLOCK: TimeDelta = TimeDelta::minutes(15);

/// The chunk that is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Sought<'a> {
    /// What was sent; `None`: a template.
    pub body: Option<&'a str>,
    /// The alias that the attempt wrote to.
    pub to: &'a str,
    /// Our sender.
    pub from: &'a str,
    /// When the attempt began.
    pub started_at: DateTime<Utc>,
    /// Until then Twilio may have taken it in.
    pub until: DateTime<Utc>,
}

/// Another chunk to the same person that is in doubt as well.
#[derive(Clone, Debug)]
pub(crate) struct Rival {
    /// What was sent; `None`: a template.
    pub body: Option<String>,
    /// When its first attempt began.
    pub started_at: DateTime<Utc>,
}

/// What a list says of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListVerdict {
    /// Twilio has it under this SID.
    Found(String),
    /// Twilio did not have it when it was listed.
    Missed,
    /// The list proves nothing, for this reason.
    Unproven(&'static str),
}

/// A message of Twilio's list that is the chunk, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Twilio's id; `None`: it cannot be read.
    pub sid: Option<String>,
    /// What became of it, in Twilio's word.
    pub status: String,
    /// When Twilio took it in.
    pub created_at: Option<DateTime<Utc>>,
    /// How it fits.
    pub fits: &'static str,
}

/// The messages of a list that are the chunk, or may be, each once.
pub(super) fn candidates(sought: &Sought<'_>, listed: &[Entry], owned: &HashSet<String>) -> Vec<Candidate> {
    let shows_bodies = shows_bodies(listed);
    let mut candidates: Vec<Candidate> = Vec::new();
    for entry in listed {
        let fits = match weigh(sought, entry, owned, shows_bodies) {
            Weight::Other => continue,
            Weight::Exact(..) => "it has the same words, to the same person, in the same time",
            Weight::ByTime(..) => "it went to the same person in the same time; its words cannot be compared",
            Weight::Unclear(reason) => reason,
        };
        let candidate = match entry {
            Ok(message) => Candidate {
                sid: Some(message.sid.clone()),
                status: message.status.clone(),
                created_at: message.created_at,
                fits,
            },
            Err(unusable) => {
                Candidate { sid: unusable.sid.clone(), status: String::new(), created_at: None, fits }
            }
        };
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

/// What an entry may be.
enum Weight<'a> {
    /// Certainly not the chunk.
    Other,
    /// The chunk's own words, to its person, in its time.
    Exact(DateTime<Utc>, &'a str),
    /// Its person and its time; the words cannot be compared.
    ByTime(&'a ListedMessage, DateTime<Utc>),
    /// It could be the chunk, and cannot be adopted.
    Unclear(&'static str),
}

/// Judges a list. `owned`: the SIDs of other chunks.
pub(super) fn judge(
    sought: &Sought<'_>,
    listed: &[Entry],
    owned: &HashSet<String>,
    rivals: &[Rival],
) -> ListVerdict {
    let shows_bodies = shows_bodies(listed);
    let mut exact = Vec::new();
    let mut by_time: Vec<(&ListedMessage, DateTime<Utc>)> = Vec::new();
    let mut unclear = None;
    for entry in listed {
        match weigh(sought, entry, owned, shows_bodies) {
            Weight::Other => {}
            Weight::Exact(created_at, sid) => exact.push((created_at, sid)),
            Weight::ByTime(message, created_at) => {
                // Two lists may both have it.
                if by_time.iter().all(|(known, _)| known.sid != message.sid) {
                    by_time.push((message, created_at));
                }
            }
            Weight::Unclear(reason) => unclear = Some(reason),
        }
    }
    // Of several that say the same, each in doubt takes one: the oldest first.
    if let Some((_, sid)) = exact.into_iter().min() {
        return ListVerdict::Found(sid.to_owned());
    }
    match by_time.as_slice() {
        [] => unclear.map_or(ListVerdict::Missed, ListVerdict::Unproven),
        [_] if unclear.is_some() => {
            ListVerdict::Unproven("the list has a message that fits and one that may")
        }
        [(message, created_at)] if rivals.iter().all(|rival| !rival.may_own(message, *created_at)) => {
            ListVerdict::Found(message.sid.clone())
        }
        [_] => ListVerdict::Unproven("the one message that fits may be another chunk's in doubt"),
        _ => ListVerdict::Unproven("several messages fit, and nothing tells them apart"),
    }
}

/// Whether the account's lists have texts: its redaction may remove them.
fn shows_bodies(listed: &[Entry]) -> bool {
    listed
        .iter()
        .flatten()
        .any(|message| !message.is_inbound() && message.media == 0 && !message.body.is_empty())
}

fn weigh<'a>(
    sought: &Sought<'_>,
    entry: &'a Entry,
    owned: &HashSet<String>,
    shows_bodies: bool,
) -> Weight<'a> {
    let message = match entry {
        Ok(message) => message,
        Err(unusable) if unusable.sid.as_ref().is_some_and(|sid| owned.contains(sid)) => {
            return Weight::Other;
        }
        Err(_) => return Weight::Unclear("the list has an entry that cannot be read"),
    };
    if owned.contains(&message.sid)
        || message.is_inbound()
        || is_another_person(&message.to, sought.to)
        || is_another_person(&message.from, sought.from)
    {
        return Weight::Other;
    }
    let fits = match sought.body {
        None => None,
        // Nothing of ours has a file.
        Some(_) if message.media > 0 => return Weight::Other,
        Some(_) if message.body.is_empty() => None,
        Some(body) if same_words(body, &message.body) => Some(()),
        Some(_) => return Weight::Other,
    };
    let Some(created_at) = message.created_at else {
        return Weight::Unclear("a message that fits has no date");
    };
    if created_at < sought.started_at - WRONG_CLOCK {
        return Weight::Other;
    }
    if created_at < sought.started_at - CLOCK_SLACK {
        return Weight::Unclear("a message that fits is a little older than the attempt");
    }
    match fits {
        Some(()) => Weight::Exact(created_at, &message.sid),
        None if created_at > sought.until + CLOCK_SLACK || !may_be_created(message) => Weight::Other,
        None if sought.body.is_some() && shows_bodies => {
            Weight::Unclear("a message without a body stands among messages with theirs")
        }
        None => Weight::ByTime(message, created_at),
    }
}

/// Whether a call of the API made it, as far as Twilio says. What answers a webhook, an opt-out say, is `outbound-reply`.
fn may_be_created(message: &ListedMessage) -> bool {
    matches!(message.direction.as_str(), "" | "outbound-api")
}

impl Rival {
    /// Whether this message may be the rival's.
    fn may_own(&self, message: &ListedMessage, created_at: DateTime<Utc>) -> bool {
        created_at >= self.started_at - CLOCK_SLACK
            && match &self.body {
                None => true,
                Some(body) => message.body.is_empty() || same_words(body, &message.body),
            }
    }
}

/// The white space at the ends of a text, and the kind of its line ends, may change on the way.
fn same_words(one: &str, other: &str) -> bool {
    one.trim().lines().eq(other.trim().lines())
}

/// Whether Twilio's list could be asked for everything that was written to this address. It files a person's messages under the number; whether
/// under an opaque id as well is not known, so a list of an id finds and never misses.
pub(crate) fn can_miss(to: &str) -> bool {
    is_number(to)
}

#[cfg(test)]
mod tests;
