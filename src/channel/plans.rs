//! What the operator sells: which plan may use the channel, and how much of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Plan {
    /// Its name, in small letters.
    #[serde(skip)]
    pub name: String,
    /// Metered messages in a billing period.
    pub whatsapp_sends: u32,
    /// Whether its users may use the channel at all.
    pub whatsapp: bool,
}

impl Plan {
    /// What its users are told of it; `None`: nothing needs to be said.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        if !self.whatsapp {
            return Some("WhatsApp is not part of this plan");
        }
        (self.whatsapp_sends == 0).then_some("WhatsApp updates are part of the paid plans")
    }
}

/// All plans, and which one a user has of whom nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    plans: Vec<Plan>,
    default: String,
}

impl Plans {
    /// Plans by their names. `None`: the default is none of them.
    #[must_use]
    pub fn new(plans: BTreeMap<String, Plan>, default: &str) -> Option<Self> {
        let default = default.to_lowercase();
        let named = |(name, plan): (String, Plan)| Plan { name: name.to_lowercase(), ..plan };
        let plans: Vec<Plan> = plans.into_iter().map(named).collect();
        plans.iter().any(|plan| plan.name == default).then_some(Self { plans, default })
    }

    /// A plan by its name, in any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Plan> {
        let name = name.to_lowercase();
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// The plan of a user. One that the operator has taken away since counts as the default one.
    #[must_use]
    pub fn of(&self, name: &str) -> &Plan {
        self.find(name).unwrap_or_else(|| self.default())
    }

    /// The plan of a user of whom nothing else is said.
    #[must_use]
    pub fn default(&self) -> &Plan {
        self.plans.iter().find(|plan| plan.name == self.default).expect("new() looked for it")
    }

    /// Every plan.
    #[must_use]
    pub fn all(&self) -> &[Plan] {
        &self.plans
    }
}
