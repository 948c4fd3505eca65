//! Does what a schedule does at a slot: for each user of its audience, the words go into the conversation, and a copy of them to WhatsApp.
//!
//! Enqueued in the transaction that makes the slot, in the schedule's lane. Enqueues a `prompt_user` for each user where the agent shall say
//! something, and with each delivery its `send_chunk`s. It may run twice: it goes on behind the last user that was dealt with, and each user is
//! dealt with once. When it gives up, `close_slot` follows.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::TryStreamExt as _;
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{FollowUp, Job};
use queue::transaction::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use store::deliveries::{DeliveryState, Purpose};
use store::ids::SlotId;
use store::slots::{PartOutcome, Slot, UserPart};
use store::users::User;

use crate::app::App;
use crate::audience::Duty;
use crate::close_slot::CloseSlot;
use crate::proactive::standings::Standings;
use crate::proactive::{self, PlanError, Request};
use crate::schedules::definition::Definition;
use crate::schedules::placeholders::{self, Values};

/// The slot to work off.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunDuty {
    /// `channel_slots.id`.
    pub slot: SlotId,
}

/// A large audience is worked off in stretches, so that none runs into its time limit.
const STRETCH: Duration = Duration::from_secs(60);

/// Pages that are planned at a time, each on a connection of its own: the database's processors are what a large audience waits for.
const AT_ONCE: usize = 2;

impl Job for RunDuty {
    const KIND: &'static str = "run_duty";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 10;
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<CloseSlot>());
}

/// Does the work.
pub async fn run(job: RunDuty, app: App, claim: Claim) -> Result<(), Failure> {
    let end = Instant::now() + STRETCH;
    while Instant::now() < end {
        let Some(duty) = Duty::open(&app, job.slot).await? else { return Ok(()) };
        let pages = duty.pages(end).map_ok(|page| duty.plan(page)).try_buffered(AT_ONCE);
        let mut pages = pin!(pages);
        while let Some(page) = pages.try_next().await? {
            let is_last = page.is_last;
            if !duty.keep(page, &claim).await? {
                // The slot has ended, or another run of this duty has come further.
                break;
            }
            if is_last {
                return Ok(());
            }
        }
    }
    Err(Failure::Snooze(Duration::ZERO))
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
) -> Result<Vec<UserPart<'a>>, Failure> {
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
        .map(|((user, _), planned)| UserPart {
            user_id: &user.id,
            outcome: if planned.state == DeliveryState::Open {
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
pub(crate) fn expires_at(slot: &Slot, definition: &Definition) -> DateTime<Utc> {
    slot.moment + definition.expires
}

/// Where in the window a user's message stands: always the same for the same slot and user.
fn spread(slot: &Slot, definition: &Definition, user_id: &str) -> Option<DateTime<Utc>> {
    let within = u64::try_from(definition.jitter.as_millis()).ok().filter(|millis| *millis > 0)?;
    let mut hasher = DefaultHasher::new();
    (slot.id, user_id).hash(&mut hasher);
    Some(slot.moment + Duration::from_millis(hasher.finish() % within))
}
