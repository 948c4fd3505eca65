//! The six fields: what each is called, its numbers and its names.

use super::error::Fault;
use super::part::Part;

/// A field of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Field {
    /// In the order of an expression.
    pub(super) const ALL: [Self; 6] =
        [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Weekday];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of the month",
            Self::Month => "month",
            Self::Weekday => "weekday",
        }
    }

    /// Its least number.
    pub(super) fn first(self) -> u8 {
        match self {
            Self::Day | Self::Month => 1,
            _ => 0,
        }
    }

    /// Its greatest value. In writing a weekday may also be 7, which is Sunday again.
    pub(super) fn last(self) -> u8 {
        match self {
            Self::Second | Self::Minute => 59,
            Self::Hour => 23,
            Self::Day => 31,
            Self::Month => 12,
            Self::Weekday => 6,
        }
    }

    /// Whether it says which days.
    pub(super) fn is_of_days(self) -> bool {
        matches!(self, Self::Day | Self::Weekday)
    }

    /// What a value is called in a sentence.
    pub(super) fn word(self, value: u8) -> String {
        match self {
            Self::Month => MONTHS[usize::from(value) - 1].to_owned(),
            Self::Weekday => WEEKDAYS[usize::from(value % 7)].to_owned(),
            _ => value.to_string(),
        }
    }

    /// What a value is called in an expression.
    pub(super) fn short(self, value: u8) -> String {
        match self {
            Self::Month | Self::Weekday => self.word(value)[..3].to_uppercase(),
            _ => value.to_string(),
        }
    }

    /// A number or a name of this field; Sunday may be 7.
    pub(super) fn value(self, part: Part<'_>) -> Result<u8, Fault> {
        if part.is_number() {
            return self.number(part);
        }
        self.named(part.text).ok_or_else(|| self.no_value(part))
    }

    fn number(self, part: Part<'_>) -> Result<u8, Fault> {
        let greatest = if self == Self::Weekday { 7 } else { self.last() };
        let number: Option<u8> = part.text.parse().ok();
        number.filter(|number| (self.first()..=greatest).contains(number)).ok_or_else(|| {
            let help = match self {
                Self::Second => "seconds are 0 to 59",
                Self::Minute => "minutes are 0 to 59; the full hour is 0",
                Self::Hour if number == Some(24) => "hours are 0 to 23; midnight is 0",
                Self::Hour => "hours are 0 to 23",
                Self::Day => "days are 1 to 31; the last day of a month is L",
                Self::Month => "months are 1 to 12, or JAN to DEC",
                Self::Weekday => "weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT",
            };
            let year = part.text.len() == 4 && number.is_none();
            let year = if year { "; a year has no field: write until or at for it" } else { "" };
            Fault::at(part.at, format!("{}: {help}{year}", part.text))
        })
    }

    /// The value with this name of three letters, in any case.
    fn named(self, name: &str) -> Option<u8> {
        self.long_names()
            .iter()
            .zip(self.first()..)
            .find_map(|(long, value)| long[..3].eq_ignore_ascii_case(name).then_some(value))
    }

    fn long_names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
            _ => &[],
        }
    }

    /// What is wrong with a text that is no value.
    fn no_value(self, part: Part<'_>) -> Fault {
        let text = part.text;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let is_name =
            |text: &str| [Self::Month, Self::Weekday].iter().any(|field| field.named(text).is_some());
        let meaning = if let Some(long) = self.abbreviated(text) {
            format!("{text}: names have three letters: write {}", long[..3].to_uppercase())
        } else if let Some(other) =
            [Self::Month, Self::Weekday].into_iter().find(|field| field.named(text).is_some())
        {
            format!("{text} is a {}; this is the field of the {}", other.name(), self.name())
        } else if digits > 0 && is_name(&text[digits..]) {
            format!("{text}: a blank is missing: is {} {} meant?", &text[..digits], &text[digits..])
        } else if letters > 0 && letters < text.len() && is_name(&text[..letters]) {
            format!("{text}: a blank is missing: is {} {} meant?", &text[..letters], &text[letters..])
        } else if digits > 0 && matches!(text[digits..].to_ascii_uppercase().as_str(), "AM" | "PM") {
            format!("{text}: hours are 0 to 23: 9 in the morning is 9, 9 in the evening is 21")
        } else if matches!(text, "H" | "h" | "R" | "r") {
            format!("{text}: hashed and random values are not supported: write one value")
        } else {
            format!("{text} is no {}; {}", self.name(), self.spelling())
        };
        Fault::at(part.at, meaning)
    }

    /// The name that this is an abbreviation of, or all of, with more than three letters.
    fn abbreviated(self, text: &str) -> Option<&'static str> {
        let starts =
            |long: &&&str| long.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        self.long_names().iter().find(|long| text.len() > 3 && starts(long)).copied()
    }

    fn spelling(self) -> String {
        match self {
            Self::Month => "months are 1 to 12, or JAN to DEC".to_owned(),
            Self::Weekday => "weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT".to_owned(),
            _ => format!("numbers from {} to {} stand here", self.first(), self.last()),
        }
    }
}
