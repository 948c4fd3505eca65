//! What may be kept and logged of somebody else's words. An error of a gateway or of Twilio may name the phone number that it is about, and quote
//! the message that it does not like; logs, alerts and tables of errors outlive the message and its person.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// As much of what was said as could not be there by chance, in characters.
const QUOTE_CHARS: usize = 12;

/// A shorter text is only found as a whole, and one that is shorter than this is not worth hiding.
const SHORT_CHARS: usize = 3;

/// What stands in a quote's place.
const QUOTE: &str = "[…]";

/// An international number, in groups or not.
static INTERNATIONAL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\+\d(?:[ .\-()\u{a0}\u{2011}]{0,2}\d){6,14}"));
/// A number without its plus, in groups or not.
static GROUPED: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d(?:[ \-()\u{a0}\u{2011}]{0,2}\d){9,14}\b"));
/// Any other long number by itself: not the digits of an id, which stand beside letters.
static LONG: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d{7,}\b"));
/// What begins like a date is one.
static DATE: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{4}-\d{2}-\d{2}"));
/// What a panic or a parser shows of what it had in its hands, however it is quoted.
static LITERAL: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?s)"(?:[^"\\]|\\.){4,}"|`[^`]{4,}`"#));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the expressions of this file are valid; its tests use each of them")
}

/// Somebody else's sentence without phone numbers, of which the last four digits stay, and without what it quotes of `said`.
#[must_use]
pub fn of_others(text: &str, said: &[&str]) -> String {
    let text = without_quotes(text, said);
    LONG.replace_all(&without_phone_numbers(&text), hide).into_owned()
}

/// A sentence of our own that may hold one of somebody else's: without phone numbers, and without NUL, which no database keeps. Our own
/// numbers, of jobs and chunks, stay.
#[must_use]
pub fn without_phone_numbers(text: &str) -> String {
    let text = text.replace('\0', "");
    let text = INTERNATIONAL.replace_all(&text, hide);
    let grouped = |found: &Captures<'_>| {
        if DATE.is_match(&found[0]) { found[0].to_owned() } else { hide(found) }
    };
    GROUPED.replace_all(&text, grouped).into_owned()
}

/// What a panic or a parser says, without what it shows of what it had in its hands.
#[must_use]
pub fn without_literals(text: &str) -> String {
    LITERAL.replace_all(&without_phone_numbers(text), QUOTE).into_owned()
}

/// A number's last four digits, behind its plus if it has one.
fn hide(found: &Captures<'_>) -> String {
    let plus = if found[0].starts_with('+') { "+" } else { "" };
    let digits: Vec<char> = found[0].chars().filter(char::is_ascii_digit).collect();
    let last: String = digits[digits.len() - 4..].iter().collect();
    format!("{plus}…{last}")
}

fn without_quotes(text: &str, said: &[&str]) -> String {
    let text: Vec<char> = text.chars().collect();
    let mut hidden = vec![false; text.len()];
    for said in said {
        // Whoever quotes may put the words on one line.
        let words: Vec<&str> = said.split_whitespace().collect();
        for said in [words.join(" "), (*said).trim().to_owned()] {
            let chars = said.chars().count().min(QUOTE_CHARS);
            if chars < SHORT_CHARS {
                continue;
            }
            let is_whole = chars < QUOTE_CHARS;
            for (start, window) in text.windows(chars).enumerate() {
                let quoted: String = window.iter().collect();
                let quotes = said.contains(&quoted) && (!is_whole || stands_alone(&text, start, chars));
                if quotes {
                    hidden[start..start + chars].fill(true);
                }
            }
        }
    }
    let mut kept = String::new();
    for (place, character) in text.into_iter().enumerate() {
        match hidden[place] {
            false => kept.push(character),
            true if place > 0 && hidden[place - 1] => {}
            true => kept.push_str(QUOTE),
        }
    }
    kept
}

/// Whether a short quote is no part of a longer word: "the" is none of "other".
fn stands_alone(text: &[char], start: usize, chars: usize) -> bool {
    let is_edge = |place: Option<usize>| {
        place.and_then(|place| text.get(place)).is_none_or(|character| !character.is_alphanumeric())
    };
    is_edge(start.checked_sub(1)) && is_edge(Some(start + chars))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_keeps_its_codes_and_loses_its_phone_numbers() {
        let cases = [
            (
                "21211: the 'To' number whatsapp:+15005550100 is not valid, nor is 4155238886",
                "21211: the 'To' number whatsapp:+…0100 is not valid, nor is …8886",
            ),
            ("call +1 500 555-0100 or (500) 555-0100.", "call +…0100 or (…0100."),
            ("+49 (0)151 2345 6789", "+…6789"),
            ("local 5550100", "local …0100"),
            ("no digits — at all", "no digits — at all"),
            ("no\u{0} NUL, +1500\u{0}5550100", "no NUL, +…0100"),
            ("https://10.200.30.40:18789 answered 503", "https://10.200.30.40:18789 answered 503"),
            ("SM0123456789abcdef0123456789abcdef", "SM0123456789abcdef0123456789abcdef"),
            ("at 2026-11-28 17:09:27.123456 UTC", "at 2026-11-28 17:09:27.123456 UTC"),
        ];
        for (text, kept) in cases {
            assert_eq!(of_others(text, &[]), kept);
        }
        let own = "job 12345678 of chunk 123456789: whatsapp:+15005550100";
        assert_eq!(without_phone_numbers(own), "job 12345678 of chunk 123456789: whatsapp:+…0100");
    }

    #[test]
    fn what_was_said_is_not_quoted() {
        let said = "My doctor says it is serious.\nPlease tell nobody, not even Tom.";
        let cases = [
            (
                "invalid message \"My doctor says it is serious. Please tell nobody, not even Tom.\" (role user)",
                "invalid message \"[…]\" (role user)",
            ),
            ("cannot parse: …it is serious.\nPlease tell nobo", "cannot parse: …[…]"),
            ("the model is overloaded", "the model is overloaded"),
        ];
        for (text, kept) in cases {
            assert_eq!(of_others(text, &["hello", said]), kept);
        }
        assert_eq!(of_others("bad input: PIN 4711!", &["PIN 4711"]), "bad input: […]!");
        assert_eq!(of_others("another other the end", &["the"]), "another other […] end");
    }

    #[test]
    fn a_panic_does_not_show_what_it_choked_on() {
        let text = "byte index 5 is not a char boundary; it is inside 'é' of `My doctor says é`";
        let unwrapped =
            r#"called `Result::unwrap()` on an `Err` value: Invalid("My \"doctor\" +15005550100")"#;

        assert_eq!(without_literals(text), "byte index 5 is not a char boundary; it is inside 'é' of […]");
        assert_eq!(without_literals(unwrapped), "called […] on an `Err` value: Invalid([…])");
    }
}
