//! The ways in which a handler fails. The queue decides what to do about each.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError, RetryAfterError};

/// Why a handler did not succeed, and with that what happens to the job.
///
/// Any error converts into [`Failure::Retry`], so `?` is right for a transient error.
#[derive(Debug)]
pub enum Failure {
    /// Counts an attempt; the job runs again after its kind's backoff, until its attempts are used up.
    Retry(BoxDynError),
    /// As [`Failure::Retry`], at a time that somebody else named (a `Retry-After` header, say).
    RetryAfter(Duration, BoxDynError),
    /// Counts an attempt, and trying again would not help: the job is dead at once.
    Abort(String),
    /// It is too early. The job runs again after this time; counts no attempt.
    Snooze(Duration),
}

impl Failure {
    /// A retry with a reason in words.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into().into())
    }

    /// A death with a reason in words.
    pub fn abort(reason: impl Into<String>) -> Self {
        Self::Abort(reason.into())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(Box::new(error))
    }
}

/// Carries [`Failure::Snooze`] through apalis, which has no error of that meaning.
#[derive(Debug)]
pub(crate) struct Snoozed(pub(crate) Duration);

impl fmt::Display for Snoozed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snoozed for {:?}", self.0)
    }
}

impl Error for Snoozed {}

impl From<Failure> for BoxDynError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(error) => error,
            Failure::RetryAfter(delay, error) => Box::new(RetryAfterError::new(error, delay)),
            Failure::Abort(reason) => Box::new(AbortError::new(reason)),
            Failure::Snooze(delay) => Box::new(Snoozed(delay)),
        }
    }
}

/// The longest error text that is kept with an attempt, in bytes.
const ERROR_TEXT_LIMIT_BYTES: usize = 4096;

/// An error and its causes on one line, as an administrator reads it. It outlives the person whom it is about, so it
/// names no phone number.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    let mut text = outside::words::without_phone_numbers(&text);
    // Postgres text cannot hold a NUL, and an error must never keep its own attempt from being stored.
    text.retain(|c| c != '\0');
    let cut = (0..=ERROR_TEXT_LIMIT_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(cut.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_described_with_its_causes_once_each() {
        let io = std::io::Error::other("connection reset");
        let outer = AbortError::new(io);

        assert_eq!(describe(&outer), "AbortError: connection reset");
    }

    #[test]
    fn a_long_error_is_cut_between_characters_and_loses_its_nul() {
        let error = std::io::Error::other(format!("\0{}", "é".repeat(4000)));

        let text = describe(&error);

        assert_eq!(text.len(), 4096);
        assert!(text.chars().all(|c| c == 'é'));
    }
}
