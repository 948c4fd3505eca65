//! `[retention]`: how long what is not needed any more is kept. It goes in small steps, a round of the upkeep at a time.

use std::time::{Duration, Instant};

use queue::audit;
use queue::failure::Failure;
use serde::Deserialize;
use store::retention::{self, RetainedPart};

use crate::app::App;

/// How long what is kept. Zero: for ever.
#[derive(Clone, Debug, Deserialize)]
pub struct Retention {
    /// What people and the assistant said, with all that tells about it.
    #[serde(with = "humantime_serde")]
    pub texts: Duration,
    /// Twilio's status callbacks.
    #[serde(with = "humantime_serde")]
    pub callbacks: Duration,
    /// What a slot of a schedule came to for each user.
    #[serde(with = "humantime_serde")]
    pub slot_users: Duration,
    /// Movements of allowances, one by one.
    #[serde(with = "humantime_serde")]
    pub ledger: Duration,
    /// Names of people who never had a user, since they wrote last.
    #[serde(with = "humantime_serde")]
    pub strangers: Duration,
    /// Tokens by which phones prove whose they are, since they expired.
    #[serde(with = "humantime_serde")]
    pub claim_tokens: Duration,
    /// Counts of the messages that each user was sent on a day.
    #[serde(with = "humantime_serde")]
    pub sent_days: Duration,
    /// Alerts since they are over, and entries of Twilio's list that could not be taken in.
    #[serde(with = "humantime_serde")]
    pub alerts: Duration,
    /// What administrators did.
    #[serde(with = "humantime_serde")]
    pub audit: Duration,
}

/// The shortest time for which anything is kept: until then sends in doubt are compared with Twilio's list, and messages are fetched that never came.
pub const SHORTEST: Duration = Duration::from_secs(3 * 24 * 3600);

/// The shortest time for which a day's counts are kept: the running billing period is told from them.
pub const SHORTEST_OF_SENT_DAYS: Duration = Duration::from_secs(62 * 24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The time of a round: the rest of the upkeep waits meanwhile.
const ROUND: Duration = Duration::from_secs(10);

impl Retention {
    /// The age at which a part goes; `None`: it is kept for ever.
    fn age(&self, part: RetainedPart) -> Option<Duration> {
        let age = match part {
            RetainedPart::Entries => self.texts,
            // A day after its entry in the thread, so that no thread shows an entry without words.
            RetainedPart::Messages | RetainedPart::Turns | RetainedPart::Deliveries => {
                return Some(self.texts).filter(|age| !age.is_zero()).map(|age| age + DAY);
            }
            // After the turns that failed in it.
            RetainedPart::AgentOutages => {
                return Some(self.texts).filter(|age| !age.is_zero()).map(|age| age + 2 * DAY);
            }
            RetainedPart::Callbacks => self.callbacks,
            RetainedPart::SlotUsers => self.slot_users,
            RetainedPart::Ledger => self.ledger,
            RetainedPart::Strangers => self.strangers,
            RetainedPart::ClaimTokens => self.claim_tokens,
            RetainedPart::SentDays => self.sent_days,
            RetainedPart::Alerts | RetainedPart::UnusableEntries => self.alerts,
            // Of no use after a day, whatever is set.
            RetainedPart::ClaimTries
            | RetainedPart::IdempotencyKeys
            | RetainedPart::DashboardCodes
            | RetainedPart::DashboardSessions => DAY,
            // Full by then, whatever is set: a slow one that was not would give its tokens twice.
            RetainedPart::RateBuckets => 30 * DAY,
        };
        Some(age).filter(|age| !age.is_zero())
    }
}

/// Takes away what is too old, a page of each part in turn, until nothing is or the round's time is over.
pub async fn look_after(app: &App) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut parts = RetainedPart::ALL.to_vec();
    while !parts.is_empty() && begun.elapsed() < ROUND {
        let mut left = Vec::new();
        for part in parts {
            let Some(age) = app.settings.retention.age(part) else { continue };
            let mut tx = app.pg.begin().await?;
            let has_next = retention::take_page(&mut tx, part, age).await?;
            tx.commit().await?;
            if has_next {
                left.push(part);
            }
        }
        parts = left;
    }
    let age = app.settings.retention.audit;
    // Administrators do little: it is a page now and then.
    while !age.is_zero()
        && begun.elapsed() < ROUND
        && audit::forget_page(&mut *app.pg.acquire().await?, age).await?
    {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_a_day_after_their_place_in_the_thread_and_nothing_that_is_kept_for_ever() {
        let days = |days: u32| DAY * days;
        let of_days = Retention {
            texts: days(400),
            callbacks: days(90),
            slot_users: Duration::ZERO,
            ledger: days(500),
            strangers: days(300),
            claim_tokens: days(90),
            sent_days: Duration::ZERO,
            alerts: days(60),
            audit: days(1000),
        };

        assert_eq!(of_days.age(RetainedPart::Entries), Some(days(400)));
        assert_eq!(of_days.age(RetainedPart::Messages), Some(days(401)));
        assert_eq!(of_days.age(RetainedPart::Callbacks), Some(days(90)));
        assert_eq!(of_days.age(RetainedPart::SlotUsers), None);
        assert_eq!(of_days.age(RetainedPart::Ledger), Some(days(500)));
        assert_eq!(of_days.age(RetainedPart::Strangers), Some(days(300)));
        assert_eq!(of_days.age(RetainedPart::AgentOutages), Some(days(402)));
        assert_eq!(of_days.age(RetainedPart::ClaimTokens), Some(days(90)));
        assert_eq!(of_days.age(RetainedPart::SentDays), None);
        assert_eq!(of_days.age(RetainedPart::UnusableEntries), Some(days(60)));
        let for_ever = Retention { texts: Duration::ZERO, ..of_days };
        assert_eq!(for_ever.age(RetainedPart::Messages), None);
        assert_eq!(for_ever.age(RetainedPart::AgentOutages), None);
        assert_eq!(for_ever.age(RetainedPart::RateBuckets), Some(30 * DAY));
    }
}
