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
use serde_json::Map;
use store::deliveries::Purpose;
use store::slots::{self, Part, Slot};
use store::users::User;

use crate::app::App;
use crate::close_slot::{self, CloseSlot};
use crate::proactive::standings::{self, Standings};
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

/// Users that are dealt with in one transaction: their phones are locked meanwhile, which takes a fraction of a second.
const PAGE: i64 = 500;

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
            tx.commit().await?;
            let audience = &definition.audience;
            let (user, plan) = (audience.user.as_deref(), audience.plan.as_deref());
            let after = slot.last_user.as_deref();
            let mut conn = app.pg.acquire().await?;
            let users = slots::audience(&mut conn, after, user, plan, PAGE).await?;
            drop(conn);
            let is_last_page = i64::try_from(users.len()).is_ok_and(|found| found < PAGE);
            let mut tx = app.begin().await?;
            if !page(&app, &mut tx, &slot, &definition, &users).await? {
                // The slot has ended, or another run of this duty has come further.
                continue;
            }
            if is_last_page {
                slots::end_audience(&mut tx, slot.id).await?;
                let unknown_user = user.filter(|_| users.is_empty() && after.is_none());
                let unknown_plan = plan.filter(|plan| app.settings.plans.find(plan).is_none());
                let failed = unknown_user
                    .map(|user| format!("there is no user {user:?}"))
                    .or(unknown_plan.map(|plan| format!("there is no plan {plan:?}")));
                close_slot::close_if_done(&app, &mut tx, slot.id, failed.as_deref()).await?;
                claim.complete(&mut tx).await?;
            }
            tx.commit().await?;
            if is_last_page {
                return Ok(());
            }
        }
    }
}

/// Deals with a page of the audience, in one transaction: a crash loses or repeats all of it or nothing. False: nothing was done, since the slot is
/// no longer as it was when the page was read.
async fn page(
    app: &App,
    tx: &mut Transaction,
    slot: &Slot,
    definition: &Definition,
    users: &[String],
) -> Result<bool, Failure> {
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    // The people first, as everywhere; then the slot.
    store::links::lock_of_users(tx, &ids).await?;
    let now = slots::lock(tx, slot.id).await?;
    if !now.is_some_and(|now| now.state == "open" && now.last_user == slot.last_user) {
        return Ok(false);
    }
    let Some(last_user) = users.last() else { return Ok(true) };
    let slot_id = slot.id;
    if definition.content.prompt.is_some() {
        let jobs = ids.iter().map(|user| NewJob::of(&PromptUser { slot: slot_id, user: (*user).to_owned() }));
        tx.enqueue_batch(jobs.collect()).await?;
        let asked = |user_id| Part { user_id, outcome: "asked", reason: None, delivery_id: None };
        let parts: Vec<Part<'_>> = ids.into_iter().map(asked).collect();
        slots::add_users(tx, slot_id, &parts, last_user).await?;
        return Ok(true);
    }
    let standings = standings::read(tx, &app.settings, &ids, Utc::now()).await?;
    let text = definition.content.message.as_deref().unwrap_or_default();
    // A user who was erased meanwhile is left out.
    let said: Vec<(&User, String)> = ids
        .iter()
        .filter_map(|id| standings.get(*id))
        .map(|standing| (&standing.user, filled(slot.moment, definition, &standing.user, text)))
        .collect();
    post(tx, slot, &said).await?;
    let parts = say(tx, &standings, slot, definition, &said).await?;
    slots::add_users(tx, slot_id, &parts, last_user).await?;
    Ok(true)
}

/// Puts words into users' conversations.
async fn post(tx: &mut Transaction, slot: &Slot, said: &[(&User, String)]) -> sqlx::Result<()> {
    let ids: Vec<&str> = said.iter().map(|(user, _)| user.id.as_str()).collect();
    let conversations = store::conversations::of_users(tx, &ids).await?;
    let posts: Vec<(i64, &str)> =
        said.iter().filter_map(|(user, text)| Some((*conversations.get(&user.id)?, text.as_str()))).collect();
    store::turns::post(tx, &format!("schedule {}", slot.schedule), slot.id, &posts).await
}

/// An author's text with the user's and the slot's values.
#[must_use]
pub fn filled(moment: DateTime<Utc>, definition: &Definition, user: &User, text: &str) -> String {
    let zone: Tz = definition.timezone.parse().unwrap_or(Tz::UTC);
    let local = moment.with_timezone(&zone);
    let (date, time, weekday) =
        (local.format("%F").to_string(), local.format("%H:%M").to_string(), local.format("%A").to_string());
    let values = Values {
        user_id: &user.id,
        user_plan: &user.plan,
        slot_date: &date,
        slot_time: &time,
        slot_weekday: &weekday,
    };
    placeholders::fill(text, &values)
}

/// Plans the copies to WhatsApp of what was said to users; what became of each. The caller has locked the users' addresses before it read the
/// standings.
pub(crate) async fn say<'a>(
    tx: &mut Transaction,
    standings: &Standings,
    slot: &Slot,
    definition: &Definition,
    said: &'a [(&User, String)],
) -> Result<Vec<Part<'a>>, Failure> {
    let variables: Vec<Option<serde_json::Value>> = said
        .iter()
        .map(|(user, _)| {
            let fill = |value: &String| filled(slot.moment, definition, user, value).into();
            let variables = &definition.template.as_ref()?.variables;
            Some(
                variables
                    .iter()
                    .map(|(name, value)| (name.clone(), fill(value)))
                    .collect::<Map<_, _>>()
                    .into(),
            )
        })
        .collect();
    let content_sid = definition.template.as_ref().map(|template| template.content_sid.as_str());
    let requests = said.iter().zip(&variables).map(|((user, text), variables)| Request {
        user_id: &user.id,
        purpose: Purpose::Scheduled,
        text,
        template: content_sid.zip(variables.as_ref()),
        expires_at: expires_at(slot, definition),
        waits_for_inbound: false,
        not_before: spread(slot, definition, &user.id),
    });
    let planned =
        proactive::plan_all(tx, standings, requests.collect()).await.map_err(|error| match error {
            PlanError::Database(error) => Failure::from(error),
            PlanError::Enqueue(error) => Failure::from(error),
        })?;
    Ok(said
        .iter()
        .zip(planned)
        .map(|((user, _), planned)| Part {
            user_id: &user.id,
            outcome: if planned.state == "open" { "planned" } else { "blocked" },
            reason: planned.reason,
            delivery_id: Some(planned.id),
        })
        .collect())
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
