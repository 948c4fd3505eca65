//! Whether too many messages come to nothing: one rule for the alert and for `status`, by `alerts.undelivered_*`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use store::undelivered::Losses;

use super::settings::AlertSettings;

/// Messages that failed of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// So many.
    pub(crate) failed: i64,
    /// Of so many; `None`: these are too few to be counted.
    pub(crate) of: Option<i64>,
    /// When the first of them failed …
    pub(crate) first: DateTime<Utc>,
    /// … and the last.
    pub(crate) last: DateTime<Utc>,
    /// For how many people they were, as the first 1,000 tell.
    pub(crate) people: i64,
    /// The commonest codes of Twilio's, and how many had each.
    pub(crate) errors: Vec<(Option<i32>, i64)>,
    /// So many that somebody must know.
    pub(crate) are_too_many: bool,
}

/// Whom it hits, which decides what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Nearly everybody who was written to, by one cause: it is ours, the sender's or Twilio's.
    Everybody,
    /// A few people: it is theirs.
    Few,
    /// Neither can be said.
    Some,
}

/// So few may be a matter of their phones.
const FEW: i64 = 3;

/// Of a hundred messages so many failed, and so many of these by one cause, if it hits everybody.
const NEARLY_ALL: i64 = 80;

impl Undelivered {
    /// Whom it hits.
    pub(crate) fn whom(&self) -> Whom {
        let is_nearly_all = |part: i64, all: i64| part * 100 >= all * NEARLY_ALL;
        let counted: i64 = self.errors.iter().map(|(_, number)| number).sum();
        let by_one_cause =
            self.errors.first().is_some_and(|(_, number)| is_nearly_all(*number, counted.max(1)));
        match self.of {
            _ if self.people <= FEW => Whom::Few,
            Some(all) if is_nearly_all(self.failed, all) && by_one_cause => Whom::Everybody,
            _ => Whom::Some,
        }
    }
}

/// What failed within `alerts.undelivered_within`; `None`: nothing.
pub(crate) async fn lately(
    conn: &mut PgConnection,
    settings: &AlertSettings,
) -> sqlx::Result<Option<Undelivered>> {
    let within = settings.undelivered_within;
    let failed = store::undelivered::failed(conn, within.as_secs_f64()).await?;
    if failed == 0 {
        return Ok(None);
    }
    let least = i64::from(settings.undelivered_least.max(1));
    let (counted, since) = if failed < least {
        let span = TimeDelta::from_std(within).unwrap_or(TimeDelta::days(1));
        (None, store::clock::now(conn).await? - span)
    } else {
        let recent = store::undelivered::recent(conn, within.as_secs_f64()).await?;
        let since = recent.since;
        (Some(recent), since)
    };
    let Losses { messages, people, first, last } = store::undelivered::losses(conn, since).await?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let (failed, of, are_too_many) = match counted {
        None => (messages, None, false),
        Some(recent) => {
            let is_share = recent.percent() >= i64::from(settings.undelivered_percent);
            (recent.failed, Some(recent.failed + recent.well), recent.failed >= least && is_share)
        }
    };
    let errors = store::undelivered::commonest_errors(conn, since).await?;
    Ok((failed > 0).then_some(Undelivered { failed, of, first, last, people, errors, are_too_many }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hits_everybody_by_one_cause_is_told_from_what_hits_a_few_people() {
        let whom = |failed, of, people, errors: &[(Option<i32>, i64)]| {
            let at = DateTime::UNIX_EPOCH;
            let errors = errors.to_vec();
            Undelivered { failed, of, first: at, last: at, people, errors, are_too_many: true }.whom()
        };

        assert_eq!(whom(90, Some(100), 60, &[(Some(63016), 85), (None, 5)]), Whom::Everybody);
        assert_eq!(whom(90, Some(100), 60, &[(Some(63016), 50), (None, 40)]), Whom::Some, "of two causes");
        assert_eq!(whom(20, Some(100), 20, &[(Some(63016), 20)]), Whom::Some, "of a fifth");
        assert_eq!(whom(90, Some(100), 3, &[(Some(63024), 90)]), Whom::Few);
        assert_eq!(whom(2, None, 2, &[(Some(63024), 2)]), Whom::Few);
        assert_eq!(whom(9, None, 9, &[(Some(63024), 9)]), Whom::Some, "of how many is not counted");
    }
}
