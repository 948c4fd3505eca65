//! What was said, as the chat shows it.

use askama::Template;
use channel::schedules::zones::tz::Tz;
use chrono::{DateTime, Utc};
use pages::formatting;
use store::deliveries::{DeliveryState, Obstacle};
use store::messages::ChannelName;

use whatsapp_text::text::{Format, WhatsappText};

use crate::http::product::messages::{EntryView, Speaker};

/// Something that was said.
#[derive(Template)]
#[template(path = "said.html")]
pub(super) struct Bubble {
    pub(super) number: i64,
    is_mine: bool,
    text: String,
    /// What the assistant said, with its signs as a phone shows them; `None`: it was the user.
    html: Option<String>,
    at: DateTime<Utc>,
    clock: String,
    /// Where it was written, or what made the assistant speak.
    place: String,
    reach: Reach,
}

/// How far it has come on its way to the phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) words: String,
    pub(super) is_bad: bool,
}

impl Bubble {
    /// As clocks of this zone show its time; the assistant writes in this format.
    pub(super) fn of(entry: EntryView, zone: Tz, format: Format) -> Self {
        let is_mine = matches!(entry.role, Speaker::User);
        let place = match (&entry.schedule, entry.channel, is_mine) {
            (Some(schedule), ..) => format!("scheduled: {}", title(schedule.as_str())),
            (None, ChannelName::Whatsapp, true) => "on WhatsApp".to_owned(),
            (None, ChannelName::Whatsapp, false) if entry.delivery.is_none() => "for WhatsApp".to_owned(),
            _ => String::new(),
        };
        let reach = entry.delivery.map(|delivery| Reach::of(delivery.state, delivery.reason.as_deref()));
        Self {
            number: entry.number,
            is_mine,
            html: (!is_mine).then(|| formatting::html(WhatsappText::of(&entry.text, format).as_str())),
            text: entry.text,
            at: entry.at,
            clock: shown(entry.at, zone),
            place,
            reach: reach.unwrap_or_default(),
        }
    }
}

impl Reach {
    /// A delivery's state and reason.
    pub(super) fn of(state: DeliveryState, reason: Option<&str>) -> Self {
        let good = |words: &str| Self { words: words.to_owned(), is_bad: false };
        let bad = |why: &str| Self { words: format!("not on WhatsApp{why}"), is_bad: true };
        match state {
            DeliveryState::Waiting => good("waits for WhatsApp"),
            DeliveryState::Open => good("on its way to WhatsApp"),
            DeliveryState::Sent => good("sent to WhatsApp"),
            DeliveryState::Delivered => good("delivered on WhatsApp"),
            DeliveryState::Unknown => good("perhaps on WhatsApp"),
            DeliveryState::Expired => bad(": it could not be sent in time"),
            DeliveryState::Failed => bad(": WhatsApp did not take it"),
            DeliveryState::Cancelled | DeliveryState::Blocked => {
                let is = |obstacle: Obstacle| reason == Some(obstacle.as_str());
                bad(if is(Obstacle::NotLinked) {
                    ": no phone was linked"
                } else if is(Obstacle::OptedOut) {
                    ": you were unsubscribed"
                } else if is(Obstacle::Quota) {
                    ": your plan's updates were used up"
                } else if is(Obstacle::Window) {
                    ": you had not written there for a day"
                } else if is(Obstacle::QuietHours) {
                    ": you wanted quiet"
                } else if is(Obstacle::Country) {
                    ": it is not offered in your country"
                } else {
                    ""
                })
            }
        }
    }
}

/// A schedule's name as people write: `morning_briefing` is "Morning briefing".
pub(super) fn title(name: &str) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A moment as clocks of the zone show it.
fn shown(moment: DateTime<Utc>, zone: Tz) -> String {
    moment.with_timezone(&zone).format("%a %-d %b, %H:%M").to_string()
}

/// The same with the year and the zone.
pub(super) fn shown_in_full(moment: DateTime<Utc>, zone: Tz) -> String {
    format!("{} ({zone})", moment.with_timezone(&zone).format("%a %-d %b %Y, %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_schedules_are_words() {
        assert_eq!(title("morning_briefing"), "Morning briefing");
        assert_eq!(title("x-1"), "X 1");
        assert_eq!(title(""), "");
    }

    #[test]
    fn what_kept_a_message_from_the_phone_is_told() {
        let of = |state, reason| Reach::of(state, reason).words;
        assert_eq!(of(DeliveryState::Blocked, Some("opted_out")), "not on WhatsApp: you were unsubscribed");
        assert_eq!(of(DeliveryState::Cancelled, Some("something else")), "not on WhatsApp");
        assert!(!Reach::of(DeliveryState::Delivered, None).is_bad);
    }
}
