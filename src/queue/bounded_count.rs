//! Numbers that are counted up to a limit, so that an answer takes as long with a million rows as with none.

use std::fmt;

use serde::Serialize;

/// Where counting stops.
pub const LIMIT: i64 = 10_000;

/// A number of rows, counted up to [`LIMIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundedCount {
    /// How many there are, 10,000 at most.
    number: i64,
    /// There are more than that.
    is_more: bool,
}

impl BoundedCount {
    /// From a statement that stops one row behind the limit.
    #[must_use]
    pub fn of(rows: i64) -> Self {
        Self { number: rows.min(LIMIT), is_more: rows > LIMIT }
    }

    /// The number, up to the limit.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.number
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.number == 0
    }

    /// Whether there is one.
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.number == 1
    }

    /// The number with its noun, which takes an s where there are several.
    #[must_use]
    pub fn of_what(self, noun: &str) -> String {
        if self.number == 1 { format!("1 {noun}") } else { format!("{self} {noun}s") }
    }
}

impl fmt::Display for BoundedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_more {
            true => f.pad("more than 10,000"),
            false => f.pad(&self.number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_up_to_its_limit() {
        for (rows, told) in
            [(0, "0 jobs"), (1, "1 job"), (10_000, "10000 jobs"), (10_001, "more than 10,000 jobs")]
        {
            assert_eq!(BoundedCount::of(rows).of_what("job"), told);
        }
    }
}
