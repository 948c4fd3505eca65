//! What an approved template and its variables must look like, in schedules and notifications alike: the one place that knows it.
//!
//! Variables are checked where they are written, and once more when they are filled, since `{{user.id}}` brings in what nobody has checked. A filled
//! value is made harmless; only one that is blank or too long then blocks its delivery.
//!
//! The rules are Twilio's and Meta's. Twilio refuses a value that is empty (error 21656), a name of more than 16 characters or with a space, more than
//! 100 variables (92002, and its pages on the Content API), and WhatsApp's text of more than 1024 characters with everything filled in (63021). Meta
//! refuses a value with line breaks, tabs or many spaces in a row (its error 132018, which Twilio tells as 63013).

use std::fmt;

use serde_json::Value;

use crate::inbound::commands::visible;

/// Whether this can be a template's SID; if not, what would be one.
pub fn check_content_sid(sid: &str) -> Result<(), &'static str> {
    let is_one =
        sid.len() == 34 && sid.starts_with("HX") && sid.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(()) } else { Err("it must be HX and 32 hex digits") }
}

/// So many variables a template may have.
const VARIABLES: usize = 100;

/// The longest name.
const NAME_CHARS: usize = 16;

/// The longest value, in UTF-16 units: it leaves nothing for the template's own words, which are not known here.
const VALUE_UNITS: usize = 1024;

/// Fewer white space characters in a row.
const SPACES: usize = 4;

/// Which variable WhatsApp or Twilio would refuse, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongVariable {
    /// There are too many.
    #[error("template.variables: there are {0}; a template takes at most {VARIABLES}")]
    TooMany(usize),
    /// The name can be none.
    #[error(
        "template.variables: the name {0:?} can be none; use the one in the template, of 1 to {NAME_CHARS} characters without spaces and braces"
    )]
    Name(String),
    /// The value cannot be taken.
    #[error("template.variables.{name}: {problem}")]
    Value {
        /// Of which one.
        name: String,
        /// What is wrong with it.
        problem: ValueProblem,
    },
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueProblem {
    /// It is no text.
    NotText,
    /// Nothing in it can be seen.
    Blank,
    /// A character that WhatsApp does not take.
    Character(char),
    /// White space in a row.
    Spaces(usize),
    /// Its UTF-16 units.
    TooLong(usize),
}

impl fmt::Display for ValueProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is no text; put numbers and dates into quotes"),
            Self::Blank => f.write_str("it is blank, and Twilio takes no empty variable; write what shall stand there, a dash if nothing"),
            Self::Character(c) => {
                let what = match c {
                    '\t' => "a tab",
                    '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break",
                    _ => "a control character",
                };
                write!(f, "it has {what} (U+{:04X}), and WhatsApp takes none in a variable; use a space, or put line breaks into the template itself", u32::from(*c))
            }
            Self::Spaces(number) => {
                write!(f, "it has {number} spaces in a row, and WhatsApp takes at most {}; use fewer", SPACES - 1)
            }
            Self::TooLong(units) => write!(
                f,
                "it has {units} characters, and WhatsApp takes at most {VALUE_UNITS}, the template's own words included; shorten it"
            ),
        }
    }
}

/// Finds the first variable that would be refused. `None` in the place of a value: it is no text.
pub fn check_variables<'a>(
    variables: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<(), WrongVariable> {
    if variables.len() > VARIABLES {
        return Err(WrongVariable::TooMany(variables.len()));
    }
    for (name, value) in variables {
        if !is_name(name) {
            return Err(WrongVariable::Name(name.to_owned()));
        }
        value
            .ok_or(ValueProblem::NotText)
            .and_then(check_value)
            .map_err(|problem| WrongVariable::Value { name: name.to_owned(), problem })?;
    }
    Ok(())
}

/// The same for variables as the database keeps them.
pub fn check_filled(variables: &Value) -> Result<(), WrongVariable> {
    let Some(variables) = variables.as_object() else { return Ok(()) };
    check_variables(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A filled value as WhatsApp takes it. What people are called must not keep a message from them: where the value would be refused, white space and
/// control characters become single spaces.
#[must_use]
pub fn harmless(value: String) -> String {
    if check_value(&value).is_ok() {
        return value;
    }
    let words: Vec<&str> =
        value.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '{' | '}');
    (1..=NAME_CHARS).contains(&name.chars().count()) && name.chars().all(fits)
}

fn check_value(value: &str) -> Result<(), ValueProblem> {
    let breaks = |c: &char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if let Some(c) = value.chars().find(breaks) {
        return Err(ValueProblem::Character(c));
    }
    if visible(value).all(char::is_whitespace) {
        return Err(ValueProblem::Blank);
    }
    let spaces = value.split(|c: char| !c.is_whitespace()).map(|gap| gap.chars().count()).max().unwrap_or(0);
    if spaces >= SPACES {
        return Err(ValueProblem::Spaces(spaces));
    }
    let units = value.encode_utf16().count();
    if units > VALUE_UNITS { Err(ValueProblem::TooLong(units)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_would_be_refused_is_told_with_its_remedy() {
        for (value, told) in [
            ("a\nb", "a line break (U+000A), and WhatsApp takes none in a variable; use a space"),
            ("a\r", "a line break (U+000D)"),
            ("a\u{b}b", "a line break (U+000B)"),
            ("a\u{c}b", "a line break (U+000C)"),
            ("a\u{85}b", "a line break (U+0085)"),
            ("a\u{2028}b", "a line break (U+2028)"),
            ("a\u{2029}b", "a line break (U+2029)"),
            ("a\tb", "a tab (U+0009)"),
            ("a\0b", "a control character (U+0000)"),
            ("\u{1b}[1m", "a control character (U+001B)"),
            ("a    b", "4 spaces in a row, and WhatsApp takes at most 3; use fewer"),
            ("a \u{a0} \u{3000} b", "5 spaces in a row"),
            ("", "blank, and Twilio takes no empty variable"),
            ("   ", "blank"),
            ("\u{200b}\u{2060}", "blank"),
            (&"x".repeat(1025), "1025 characters, and WhatsApp takes at most 1024"),
            (&"👍".repeat(513), "1026 characters"),
        ] {
            let error = check_variables([("1", Some(value))].into_iter()).unwrap_err().to_string();

            assert!(
                error.starts_with("template.variables.1: it ") && error.contains(told),
                "{value:?}: {error}"
            );
        }
        for value in ["Alice", "a   b", " a ", "x".repeat(1024).as_str(), "👍", "{{user.id}}", "naïve – Zoë"]
        {
            assert_eq!(check_variables([("1", Some(value))].into_iter()), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn a_name_that_can_be_none_is_told() {
        for name in ["", " ", "a b", "first\n", "{{1}}", "seventeen_letters"] {
            let error = check_variables([(name, Some("x"))].into_iter()).unwrap_err();

            assert_eq!(error, WrongVariable::Name(name.to_owned()));
            assert!(error.to_string().contains("1 to 16 characters"), "{error}");
        }
        assert_eq!(check_variables([("1", Some("x")), ("first_name", Some("x"))].into_iter()), Ok(()));
    }

    #[test]
    fn numbers_and_too_many_variables_are_refused() {
        let number = check_filled(&json!({ "1": 5 })).unwrap_err().to_string();
        let many: serde_json::Map<String, Value> = (0..101).map(|n| (n.to_string(), json!("x"))).collect();
        let many = check_filled(&Value::Object(many)).unwrap_err().to_string();

        assert_eq!(number, "template.variables.1: it is no text; put numbers and dates into quotes");
        assert_eq!(many, "template.variables: there are 101; a template takes at most 100");
    }

    #[test]
    fn a_filled_value_is_changed_only_where_it_would_be_refused() {
        for (value, left) in [
            ("Alice  Example", "Alice  Example"),
            ("Alice\r\n\u{2028}Example    \u{7}the 2nd\u{b}", "Alice Example the 2nd"),
            ("\u{2029}", ""),
        ] {
            assert_eq!(harmless(value.to_owned()), left);
        }
    }

    proptest! {
        #[test]
        fn a_harmless_value_is_refused_only_where_it_is_blank_or_too_long(value in any::<String>()) {
            match check_value(&harmless(value)) {
                Ok(()) | Err(ValueProblem::Blank | ValueProblem::TooLong(_)) => {}
                Err(problem) => prop_assert!(false, "{problem}"),
            }
        }
    }
}
