//! What Twilio's error codes mean for whoever sends: one table for answers and callbacks alike.
//!
//! The codes and their meanings are Twilio's (<https://www.twilio.com/docs/api/errors>); the classes are ours.

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Not processed, too much at once: the same again, later.
    RateLimited,
    /// The account's daily cap: nothing goes out before tomorrow.
    DailyCap,
    /// A passing fault on the way to the person: the same again, a few times.
    Transient,
    /// Nobody knows whether the message was taken in.
    InDoubt,
    /// This person cannot be reached.
    Recipient,
    /// This person does not want to be written to.
    OptedOut,
    /// Free text is not allowed now: the person has not written for 24 hours.
    OutsideWindow,
    /// This text, template or medium is refused.
    MessageContent,
    /// This template cannot be used at present.
    Template,
    /// It was not sent before its validity ended.
    Expired,
    /// The account or the sender is not in order: nothing goes out until an operator acts.
    Configuration,
}

use ErrorClass::{
    Configuration, DailyCap, Expired, InDoubt, MessageContent, OptedOut, OutsideWindow, RateLimited,
    Recipient, Template, Transient,
};

/// Every code with a meaning of its own.
const TABLE: &[(ErrorClass, &[i32])] = &[
    (RateLimited, &[20429, 63017, 63018, 30001, 21611, 14107]),
    (DailyCap, &[63038]),
    (InDoubt, &[20500, 20503]),
    // Reported by callback, when the message has not arrived; 63053: a template that is still being synchronised.
    (Transient, &[63009, 63010, 63012, 63023, 30500, 30410, 30021, 30020, 63037, 30008, 63053]),
    (
        Recipient,
        &[
            21211, 21614, 21212, 21604, 63003, 63024, 63031, 63015, 63032, 63049, 30003, 30004, 30005, 30006,
            30007, 21408,
        ],
    ),
    (OptedOut, &[21610, 63033, 63050, 63014]),
    (OutsideWindow, &[63016]),
    (
        MessageContent,
        &[
            21617, 21658, 21602, 21619, 21620, 21623, 21624, 21654, 21655, 21656, 92002, 92007, 63027, 63028,
            63013, 63021, 63005, 63019, 63034, 63025,
        ],
    ),
    (Template, &[63040, 63041, 63042, 63054]),
    (Expired, &[30036]),
    (
        Configuration,
        &[
            20003, 20005, 30002, 20404, 21606, 21659, 21660, 21661, 63007, 63002, 63008, 21701, 21703, 21704,
            21711, 21609, 63020, 63022, 63051, 63056, 63058, 63059, 63062, 63112,
        ],
    ),
];

/// The class of a code that the table knows.
#[must_use]
pub fn class_of(code: i32) -> Option<ErrorClass> {
    TABLE.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class)
}

/// Every code with a meaning of its own.
#[cfg(test)]
pub(crate) fn codes() -> impl Iterator<Item = i32> {
    TABLE.iter().flat_map(|(_, codes)| codes.iter().copied())
}

/// The class of an HTTP answer that is no success. Where the code is unknown or absent, the status decides: 429 was not processed, a
/// 5xx may have been, and so may what a proxy gave up on (408); a redirect and the like come of a wrong base URL; anything else was
/// refused for what it says.
#[must_use]
pub fn class_of_answer(status: u16, code: Option<i32>) -> ErrorClass {
    if status >= 500 {
        return InDoubt;
    }
    match (code.and_then(class_of), status) {
        (Some(class), _) => class,
        (None, 429) => RateLimited,
        (None, 408) => InDoubt,
        (None, 300..=399 | 401 | 403 | 404 | 405 | 407) => Configuration,
        (None, _) => MessageContent,
    }
}

/// The class of a failure that a callback reports. An unknown code is taken for final.
#[must_use]
pub fn class_of_callback(code: Option<i32>) -> ErrorClass {
    code.and_then(class_of).unwrap_or(Recipient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_has_two_meanings() {
        let mut codes: Vec<i32> = TABLE.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let number = codes.len();

        codes.sort_unstable();
        codes.dedup();

        assert_eq!(codes.len(), number);
    }

    #[test]
    fn every_code_that_a_sender_meets_has_its_class() {
        // By family, as Twilio's error dictionary groups them; the table above is by class.
        #[rustfmt::skip]
        let expected: &[(i32, ErrorClass)] = &[
            (14107, RateLimited), (20003, Configuration), (20005, Configuration), (20404, Configuration),
            (20429, RateLimited), (20500, InDoubt), (20503, InDoubt), (21211, Recipient), (21212, Recipient),
            (21408, Recipient), (21602, MessageContent), (21604, Recipient), (21606, Configuration), (21609, Configuration),
            (21610, OptedOut), (21611, RateLimited), (21614, Recipient), (21617, MessageContent), (21619, MessageContent),
            (21620, MessageContent), (21623, MessageContent), (21624, MessageContent), (21654, MessageContent), (21655, MessageContent), (21656, MessageContent),
            (21658, MessageContent), (21659, Configuration), (21660, Configuration), (21661, Configuration),
            (21701, Configuration), (21703, Configuration), (21704, Configuration), (21711, Configuration),
            (30001, RateLimited), (30002, Configuration), (30003, Recipient), (30004, Recipient), (30005, Recipient),
            (30006, Recipient), (30007, Recipient), (30008, Transient), (30020, Transient), (30021, Transient),
            (30036, Expired), (30410, Transient), (30500, Transient), (63002, Configuration), (63003, Recipient),
            (63005, MessageContent), (63007, Configuration), (63008, Configuration), (63009, Transient), (63010, Transient),
            (63012, Transient), (63013, MessageContent), (63014, OptedOut), (63015, Recipient), (63016, OutsideWindow),
            (63017, RateLimited), (63018, RateLimited), (63019, MessageContent), (63020, Configuration), (63021, MessageContent),
            (63022, Configuration), (63023, Transient), (63024, Recipient), (63025, MessageContent), (63027, MessageContent),
            (63028, MessageContent), (63031, Recipient), (63032, Recipient), (63033, OptedOut), (63034, MessageContent),
            (63037, Transient), (63038, DailyCap), (63040, Template), (63041, Template),
            (63042, Template), (63049, Recipient), (63050, OptedOut), (63051, Configuration), (63053, Transient),
            (63054, Template), (63056, Configuration), (63058, Configuration), (63059, Configuration),
            (63062, Configuration), (63112, Configuration), (92002, MessageContent), (92007, MessageContent),
        ];

        for (code, class) in expected {
            assert_eq!(class_of(*code), Some(*class), "{code}");
        }
        let known: usize = TABLE.iter().map(|(_, codes)| codes.len()).sum();
        assert_eq!(known, expected.len());
    }

    #[test]
    fn an_answer_is_judged_by_its_code_and_else_by_its_status() {
        let cases = [
            ((400, Some(21211)), Recipient),
            ((400, Some(21610)), OptedOut),
            ((400, Some(21617)), MessageContent),
            ((400, Some(99999)), MessageContent),
            ((400, None), MessageContent),
            ((301, None), Configuration),
            ((408, None), InDoubt),
            ((401, Some(20003)), Configuration),
            ((403, None), Configuration),
            ((404, Some(20404)), Configuration),
            ((429, Some(20429)), RateLimited),
            ((429, Some(63038)), DailyCap),
            ((429, None), RateLimited),
            ((500, Some(20500)), InDoubt),
            ((500, Some(21211)), InDoubt),
            ((503, None), InDoubt),
        ];

        for ((status, code), class) in cases {
            assert_eq!(class_of_answer(status, code), class, "{status} {code:?}");
        }
    }

    #[test]
    fn a_callback_with_a_code_that_nobody_knows_is_final() {
        assert_eq!(class_of_callback(Some(63016)), OutsideWindow);
        assert_eq!(class_of_callback(Some(30008)), Transient);
        assert_eq!(class_of_callback(Some(12345)), Recipient);
        assert_eq!(class_of_callback(None), Recipient);
    }
}
