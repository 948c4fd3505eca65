//! The card about the user's phone: linked or how to link it, and whether it gets what the user did not ask for.

use channel::app::Settings;
use channel::inbound::commands::ClaimToken;
use channel::plans::Plan;
use channel::schedules::zones::tz::Tz;
use channel::texts;
use chrono::{DateTime, Utc};

use super::bubbles::shown_in_full;
use crate::http::product::claim_link;
use crate::http::product::user_view::{ClaimStanding, UserView};

/// The card.
pub(super) struct WhatsappCard {
    /// Where it stands, in a sentence.
    pub(super) state: String,
    pub(super) phone: Option<PhoneFacts>,
    /// A code to be sent from the phone.
    pub(super) code: Option<CodeToSend>,
    /// What became of the last code.
    pub(super) past: Option<&'static str>,
    /// The last code came from a phone of another account: the user says what shall be.
    pub(super) asks_to_move: bool,
    /// No code can be made, for this reason.
    pub(super) closed: Option<String>,
    pub(super) subscription: Option<Subscription>,
}

/// The phone that is linked.
pub(super) struct PhoneFacts {
    pub(super) number: String,
    pub(super) since: String,
    /// It may be somebody else's by now.
    pub(super) is_unproven: bool,
}

/// How a phone is linked.
pub(super) struct CodeToSend {
    pub(super) text: String,
    pub(super) link: String,
    /// An SVG element of ours.
    pub(super) qr: String,
    /// The assistant's number.
    pub(super) to: String,
    pub(super) until: String,
    pub(super) consent: &'static str,
}

/// Whether scheduled messages and notifications reach WhatsApp, and how the user changes that.
pub(super) struct Subscription {
    /// How it stands, in a word or two.
    pub(super) tag: &'static str,
    pub(super) is_on: bool,
    pub(super) words: &'static str,
    /// Opens WhatsApp with the word that changes it.
    pub(super) link: Option<(String, &'static str)>,
}

impl WhatsappCard {
    pub(super) fn of(
        settings: &Settings,
        view: &UserView,
        code: Option<(ClaimToken, DateTime<Utc>)>,
        zone: Tz,
    ) -> Self {
        let phone = view.whatsapp.as_ref().map(|link| PhoneFacts {
            number: number(&link.address),
            since: shown_in_full(link.linked_at, zone),
            is_unproven: link.unproven,
        });
        let standing = view.claim.as_ref().map(|claim| &claim.state);
        let code = code.map(|(token, until)| CodeToSend::of(settings, &token, until, zone));
        let plan = settings.plans.of(&view.plan);
        let closed = if !settings.whatsapp.enabled {
            Some("WhatsApp is closed for everybody at the moment.".to_owned())
        } else {
            (!plan.whatsapp).then(|| format!("{}.", plan.note().unwrap_or_default()))
        };
        let is_linked = phone.as_ref().is_some_and(|phone| !phone.is_unproven);
        let state = match &phone {
            Some(phone) if phone.is_unproven => {
                format!("{} has to prove once more that it is yours.", phone.number)
            }
            Some(phone) => format!("Linked: {}", phone.number),
            None if code.is_some() => "Waiting for your message.".to_owned(),
            None => "No phone is linked.".to_owned(),
        };
        let past = match standing {
            Some(ClaimStanding::Expired) if !is_linked => Some("The last code was not sent in time."),
            Some(ClaimStanding::NumberLinkedElsewhere) => {
                Some("The phone that sent the last code is linked to another account.")
            }
            Some(ClaimStanding::Plan) => Some("The last code was sent while your plan had no WhatsApp."),
            Some(ClaimStanding::Country) => Some(
                "The phone that sent the last code is of a country where the assistant may not chat on WhatsApp.",
            ),
            Some(ClaimStanding::Waiting) if code.is_none() => {
                Some("A code that was made elsewhere still waits for its message.")
            }
            _ => None,
        };
        let asks_to_move = matches!(standing, Some(ClaimStanding::NumberLinkedElsewhere));
        let subscription = (is_linked || view.opted_out)
            .then(|| Subscription::of(settings, plan, view.opted_out, is_linked));
        Self { state, phone, code, past, asks_to_move, closed, subscription }
    }

    /// Whether a phone is linked and proven.
    pub(super) fn is_linked(&self) -> bool {
        self.phone.as_ref().is_some_and(|phone| !phone.is_unproven)
    }
}

impl CodeToSend {
    fn of(settings: &Settings, token: &ClaimToken, until: DateTime<Utc>, zone: Tz) -> Self {
        let link = claim_link::link(&settings.whatsapp_number, token);
        let svg = claim_link::qr_svg(&link);
        // In a page the element stands without the document around it.
        let qr = svg.find("<svg").map_or(String::new(), |begin| svg[begin..].to_owned());
        let until = format!("{} ({zone})", until.with_timezone(&zone).format("%H:%M"));
        Self {
            text: token.to_text(),
            link,
            qr,
            to: number(&settings.whatsapp_number),
            until,
            consent: texts::CONSENT,
        }
    }
}

impl Subscription {
    fn of(settings: &Settings, plan: &Plan, is_stopped: bool, is_linked: bool) -> Self {
        let digits: String = settings.whatsapp_number.chars().filter(char::is_ascii_digit).collect();
        let send = |word: &str, words| Some((format!("https://wa.me/{digits}?text={word}"), words));
        match (is_stopped, is_linked) {
            (false, _) if plan.note().is_some() => Self {
                tag: "not in your plan",
                is_on: false,
                words: "Your plan has none on WhatsApp. With one that has, they come to this phone until you send STOP from it.",
                link: None,
            },
            (false, _) => Self {
                tag: "on",
                is_on: true,
                words: "They come to this phone. To end that, send STOP from it; you can still chat there.",
                link: send("STOP", "Send STOP on WhatsApp"),
            },
            (true, true) => Self {
                tag: "stopped",
                is_on: false,
                words: "You are unsubscribed, so they do not come to this phone. You can still chat there. To have them again, send START from it.",
                link: send("START", "Send START on WhatsApp"),
            },
            (true, false) => Self {
                tag: "stopped",
                is_on: false,
                words: "You are unsubscribed, so they do not come to WhatsApp. Linking a phone starts them again.",
                link: None,
            },
        }
    }
}

/// A number as people write it; an opaque id tells them nothing.
fn number(address: &str) -> String {
    let name = address.strip_prefix("whatsapp:").unwrap_or(address);
    if name.starts_with('+') { name.to_owned() } else { "a phone that hides its number".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_and_an_opaque_id_is_not() {
        assert_eq!(number("whatsapp:+15005550100"), "+15005550100");
        assert_eq!(number("whatsapp:US.1234567890"), "a phone that hides its number");
    }
}
