//! Does what a schedule does at a slot: for each user of its audience, the words go into the conversation, and a copy of them to WhatsApp.
//!
//! Enqueued in the transaction that makes the slot, in the schedule's lane. Enqueues a `prompt_user` for each user where the agent shall say
//! something, and with each delivery its `send_chunk`s. It may run twice: it goes on behind the last user that was dealt with, and each user is
//! dealt with once. When it gives up, `close_slot` follows.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use store::deliveries::Purpose;
use store::slots::{self, Slot};

use crate::app::App;
use crate::close_slot::{self, CloseSlot};
use crate::proactive::{self, PlanError, Request};
use crate::prompt_user::PromptUser;
use crate::schedules::definition::{Definition, Overlap};
use crate::schedules::placeholders::{self, Values};

/// The slot to work off.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunDuty {
    /// `channel_slots.id`.
    pub slot: i64,
}

/// A large audience is worked off in stretches, so that none runs into its time limit.
const STRETCH: Duration = Duration::from_secs(60);

/// The slot before this one is let end like this.
const PAUSE: Duration = Duration::from_secs(1);

/// Users that are looked up at once.
const PAGE: i64 = 200;

impl Job for RunDuty {
    type App = App;

    const KIND: &'static str = "run_duty";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 10;
    const ON_END: Option<(&'static str, &'static str)> = Some((CloseSlot::KIND, CloseSlot::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            if begun.elapsed() > STRETCH {
                return Err(Failure::Snooze(Duration::ZERO));
            }
            let mut tx = app.begin().await?;
            let Some(slot) = slots::lock(&mut tx, self.slot).await?.filter(|slot| slot.state == "open")
            else {
                return Ok(());
            };
            let definition: Definition = serde_json::from_value(slot.definition.clone())
                .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
            if definition.overlap == Overlap::Wait && slots::must_wait(&mut tx, &slot).await? {
                return Err(Failure::Snooze(PAUSE));
            }
            let audience = &definition.audience;
            let users = slots::audience(
                &mut tx,
                slot.last_user.as_deref(),
                audience.user.as_deref(),
                audience.plan.as_deref(),
                PAGE,
            )
            .await?;
            tx.commit().await?;
            for user in &users {
                one(&app, &slot, &definition, user).await?;
            }
            if i64::try_from(users.len()).is_ok_and(|found| found < PAGE) {
                let mut tx = app.begin().await?;
                close_slot::close_if_done(&app, &mut tx, self.slot).await?;
                claim.complete(&mut tx).await?;
                tx.commit().await?;
                return Ok(());
            }
        }
    }
}

/// A user's part, in one transaction.
async fn one(app: &App, slot: &Slot, definition: &Definition, user_id: &str) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    // The person first, as everywhere; then the slot.
    store::links::lock_of_user(&mut tx, user_id).await?;
    let asks = definition.content.prompt.is_some();
    if !slots::begin_user(&mut tx, slot.id, user_id, if asks { "asked" } else { "empty" }).await? {
        return Ok(());
    }
    if asks {
        let job = PromptUser { slot: slot.id, user: user_id.to_owned() };
        tx.enqueue(NewJob::of(&job)).await?;
    } else {
        let text = definition.content.message.as_deref().unwrap_or_default();
        let text = filled(&mut tx, slot.moment, definition, user_id, text).await?;
        say(app, &mut tx, slot, definition, user_id, &text).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// An author's text with the user's and the slot's values.
pub async fn filled(
    conn: &mut PgConnection,
    moment: DateTime<Utc>,
    definition: &Definition,
    user_id: &str,
    text: &str,
) -> sqlx::Result<String> {
    let plan = store::users::get(conn, user_id).await?.map(|user| user.plan).unwrap_or_default();
    let zone: Tz = definition.timezone.parse().unwrap_or(Tz::UTC);
    let local = moment.with_timezone(&zone);
    let (date, time, weekday) =
        (local.format("%F").to_string(), local.format("%H:%M").to_string(), local.format("%A").to_string());
    let values =
        Values { user_id, user_plan: &plan, slot_date: &date, slot_time: &time, slot_weekday: &weekday };
    Ok(placeholders::fill(text, &values))
}

/// Puts words into a user's conversation and plans their copy to WhatsApp.
pub(crate) async fn say(
    app: &App,
    tx: &mut Transaction,
    slot: &Slot,
    definition: &Definition,
    user_id: &str,
    text: &str,
) -> Result<(), Failure> {
    let conversation = store::conversations::of_user(tx, user_id).await?;
    store::turns::post(tx, conversation, &format!("schedule {}", slot.schedule), text).await?;
    let variables = match &definition.template {
        None => None,
        Some(template) => {
            let mut variables = serde_json::Map::new();
            for (name, value) in &template.variables {
                let value = filled(tx, slot.moment, definition, user_id, value).await?;
                variables.insert(name.clone(), value.into());
            }
            Some(serde_json::Value::Object(variables))
        }
    };
    let template = definition.template.as_ref().zip(variables.as_ref());
    let request = Request {
        user_id,
        purpose: Purpose::Scheduled,
        text,
        template: template.map(|(template, variables)| (template.content_sid.as_str(), variables)),
        expires_at: expires_at(slot, definition),
        waits_for_inbound: false,
        not_before: spread(slot, definition, user_id),
    };
    let planned = proactive::plan(tx, &app.settings, request).await.map_err(|error| match error {
        PlanError::Database(error) => Failure::from(error),
        PlanError::Enqueue(error) => Failure::from(error),
    })?;
    let outcome = if planned.state == "blocked" { "blocked" } else { "planned" };
    slots::end_user(tx, slot.id, user_id, outcome, planned.reason, Some(planned.id)).await?;
    Ok(())
}

/// What has not left by then does not leave any more.
fn expires_at(slot: &Slot, definition: &Definition) -> DateTime<Utc> {
    slot.moment + TimeDelta::minutes(i64::from(definition.expires_minutes))
}

/// Where in the window a user's message stands: always the same for the same slot and user.
fn spread(slot: &Slot, definition: &Definition, user_id: &str) -> Option<DateTime<Utc>> {
    if definition.jitter_seconds == 0 {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (slot.id, user_id).hash(&mut hasher);
    let milliseconds = hasher.finish() % (u64::from(definition.jitter_seconds) * 1000);
    Some(slot.moment + TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap_or(0)))
}
