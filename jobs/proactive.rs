//! Plans what we say of our own accord: whether it may be said, in which form, and against whose allowance. The first thing that stands in the
//! way is the delivery's reason, and Twilio is not called: `not_linked`, `opted_out`, `quota`, `window`.

use chrono::{DateTime, TimeDelta, Utc};
use queue::enqueue::EnqueueError;
use queue::job::NewJob;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::allowances;
use store::deliveries::{self, Delivery, NewChunk, NewProactive, Purpose};
use store::links::Link;
use store::users::User;
use uuid::Uuid;

use crate::app::Settings;
use crate::lanes;
use crate::planning::{self, Kind, Limits, PlannedChunk};
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
    let outlook = foresee(tx, settings, user_id, &delivery.text, delivery.content_sid.is_some()).await?;
    let (link, user) = match (outlook.blocked, link, outlook.user) {
        (Some("window"), ..) if waits_for_inbound => {
            return Ok(Planned { id, state: "waiting", reason: None });
        }
        (Some(reason), ..) => return block(tx, id, reason).await,
        (None, Some(link), Some(user)) => (link, user),
        (None, ..) => return block(tx, id, "not_linked").await,
    };
    let chunks: Vec<NewChunk<'_>> = outlook
        .chunks
        .iter()
        .map(|planned| NewChunk {
            body: &planned.body,
            source: planned.source.clone(),
            meter_proactive: planned.meter_proactive,
            proactive: planned.proactive,
            is_template: outlook.as_template,
        })
        .collect();
    let (cap, period) = (cap(settings, &user), user.anchor.period(Utc::now()));
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

/// What would become of some words to a user as things stand.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The first thing that stands in the way.
    pub blocked: Option<&'static str>,
    /// What would be sent; one without a body for a template.
    pub chunks: Vec<PlannedChunk>,
    /// The template would be sent, since free text is not allowed.
    pub as_template: bool,
    /// The user, if known.
    user: Option<User>,
}

/// Looks what would become of some words to a user, and changes nothing.
pub async fn foresee(
    conn: &mut PgConnection,
    settings: &Settings,
    user_id: &str,
    text: &str,
    has_template: bool,
) -> sqlx::Result<Outlook> {
    let link = store::links::of_user(conn, user_id).await?;
    let user = store::users::get(conn, user_id).await?;
    let mut outlook = Outlook { blocked: Some("not_linked"), chunks: Vec::new(), as_template: false, user };
    let (Some(link), Some(user)) = (link, &outlook.user) else { return Ok(outlook) };
    let last_inbound_at = store::addresses::last_inbound_at(conn, link.address_id).await?;
    let is_open = settings.window_is_open(last_inbound_at, Utc::now());
    outlook.as_template = !is_open && has_template;
    outlook.chunks = if outlook.as_template {
        let source = 0..text.len();
        vec![PlannedChunk { body: String::new(), source, meter_proactive: true, proactive: true }]
    } else {
        planning::plan(text, Kind::Proactive, &Limits::default()).chunks
    };
    let names = store::addresses::names(conn, link.address_id).await?;
    let (cap, period) = (cap(settings, user), user.anchor.period(Utc::now()));
    outlook.blocked = if store::opt_outs::exists(conn, &settings.secret_keys, &names).await? {
        Some("opted_out")
    } else if outlook.chunks.is_empty() {
        Some("empty")
    } else if !allowances::fits(conn, &user.id, period, cap, outlook.chunks.len()).await? {
        Some("quota")
    } else if !is_open && !has_template {
        Some("window")
    } else {
        None
    };
    Ok(outlook)
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
