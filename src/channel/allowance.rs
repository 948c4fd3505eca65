//! A user's allowance: how many metered messages a user may still be sent in a billing period. Usage, notifications, schedules and previews all
//! count by this.

use store::allowances::Usage;
use store::users::User;

use crate::app::Settings;

/// What a user may be sent in a billing period, and what was.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Metered messages that the plan gives; 0 while the plan, or the operator, has closed the channel.
    pub cap: u32,
    /// What was sent, is about to be, and was given back.
    pub usage: Usage,
}

impl Allowance {
    /// The allowance by the plan that the user has now.
    #[must_use]
    pub fn of(settings: &Settings, user: &User, usage: Usage) -> Self {
        let plan = settings.plans.of(&user.plan);
        let is_open = plan.whatsapp && settings.whatsapp.enabled;
        Self { cap: if is_open { plan.whatsapp_sends } else { 0 }, usage }
    }

    /// How many more may be sent; 0 also after a change to a plan that gives less than was used.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let Usage { used, reserved, credited } = self.usage;
        let left = i64::from(self.cap) + i64::from(credited) - i64::from(used) - i64::from(reserved);
        u32::try_from(left.max(0)).unwrap_or(u32::MAX)
    }
}
