//! When a schedule falls due: by a crontab expression, once, or every so often; until a day, and not on certain days.

use std::time::Duration;

use chrono::NaiveDateTime;

use super::crontab::Cron;
use super::excepted_days::ExceptedDays;
use super::local_time::{LocalTime, Until};

/// When a schedule falls due, on the clocks of whatever zone.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Its moments …
    pub recurrence: Recurrence,
    /// … up to here …
    pub until: Option<Until>,
    /// … but for those of these days, which are slots that are left out.
    pub except: ExceptedDays,
}

/// The moments of a schedule.
#[derive(Clone, Debug)]
pub enum Recurrence {
    /// Those of a crontab expression.
    Cron(Box<Cron>),
    /// One.
    At(LocalTime),
    /// One each time this has gone by.
    Every(Interval),
}

/// A time that goes by again and again.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// In real time: it does not heed changes of clocks.
    pub step: Duration,
    /// The first moment, on the clocks of the schedule; without it the steps are counted from 1970-01-01T00:00:00Z.
    pub anchor: Option<LocalTime>,
}

impl Timing {
    /// All moments of a recurrence.
    #[must_use]
    pub fn of(recurrence: Recurrence) -> Self {
        Self { recurrence, until: None, except: ExceptedDays::default() }
    }

    /// Whether each real moment counts and not what clocks show: where they repeat an hour, its moments come twice.
    #[must_use]
    pub fn is_by_real_time(&self) -> bool {
        match &self.recurrence {
            Recurrence::Cron(cron) => cron.every_hour,
            Recurrence::At(_) => false,
            Recurrence::Every(_) => true,
        }
    }

    /// Whether the moment that clocks show like this is not after the last one.
    #[must_use]
    pub fn lasts_to(&self, local: NaiveDateTime) -> bool {
        self.until.is_none_or(|until| local <= until.last())
    }
}
