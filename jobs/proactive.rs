//! Plans what we say of our own accord: whether it may be said, in which form, and against whose allowance. The first thing that stands in the
//! way is the delivery's reason, and Twilio is not called: `not_linked`, `opted_out`, `quota`, `window`.

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::allowances;
use store::deliveries::{self, Delivery, NewChunk, NewProactive, Purpose};
use store::links::Link;
use store::users::User;
use uuid::Uuid;

use crate::app::Settings;
use crate::lanes;
use crate::planning::{self, Kind, Limits};
use crate::send_chunk::SendChunk;

/// What shall be said.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// To whom.
    pub user_id: &'a str,
    /// Why.
    pub purpose: Purpose,
    /// The words; not blank.
    pub text: &'a str,
    /// An approved template and its variables, for when free text is not allowed.
    pub template: Option<(&'a str, &'a serde_json::Value)>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// Rather than being blocked by the closed window, it waits for the person's next message.
    pub waits_for_inbound: bool,
    /// It is not sent before; a large audience is spread like this.
    pub not_before: Option<DateTime<Utc>>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The delivery's id; it is stored in any case.
    pub id: Uuid,
    /// `open`, `waiting` or `blocked`.
    pub state: &'static str,
    /// Why it is blocked.
    pub reason: Option<&'static str>,
}

/// Why nothing could be decided.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The database refused or was away.
    #[error("cannot store the delivery: {0}")]
    Database(#[from] sqlx::Error),
    /// Its jobs could not be enqueued.
    #[error("cannot enqueue the delivery's chunks: {0}")]
    Enqueue(#[from] EnqueueError),
}

/// Plans a delivery in the caller's transaction, all of it or nothing.
pub async fn plan(
    tx: &mut Transaction,
    settings: &Settings,
    request: Request<'_>,
) -> Result<Planned, PlanError> {
    let new = NewProactive {
        user_id: request.user_id,
        conversation_id: None,
        purpose: request.purpose,
        text: request.text,
        template: request.template,
        expires_at: request.expires_at,
    };
    // The person first: whatever is decided about somebody is decided under their lock.
    let link = store::links::lock_of_user(tx, request.user_id).await?;
    let id = deliveries::create_waiting(tx, new).await?;
    let Some(delivery) = deliveries::get(tx, id).await? else { return Err(sqlx::Error::RowNotFound.into()) };
    decide(tx, settings, &delivery, link, request.waits_for_inbound, request.not_before).await
}

/// Plans a delivery that has waited for the person's message, which has come. The caller holds the locks of address and delivery.
pub(crate) async fn plan_waiting(
    tx: &mut Transaction,
    settings: &Settings,
    id: Uuid,
    link: Option<Link>,
) -> Result<(), PlanError> {
    let Some(delivery) = deliveries::get(tx, id).await?.filter(|delivery| delivery.state == "waiting") else {
        return Ok(());
    };
    if delivery.expires_at <= Utc::now() {
        deliveries::end_waiting(tx, id, "expired", "the person did not write in time").await?;
        return Ok(());
    }
    decide(tx, settings, &delivery, link, true, None).await?;
    Ok(())
}

async fn decide(
    tx: &mut Transaction,
    settings: &Settings,
    delivery: &Delivery,
    link: Option<Link>,
    waits_for_inbound: bool,
    not_before: Option<DateTime<Utc>>,
) -> Result<Planned, PlanError> {
    let id = delivery.id;
    let user_id = delivery.user_id.as_deref().unwrap_or_default();
    let user = store::users::get(tx, user_id).await?;
    let (Some(link), Some(user)) = (link, user) else { return block(tx, id, "not_linked").await };
    let names = store::addresses::names(tx, link.address_id).await?;
    if store::opt_outs::exists(tx, &settings.secret_keys, &names).await? {
        return block(tx, id, "opted_out").await;
    }
    let address = store::addresses::lock(tx, link.address_id).await?;
    let is_open = settings.window_is_open(address.last_inbound_at, Utc::now());
    let has_template = delivery.content_sid.is_some();
    let planned = planning::plan(&delivery.text, Kind::Proactive, &Limits::default()).chunks;
    let as_template = !is_open && has_template;
    let chunks: Vec<NewChunk<'_>> = if as_template {
        vec![NewChunk {
            body: "",
            source: 0..delivery.text.len(),
            meter_proactive: true,
            proactive: true,
            is_template: true,
        }]
    } else {
        let chunk = |chunk: &'_ planning::PlannedChunk| {
            (chunk.source.clone(), chunk.meter_proactive, chunk.proactive)
        };
        planned
            .iter()
            .map(|planned| {
                let (source, meter_proactive, proactive) = chunk(planned);
                NewChunk { body: &planned.body, source, meter_proactive, proactive, is_template: false }
            })
            .collect()
    };
    if chunks.is_empty() {
        return block(tx, id, "empty").await;
    }
    let (cap, period) = (cap(settings, &user), user.anchor.period(Utc::now()));
    if !allowances::fits(tx, &user.id, period, cap, chunks.len()).await? {
        return block(tx, id, "quota").await;
    }
    if !is_open && !has_template {
        if waits_for_inbound {
            return Ok(Planned { id, state: "waiting", reason: None });
        }
        return block(tx, id, "window").await;
    }
    let chunk_ids = deliveries::open(tx, id, link.address_id, link.id, period.start, &chunks).await?;
    if !allowances::reserve(tx, &user.id, period, cap, &chunk_ids).await? {
        // Somebody else has taken what was left between the two looks.
        for chunk_id in chunk_ids {
            store::chunks::end(tx, chunk_id, store::chunks::End::Blocked, None, "quota").await?;
        }
        deliveries::follow_chunks(tx, id).await?;
        return Ok(Planned { id, state: "blocked", reason: Some("quota") });
    }
    let jobs = chunk_ids.iter().zip(&chunks).map(|(chunk_id, chunk)| {
        let job = job(*chunk_id, chunk.meter_proactive, chunk.proactive, true, link.address_id);
        match not_before {
            Some(moment) => job.run_at(moment),
            None => job,
        }
    });
    tx.enqueue_batch(jobs.collect()).await?;
    tracing::info!(delivery.id = %id, user.id = user.id, "Planned delivery {id} in {} chunks", chunks.len());
    Ok(Planned { id, state: "open", reason: None })
}

/// Metered messages that a user may be sent in a billing period.
#[must_use]
pub fn cap(settings: &Settings, user: &User) -> u32 {
    let plan = settings.plans.of(&user.plan);
    if plan.whatsapp && settings.whatsapp_enabled { plan.whatsapp_sends } else { 0 }
}

async fn block(tx: &mut Transaction, id: Uuid, reason: &'static str) -> Result<Planned, PlanError> {
    deliveries::end_waiting(tx, id, "blocked", reason).await?;
    tracing::info!(delivery.id = %id, "Blocked delivery {id}: {reason}");
    Ok(Planned { id, state: "blocked", reason: Some(reason) })
}

/// The job that sends a chunk, in the lane of its person.
pub(crate) fn job(
    chunk: i64,
    meter_proactive: bool,
    proactive: bool,
    of_own_accord: bool,
    address_id: i64,
) -> NewJob {
    let job =
        NewJob::of(&SendChunk { chunk, meter_proactive, proactive }).unique_key(lanes::chunk_key(chunk));
    if of_own_accord {
        job.lane(lanes::proactive(address_id)).pool(lanes::PROACTIVE_POOL)
    } else {
        job.lane(lanes::replies(address_id))
    }
}

/// Enqueues what is left to be sent of a delivery whose jobs have ended: after a send in doubt has been cleared up. What has a job keeps it.
pub async fn go_on(tx: &mut Transaction, delivery_id: Uuid) -> Result<(), PlanError> {
    let left = store::chunks::planned(tx, delivery_id).await?;
    let jobs = left.iter().map(|chunk| {
        job(chunk.id, chunk.meter_proactive, chunk.proactive, chunk.of_own_accord, chunk.address_id)
    });
    tx.enqueue_batch(jobs.collect()).await?;
    Ok(())
}

impl Settings {
    /// Whether WhatsApp lets free text through to a person who last wrote at this moment.
    #[must_use]
    pub fn window_is_open(&self, last_inbound_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        !self.enforce_window || last_inbound_at.is_some_and(|at| now < at + TimeDelta::hours(24))
    }
}
