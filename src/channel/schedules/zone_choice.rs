//! On whose clocks a schedule falls due.

use chrono::{DateTime, Utc};
use store::users::User;

use super::definition::{Definition, USERS_OWN};
use super::zones::UnknownZone;
use super::zones::tz::Tz;

/// On whose clocks a schedule falls due.
#[derive(Clone, Copy, Debug)]
pub enum ZoneChoice {
    /// On those of one zone.
    One(Tz),
    /// On each user's own.
    Users {
        /// The zone of users who have none, and of what is said of the schedule as a whole.
        default: Tz,
    },
}

impl ZoneChoice {
    /// What a definition says.
    pub fn of(definition: &Definition) -> Result<Self, UnknownZone> {
        if definition.timezone != USERS_OWN {
            return definition.timezone.parse().map(Self::One);
        }
        let default = definition.default_timezone.as_deref().map_or(Ok(Tz::UTC), str::parse)?;
        Ok(Self::Users { default })
    }

    /// The one zone, or that of users who have none.
    #[must_use]
    pub fn main(self) -> Tz {
        match self {
            Self::One(zone) | Self::Users { default: zone } => zone,
        }
    }

    /// The zone in which a user's slots are.
    #[must_use]
    pub fn of_user(self, user: &User) -> Tz {
        match self {
            Self::One(zone) => zone,
            Self::Users { default } => zone_of(user).unwrap_or(default),
        }
    }
}

/// A user's own zone. A name that the rules have no more counts as none.
fn zone_of(user: &User) -> Option<Tz> {
    user.timezone.as_deref().and_then(|name| name.parse().ok())
}

/// A moment as clocks show it to a user of a schedule.
#[must_use]
pub fn shown_to(definition: &Definition, user: &User, moment: DateTime<Utc>) -> DateTime<Tz> {
    let choice = ZoneChoice::of(definition).unwrap_or(ZoneChoice::One(Tz::UTC));
    moment.with_timezone(&choice.of_user(user))
}
