//! What would become of some words to a user as things stand. Looks at no table and no clock.

use chrono::{DateTime, Utc};
use serde_json::Value;
use store::deliveries::Obstacle;
use whatsapp_text::text::WhatsappText;

use super::eligibility::Eligibility;
use crate::outbound::obstacles::Standing;
use crate::outbound::planning::{self, ChunkLimits, Origin, PlannedChunk};
use crate::outbound::quiet_rule::QuietVerdict;
use crate::outbound::template;

/// What would become of some words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The first thing that stands in the way.
    pub blocked: Option<Obstacle>,
    /// It waits until then, when quiet hours end.
    pub waits_until: Option<DateTime<Utc>>,
    /// What would be sent; one without a body for a template.
    pub chunks: Vec<PlannedChunk>,
    /// The template would be sent, since free text is not allowed.
    pub as_template: bool,
}

impl Assessment {
    /// Whether nothing stands in the way, and nothing is waited for.
    #[must_use]
    pub fn may_be_sent_now(&self) -> bool {
        self.blocked.is_none() && self.waits_until.is_none()
    }
}

/// What would become of some words to a user with this eligibility; `None`: nobody knows the user. `template`: the filled variables of the template, if
/// there is one. `quiet`: what quiet hours say.
#[must_use]
pub fn of(
    eligibility: Option<&Eligibility>,
    text: &WhatsappText,
    template: Option<&Value>,
    quiet: QuietVerdict,
) -> Assessment {
    let linked = eligibility.filter(|eligibility| eligibility.phone.is_some());
    let Some(eligibility) = linked else {
        let blocked = Some(Obstacle::NotLinked);
        return Assessment { blocked, waits_until: None, chunks: Vec::new(), as_template: false };
    };
    let filled = template.filter(|_| !eligibility.window_is_open);
    let as_template = filled.is_some();
    let chunks = if as_template {
        let source = 0..text.as_str().len();
        vec![PlannedChunk { body: String::new(), source, meter_proactive: true, has_footer: true }]
    } else {
        planning::plan(text, Origin::Proactive, &ChunkLimits::default()).chunks
    };
    let wanted = u64::try_from(chunks.len()).unwrap_or(u64::MAX);
    let of_words = || {
        if chunks.is_empty() {
            Some(Obstacle::Empty)
        } else if filled.is_some_and(|variables| template::check_filled(variables).is_err()) {
            Some(Obstacle::TemplateVariable)
        } else {
            match quiet {
                QuietVerdict::Skip => Some(Obstacle::QuietHours),
                // The allowance is looked at when they end.
                QuietVerdict::Wait(_) => None,
                QuietVerdict::Speak => {
                    (wanted > u64::from(eligibility.allowance.remaining())).then_some(Obstacle::Quota)
                }
            }
        }
    };
    let standing = Standing {
        is_linked: true,
        country_is_listed: eligibility.country_is_listed,
        is_opted_out: eligibility.opted_out,
        window_is_open: eligibility.window_is_open,
    };
    let blocked = standing.obstacle(as_template, of_words);
    let waits_until = match (quiet, blocked) {
        // So is the window.
        (QuietVerdict::Wait(end), None | Some(Obstacle::Window)) => Some(end),
        _ => None,
    };
    Assessment { blocked: blocked.filter(|_| waits_until.is_none()), waits_until, chunks, as_template }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use serde_json::json;
    use store::allowances::Usage;
    use store::ids::{AddressId, LinkId};
    use store::periods::Anchor;
    use store::recipients::Phone;
    use store::users::User;

    use super::*;
    use crate::allowance::Allowance;

    fn eligibility() -> Eligibility {
        let now = DateTime::UNIX_EPOCH;
        let user = User {
            id: "alice".parse().unwrap(),
            plan: "pro".to_owned(),
            anchor: Anchor::default(),
            paused: false,
            timezone: None,
            quiet_hours: None,
            attributes: BTreeMap::new(),
            created_at: now,
        };
        let phone = Phone {
            link_id: LinkId(1),
            address_id: AddressId(1),
            last_inbound_at: Some(now),
            names: Vec::new(),
        };
        Eligibility {
            period: user.anchor.period(now),
            user,
            phone: Some(phone),
            country_is_listed: true,
            opted_out: false,
            window_is_open: true,
            allowance: Allowance { cap: 10, usage: Usage { used: 4, reserved: 5, credited: 2 } },
            read_at: now,
        }
    }

    #[test]
    fn the_first_thing_in_the_way_is_the_reason() {
        let long = "word ".repeat(1000);
        let open = eligibility();
        let closed = Eligibility { window_is_open: false, ..eligibility() };
        let opted_out = Eligibility {
            opted_out: true,
            allowance: Allowance { cap: 0, ..eligibility().allowance },
            window_is_open: false,
            ..eligibility()
        };
        let unlisted = Eligibility { country_is_listed: false, ..opted_out.clone() };
        let unlinked = Eligibility { phone: None, opted_out: true, ..eligibility() };
        let (good, blank) = (json!({ "1": "Alice" }), json!({ "1": "" }));
        for (eligibility, text, template, blocked) in [
            (Some(&open), "hi", None, None),
            (Some(&open), long.as_str(), None, Some(Obstacle::Quota)),
            (Some(&open), " ", None, Some(Obstacle::Empty)),
            (Some(&closed), "hi", None, Some(Obstacle::Window)),
            (Some(&closed), long.as_str(), Some(&good), None),
            (Some(&closed), "hi", Some(&blank), Some(Obstacle::TemplateVariable)),
            (Some(&open), "hi", Some(&blank), None),
            (Some(&opted_out), "hi", Some(&blank), Some(Obstacle::OptedOut)),
            (Some(&unlisted), "hi", Some(&good), Some(Obstacle::Country)),
            (Some(&unlinked), "hi", Some(&good), Some(Obstacle::NotLinked)),
            (None, "hi", Some(&good), Some(Obstacle::NotLinked)),
        ] {
            assert_eq!(
                of(eligibility, &WhatsappText::as_written(text), template, QuietVerdict::Speak).blocked,
                blocked,
                "{eligibility:?} {template:?}"
            );
        }
    }

    #[test]
    fn quiet_hours_come_behind_what_ends_a_delivery_and_before_what_may_change() {
        let end = DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(8);
        let closed = Eligibility { window_is_open: false, ..eligibility() };
        let opted_out = Eligibility { opted_out: true, ..eligibility() };
        let long = "word ".repeat(1000);
        for (eligibility, text, quiet, blocked, waits_until) in [
            (&closed, "hi", QuietVerdict::Wait(end), None, Some(end)),
            (&closed, "hi", QuietVerdict::Skip, Some(Obstacle::QuietHours), None),
            (&eligibility(), long.as_str(), QuietVerdict::Wait(end), None, Some(end)),
            (&opted_out, "hi", QuietVerdict::Wait(end), Some(Obstacle::OptedOut), None),
        ] {
            let assessment = of(Some(eligibility), &WhatsappText::as_written(text), None, quiet);
            assert_eq!(
                (assessment.blocked, assessment.waits_until),
                (blocked, waits_until),
                "{eligibility:?} {quiet:?}"
            );
        }
    }

    #[test]
    fn a_template_is_one_metered_message_with_the_footer_of_its_own() {
        let closed = Eligibility { window_is_open: false, ..eligibility() };
        let text = WhatsappText::as_written("hi");
        let variables = json!({});

        let assessment = of(Some(&closed), &text, Some(&variables), QuietVerdict::Speak);

        assert!(assessment.as_template);
        let chunk = &assessment.chunks[0];
        assert_eq!((chunk.body.as_str(), chunk.meter_proactive, chunk.has_footer), ("", true, true));
        let open = of(Some(&eligibility()), &text, Some(&variables), QuietVerdict::Speak);
        assert!(!open.as_template, "while free text is allowed, it is sent");
    }
}
