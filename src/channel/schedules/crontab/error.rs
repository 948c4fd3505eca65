//! Why an expression is refused.

use std::fmt;

use super::field::Field;

/// What is wrong with an expression, where, and what was probably meant.
#[derive(Debug, PartialEq, Eq)]
pub struct CronError {
    expression: String,
    /// The character, counted from 1; `None` when the expression as a whole is wrong.
    character: Option<usize>,
    field: Option<Field>,
    reason: String,
}

/// A reason and the byte that it is about.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Option<usize>,
    pub(super) field: Option<Field>,
    pub(super) reason: String,
}

impl Fault {
    /// A fault at this byte of the expression.
    pub(super) fn at(byte: usize, reason: impl Into<String>) -> Self {
        Self { at: Some(byte), field: None, reason: reason.into() }
    }

    /// A fault of the whole expression.
    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Self { at: None, field: None, reason: reason.into() }
    }

    /// The same fault, in this field.
    pub(super) fn within(self, field: Field) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The fault as it is told, with a character in place of the byte.
    pub(super) fn of(self, expression: &str) -> CronError {
        let characters_before = |byte| expression.char_indices().take_while(|(at, _)| *at < byte).count();
        CronError {
            expression: expression.to_owned(),
            character: self.at.map(|byte| characters_before(byte) + 1),
            field: self.field,
            reason: self.reason,
        }
    }
}

impl std::error::Error for CronError {}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cron {:?}", self.expression)?;
        if let Some(character) = self.character {
            write!(f, ", character {character}")?;
        }
        if let Some(field) = self.field {
            write!(f, " ({})", field.name())?;
        }
        write!(f, ": {}", self.reason)
    }
}
