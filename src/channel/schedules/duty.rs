//! What is said at a slot: the author's words filled in, and their copies to WhatsApp.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::failure::Failure;
use queue::transaction::Transaction;
use serde_json::{Map, Value};
use store::deliveries::{DeliveryState, Purpose};
use store::ids::UserId;
use store::slot_users::{PartOutcome, UserPart};
use store::slots::Slot;
use store::users::User;
use whatsapp_text::text::WhatsappText;

use super::definition::Definition;
use super::placeholders::{self, PlaceholderValues};
use super::zone_choice;
use crate::app::Settings;
use crate::outbound::proactive::eligibility::Eligibilities;
use crate::outbound::proactive::{self, Request};
use crate::outbound::template;

/// An author's text with the user's and the slot's values.
#[must_use]
pub fn filled(moment: DateTime<Utc>, definition: &Definition, user: &User, text: &str) -> String {
    let local = zone_choice::shown_to(definition, user, moment);
    let (date, time, weekday) =
        (local.format("%F").to_string(), local.format("%H:%M").to_string(), local.format("%A").to_string());
    let values = PlaceholderValues {
        user_id: user.id.as_str(),
        user_plan: &user.plan,
        attributes: &user.attributes,
        slot_date: &date,
        slot_time: &time,
        slot_weekday: &weekday,
    };
    placeholders::fill(text, &values)
}

/// What of an author's or the agent's words goes to WhatsApp; in the conversation they stay as they were written.
#[must_use]
pub fn converted(settings: &Settings, definition: &Definition, text: &str) -> WhatsappText {
    WhatsappText::of(text, definition.content.format(settings.agent.format))
}

/// What is said when somebody tries a schedule begins with this, so that the person knows why it comes twice. A template cannot be changed.
const TEST_MARK: &str = "[Test] ";

/// Words as they are said at a slot.
#[must_use]
pub fn marked(slot: &Slot, text: String) -> String {
    if slot.is_test { format!("{TEST_MARK}{text}") } else { text }
}

/// The variables of a definition's template, as WhatsApp takes them; `None`: it has no template.
#[must_use]
pub fn variables(moment: DateTime<Utc>, definition: &Definition, user: &User) -> Option<Value> {
    let template = definition.template.as_ref()?;
    let fill = |(name, value): (&String, &String)| {
        (name.clone(), Value::String(template::harmless(filled(moment, definition, user, value))))
    };
    Some(template.variables.iter().map(fill).collect::<Map<_, _>>().into())
}

/// Plans the copies to WhatsApp of what was said to users; what became of each. The caller has locked the users' addresses before it read the
/// eligibilities.
pub async fn say<'a>(
    tx: &mut Transaction,
    settings: &Settings,
    eligibilities: &Eligibilities,
    slot: &Slot,
    definition: &Definition,
    said: &'a [(&User, String)],
) -> Result<Vec<UserPart<'a>>, Failure> {
    let variables: Vec<Option<Value>> =
        said.iter().map(|(user, _)| variables(slot.moment, definition, user)).collect();
    let content_sid = definition.template.as_ref().map(|template| template.content_sid.as_str());
    let texts: Vec<WhatsappText> =
        said.iter().map(|(_, text)| converted(settings, definition, text)).collect();
    // Whoever tries a schedule wants to see it now.
    let quiet = (!slot.is_test).then(|| definition.quiet_rule());
    let requests = said.iter().zip(&texts).zip(&variables).map(|(((user, _), text), variables)| Request {
        user_id: &user.id,
        purpose: Purpose::Scheduled,
        text,
        template: content_sid.zip(variables.as_ref()),
        expires_at: expires_at(slot, definition),
        waits_for_inbound: false,
        quiet: quiet.as_ref(),
        due_at: Some(slot.moment),
        not_before: spread(slot, definition, &user.id),
    });
    let planned = proactive::plan_all(tx, settings, eligibilities, requests.collect()).await?;
    Ok(said
        .iter()
        .zip(planned)
        .map(|((user, _), planned)| UserPart {
            user_id: &user.id,
            outcome: if matches!(planned.state, DeliveryState::Open | DeliveryState::Waiting) {
                PartOutcome::Planned
            } else {
                PartOutcome::Blocked
            },
            reason: planned.reason,
            delivery_id: Some(planned.id),
        })
        .collect())
}

/// What has not left by then does not leave any more.
pub fn expires_at(slot: &Slot, definition: &Definition) -> DateTime<Utc> {
    slot.moment + definition.expires
}

/// Where in the window a user's message stands: always the same for the same slot and user.
pub(super) fn spread(slot: &Slot, definition: &Definition, user_id: &UserId) -> Option<DateTime<Utc>> {
    let within = u64::try_from(definition.jitter.as_millis()).ok().filter(|millis| *millis > 0)?;
    let mut hasher = DefaultHasher::new();
    (slot.id, user_id).hash(&mut hasher);
    Some(slot.moment + Duration::from_millis(hasher.finish() % within))
}
