//! Billing periods: half-open, in UTC, monthly from the user's anchor day, which is clamped at the end of short months; calendar months
//! without one.

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, Utc};

/// From when on a user's periods begin on which day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// The day of the month, from 1; `None`: the first.
    pub day: Option<u32>,
    /// It holds from the end of the period that ran when it was set; `None`: it always held.
    pub since: Option<DateTime<Utc>>,
    /// What holds until then.
    pub former_day: Option<u32>,
}

/// A billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

impl Anchor {
    /// The period that runs at this moment.
    #[must_use]
    pub fn period(&self, now: DateTime<Utc>) -> Period {
        match self.since {
            None => monthly(self.day, now),
            Some(since) if now < since => {
                let Period { start, end } = monthly(self.former_day, now);
                Period { start, end: end.min(since) }
            }
            // The first period after a change runs until the new anchor day, so it may be short. No running period is
            // cut.
            Some(since) => {
                let Period { start, end } = monthly(self.day, now);
                Period { start: start.max(since), end }
            }
        }
    }

    /// The anchor after it was set to another day at this moment. The running period is not cut short.
    #[must_use]
    pub fn set(&self, day: Option<u32>, now: DateTime<Utc>) -> Self {
        let pending = self.since.is_some_and(|since| now < since);
        let holding = if pending { self.former_day } else { self.day };
        if day == holding && !pending {
            return *self;
        }
        Self { day, since: Some(self.period(now).end), former_day: holding }
    }
}

fn monthly(day: Option<u32>, now: DateTime<Utc>) -> Period {
    let day = day.unwrap_or(1);
    let first = now.date_naive().with_day(1).expect("every month has a first day");
    let this = anchored(first, day);
    let (start, end) = if now >= this {
        (this, anchored(after(first, 1), day))
    } else {
        (anchored(before(first), day), this)
    };
    Period { start, end }
}

/// Midnight of the anchor day in this month, or of its last day.
fn anchored(first: NaiveDate, day: u32) -> DateTime<Utc> {
    let last = after(first, 1).pred_opt().expect("a month has a last day");
    let date = first.with_day(day.clamp(1, 31)).unwrap_or(last);
    date.and_time(NaiveTime::MIN).and_utc()
}

fn after(first: NaiveDate, months: u32) -> NaiveDate {
    first.checked_add_months(Months::new(months)).expect("no clock shows the end of the calendar")
}

fn before(first: NaiveDate) -> NaiveDate {
    first.checked_sub_months(Months::new(1)).expect("no clock shows the beginning of the calendar")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn days(anchor: Anchor, now: &str) -> (String, String) {
        let period = anchor.period(at(now));
        (period.start.format("%F %T").to_string(), period.end.format("%F %T").to_string())
    }

    #[test]
    fn a_period_is_a_month_from_the_anchor_day() {
        for (day, now, start, end) in [
            (None, "2026-11-23T10:00:00Z", "2026-11-01", "2026-12-01"),
            (Some(15), "2026-11-14T23:59:59Z", "2026-10-15", "2026-11-15"),
            (Some(15), "2026-11-15T00:00:00Z", "2026-11-15", "2026-12-15"),
            (Some(31), "2026-02-27T12:00:00Z", "2026-01-31", "2026-02-28"),
            (Some(31), "2026-02-28T00:00:00Z", "2026-02-28", "2026-03-31"),
            (Some(30), "2028-02-29T00:00:00Z", "2028-02-29", "2028-03-30"),
            (Some(1), "2026-12-31T23:59:59Z", "2026-12-01", "2027-01-01"),
        ] {
            let anchor = Anchor { day, ..Anchor::default() };
            assert_eq!(
                days(anchor, now),
                (format!("{start} 00:00:00"), format!("{end} 00:00:00")),
                "{day:?} at {now}"
            );
        }
    }

    #[test]
    fn another_anchor_holds_when_the_running_period_ends() {
        let anchor = Anchor { day: Some(10), ..Anchor::default() }.set(Some(20), at("2026-11-23T10:00:00Z"));

        assert_eq!(days(anchor, "2026-11-30T00:00:00Z").1, "2026-12-10 00:00:00");
        assert_eq!(
            days(anchor, "2026-12-10T00:00:00Z"),
            ("2026-12-10 00:00:00".into(), "2026-12-20 00:00:00".into())
        );
        assert_eq!(
            days(anchor, "2026-12-20T00:00:00Z"),
            ("2026-12-20 00:00:00".into(), "2027-01-20 00:00:00".into())
        );
    }

    #[test]
    fn a_change_that_is_taken_back_changes_nothing_but_the_next_periods_name() {
        let now = at("2026-11-23T10:00:00Z");
        let before = Anchor { day: Some(10), ..Anchor::default() };

        let back = before.set(Some(20), now).set(Some(10), now);

        for moment in ["2026-11-23T10:00:00Z", "2026-12-10T00:00:00Z", "2027-03-09T00:00:00Z"] {
            assert_eq!(back.period(at(moment)), before.period(at(moment)), "{moment}");
        }
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        for (first, second) in [(31, 1), (1, 31), (28, 29), (15, 15)] {
            let anchor = Anchor { day: Some(first), ..Anchor::default() }
                .set(Some(second), at("2026-01-05T00:00:00Z"));
            let mut now = at("2025-11-01T00:00:00Z");
            for _ in 0..40 {
                let period = anchor.period(now);
                assert!(period.start <= now && now < period.end, "{first} {second} {now}");
                assert_eq!(anchor.period(period.end).start, period.end, "{first} {second} {now}");
                now = period.end;
            }
        }
    }
}
