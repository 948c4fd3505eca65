//! Twilio's error codes in words: what has happened, and what helps. One table for all who show a code to a person.
//!
//! The codes and their meanings are Twilio's (<https://www.twilio.com/docs/api/errors>); the words are ours.

/// What a code says to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What has happened.
    pub cause: &'static str,
    /// What helps.
    pub remedy: &'static str,
}

/// A code, in words. A code that the table does not have is said to be unknown.
#[must_use]
pub fn explain(code: i32) -> Explanation {
    TABLE
        .iter()
        .find(|(codes, ..)| codes.contains(&code))
        .map_or(UNKNOWN, |(_, cause, remedy)| Explanation { cause, remedy })
}

/// The code that an error of ours names (`… code 21211 …`, `Twilio says 20003: …`), and what it says.
#[must_use]
pub fn named_in(error: &str) -> Option<(i32, Explanation)> {
    let words = ["code ", "Twilio says "];
    words.into_iter().flat_map(|word| error.match_indices(word)).find_map(|(at, word)| {
        let rest = &error[at + word.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // Twilio's have five digits.
        let code = (digits == 5).then(|| rest[..digits].parse().ok()).flatten()?;
        Some((code, explain(code)))
    })
}

const UNKNOWN: Explanation = Explanation {
    cause: "Twilio's code is not in our table.",
    remedy: "Look it up at https://www.twilio.com/docs/api/errors, or in the error log of Twilio's console.",
};

const LATER: &str = "Nothing: it is tried again by itself.";
const ASK_PERSON: &str = "Ask the person on another way whether the number is right and has WhatsApp; a new claim links another phone.";
const MEND_TEMPLATE: &str = "Mend the template or its variables, then send it anew.";
const MEND_ACCOUNT: &str = "Mend the account at Twilio; sending is paused and goes on by itself, or at once after `cloudybot jobs probe`.";
const REPORT: &str =
    "Report it as an error of this program: what it sends is meant to be within Twilio's bounds.";

/// Codes, what has happened, and what helps.
#[rustfmt::skip]
const TABLE: &[(&[i32], &str, &str)] = &[
    (&[20429], "Twilio got too many requests at once, and did not take this one.", LATER),
    (&[63017], "The account sends more than WhatsApp allows.", LATER),
    (&[63018], "The sender writes faster than WhatsApp allows, in all or to this person.", "Lower `twilio.sender_per_sec`, if it happens often."),
    (&[30001, 21611], "Twilio's queue of this sender is full.", LATER),
    (&[14107], "Twilio takes two programs for an endless exchange of replies.", "Look whether the person is a program that answers each message."),
    (&[63038], "The account has reached its daily number of messages.", "Have Twilio raise the account's cap; sending goes on by itself when the day is over."),
    (&[20500, 20503], "Twilio has an internal fault, and does not say whether it took the message.", "Nothing: its list is looked at, and an administrator is asked where that does not tell."),
    (&[63009, 63010, 63012, 63023, 30500, 30410], "WhatsApp or Twilio has an internal fault.", "Send it anew; if it goes on, look at Twilio's status page."),
    (&[30020, 30021, 63037], "Twilio could not hand the message to WhatsApp.", "Send it anew; if it goes on, ask Twilio's support."),
    (&[30008], "It was not delivered, and WhatsApp does not say why.", "Ask the person before it is sent anew: it may have arrived."),
    (&[63053], "WhatsApp has not yet taken the template over.", "Wait some minutes, then send it anew."),
    (&[21211, 21614, 21212, 21604], "The number is none that can be written to.", ASK_PERSON),
    (&[63003], "The number has no WhatsApp.", ASK_PERSON),
    (&[63024], "The person's WhatsApp takes no such messages: it is too old, its terms were not accepted, or the number has none.", "The person updates WhatsApp and accepts its terms, or links another phone."),
    (&[63031], "The sender and the person are the same number.", "Link another phone than the sender's."),
    (&[63015], "The person has not joined Twilio's sandbox, or did so more than three days ago.", "The person sends the sandbox's join code again, or a real sender is used."),
    (&[63032], "WhatsApp keeps this message from this person, as a part of an experiment.", "Nothing can be done for this person."),
    (&[63049], "WhatsApp keeps marketing from this person now.", "Wait a day, or have the template approved as utility."),
    (&[30003, 30004, 30005, 30006, 30007], "The person's carrier does not deliver it.", ASK_PERSON),
    (&[21408], "The account may not write to this country.", "Allow the country in Twilio's console under messaging, geographic permissions."),
    (&[21610], "The person has written STOP to Twilio.", "The person writes START."),
    (&[63033, 63050, 63014], "The person has blocked the sender, or wants no marketing from it.", "The person lifts that in WhatsApp and writes START."),
    (&[63016], "The person has not written for 24 hours, so WhatsApp takes templates alone.", "Give an approved template, or wait until the person writes."),
    (&[21617, 21658], "The text is too long.", REPORT),
    (&[21602], "The message has no text.", REPORT),
    (&[21619, 21620, 21623, 63019, 63025, 63034], "The medium cannot be fetched, or is too large.", "Look at the medium's address, type and size."),
    (&[21624], "The validity period is none that Twilio takes.", REPORT),
    (&[21654, 21655, 21656, 92002, 92007], "The template's id or its variables are wrong.", MEND_TEMPLATE),
    (&[63005, 63013, 63021], "WhatsApp refuses what the message says or how it is made.", MEND_TEMPLATE),
    (&[63027, 63028], "The template is not there in this language, or has another number of variables.", MEND_TEMPLATE),
    (&[63040], "WhatsApp has rejected the template.", "Mend the template and have it approved; what waits for it is tried again by itself."),
    (&[63041], "WhatsApp has paused the template, since people complained.", "Wait some hours, or have another template approved."),
    (&[63042, 63054], "WhatsApp has disabled the template.", "Have another template approved."),
    (&[30036], "It was not delivered while it was valid.", "Send it anew, if it is still worth it."),
    (&[20003], "The account's id and token, or its API key, are wrong, or the account is suspended.", "Look at the account in Twilio's console: one that is suspended, for a bill say, needs no change here; otherwise set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN to the right ones, and start again."),
    (&[20005, 30002], "The account is closed or suspended.", MEND_ACCOUNT),
    (&[20404], "Twilio has no such account or service.", "Look at TWILIO_ACCOUNT_SID and TWILIO_API_BASE_URL."),
    (&[21606, 21659, 21660, 21661, 63007], "The sender is none of the account's WhatsApp senders.", "Set TWILIO_WHATSAPP_NUMBER to a WhatsApp sender of this account."),
    (&[63002, 63008], "The sender's channel is not set up at Twilio.", MEND_ACCOUNT),
    (&[21701, 21703, 21704, 21711], "The messaging service is not there, or has no sender.", MEND_ACCOUNT),
    (&[21609], "Twilio does not take the address for status callbacks.", "Set TWILIO_WEBHOOK_PUBLIC_URL to an address that Twilio can reach."),
    (&[63020, 63022, 63056, 63058, 63059], "Meta has locked or restricted the business account or the sender.", "Look at the account in Meta's business manager; sending is paused and goes on by itself."),
    (&[63051], "The sender is not registered at WhatsApp any more, as after a month without a message.", "Register the sender anew in Twilio's console."),
    (&[63062, 63112], "Meta's terms were not accepted, or the sender is being moved.", "Look at the sender in Twilio's console; sending is paused and goes on by itself."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_with_a_class_is_explained_once() {
        for code in crate::errors::codes() {
            assert_ne!(explain(code), UNKNOWN, "{code}");
        }
        let explained: usize = TABLE.iter().map(|(codes, ..)| codes.len()).sum();

        assert_eq!(explained, crate::errors::codes().count());
    }

    #[test]
    fn the_code_that_an_error_names_is_found() {
        let named = |error| named_in(error).map(|(code, _)| code);

        assert_eq!(named("refused with HTTP 401, code 20003: Authenticate"), Some(20003));
        assert_eq!(named("a code of 7 and code 12, then code 63024."), Some(63024));
        assert_eq!(named("Twilio says 20003: Authenticate"), Some(20003));
        assert_eq!(named("refused with HTTP 401"), None);
        assert_eq!(named("code 1234567"), None);
    }

    #[test]
    fn a_code_that_nobody_knows_is_said_to_be_unknown() {
        assert_eq!(explain(12345), UNKNOWN);
    }
}
