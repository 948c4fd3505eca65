//! How many people a schedule writes to, as an operator is told before it is fired by hand.

use std::fmt;

use sqlx::PgConnection;
use store::audiences;

use super::definition::AudienceKey;

/// An audience of more people is not counted but estimated.
const COUNTED: i64 = 2_000;

/// How many users an audience has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudienceSize {
    /// So many.
    pub people: i64,
    /// Postgres says so by its statistics; it is not counted.
    pub is_estimate: bool,
}

impl AudienceSize {
    /// Counts them, if they are not very many.
    pub async fn of(conn: &mut PgConnection, audience: &AudienceKey) -> sqlx::Result<Self> {
        let audience = audience.as_stored();
        let counted = audiences::page(conn, &audience, None, None, COUNTED + 1).await?.len();
        let people = i64::try_from(counted).unwrap_or(i64::MAX);
        if people <= COUNTED {
            return Ok(Self { people, is_estimate: false });
        }
        Ok(Self { people: audiences::estimate(conn, &audience).await?.max(people), is_estimate: true })
    }

    /// Whether so many people are what somebody has confirmed. An estimate changes a little while nobody comes or goes, so it fits within a tenth.
    #[must_use]
    pub fn fits(self, expected: i64) -> bool {
        let apart = i128::from(self.people - expected.max(0)).abs();
        if self.is_estimate { apart * 10 <= i128::from(self.people) } else { self.people == expected }
    }
}

impl fmt::Display for AudienceSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_estimate, self.people) {
            (true, people) => write!(f, "about {people} people"),
            (false, 1) => f.write_str("1 person"),
            (false, people) => write!(f, "{people} people"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_fits_within_a_tenth_and_a_count_alone() {
        let counted = AudienceSize { people: 7, is_estimate: false };
        let estimated = AudienceSize { people: 1_000_000, is_estimate: true };

        assert!(counted.fits(7) && !counted.fits(8) && !counted.fits(-7));
        assert!(estimated.fits(900_000) && estimated.fits(1_100_000));
        assert!(!estimated.fits(899_999) && !estimated.fits(i64::MAX) && !estimated.fits(i64::MIN));
    }
}
