//! What of the user's plan is used, in words.

use chrono::{DateTime, Utc};

use channel::app::Settings;

use crate::http::product::usage::UsageView;

/// The card about the plan.
pub(super) struct UsageCard {
    pub(super) plan: String,
    /// `None`: the plan has no updates.
    pub(super) bar: Option<UsageBar>,
    /// What the plan has or lacks.
    pub(super) words: Vec<String>,
}

/// What is used of what there is.
pub(super) struct UsageBar {
    pub(super) used: i64,
    pub(super) total: i64,
    pub(super) is_used_up: bool,
    pub(super) label: String,
}

impl UsageCard {
    pub(super) fn of(settings: &Settings, usage: &UsageView) -> Self {
        let plan = settings.plans.of(&usage.plan);
        if !settings.whatsapp.enabled {
            let words = vec!["WhatsApp is closed for everybody at the moment.".to_owned()];
            return Self { plan: plan.name.clone(), bar: None, words };
        }
        if let Some(note) = plan.note() {
            let chat = if plan.whatsapp {
                "Chatting is part of yours, here and on WhatsApp."
            } else {
                "You can chat here."
            };
            let words = vec![format!("{note}. {chat}")];
            return Self { plan: plan.name.clone(), bar: None, words };
        }
        let sends = &usage.whatsapp_sends;
        let (used, total) = (i64::from(sends.used), i64::from(sends.cap) + i64::from(sends.credited));
        let is_used_up = sends.remaining == 0;
        let mut label = format!("{used} of {total} WhatsApp updates used");
        if sends.reserved > 0 {
            label.push_str(&format!(", {} on the way", sends.reserved));
        }
        let end = day(usage.period.end);
        let mut words =
            vec![format!("This period began on {} and ends on {end} (UTC).", day(usage.period.start))];
        words.push(if is_used_up {
            format!(
                "All are used up. Until {end} scheduled messages and notifications are not sent to WhatsApp. Scheduled ones still come into the chat here, and chatting goes on as before."
            )
        } else {
            "When they are used up, scheduled messages and notifications are not sent to WhatsApp until the next period. Scheduled ones still come into the chat here, and chatting goes on as before.".to_owned()
        });
        words.push(
            "An update is a scheduled message or a notification; a long one counts as several. Answers to what you write never count."
                .to_owned(),
        );
        Self {
            plan: plan.name.clone(),
            bar: Some(UsageBar { used: used.min(total), total, is_used_up, label }),
            words,
        }
    }
}

fn day(moment: DateTime<Utc>) -> String {
    moment.format("%-d %B %Y").to_string()
}
