//! Plans what we say of our own accord: whether it may be said, in which form, and against whose allowance. The first `Obstacle` is the delivery's
//! reason, and Twilio is not called.

/// What would become of some words.
pub mod assessment;
/// What counts.
pub mod eligibility;
/// Puts a delivery off that is about to be sent in quiet hours.
pub mod putting_off;
/// The jobs that plan what has waited for the end of quiet hours.
pub mod quiet_jobs;
/// What is taken from allowances.
pub(crate) mod reservations;
/// How many people a conversation may be opened to.
pub mod room;

use chrono::{DateTime, TimeDelta, Utc};
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::allowances;
use store::deliveries::{Delivery, DeliveryState, Obstacle, Purpose};
use store::ids::{AddressId, ChunkId, DeliveryId, UserId};
use store::people_per_day::Queue;
use store::planned_chunks::NewChunk;
use store::proactive_deliveries::{self, Beginning, NewProactive, Opening};
use whatsapp_text::text::WhatsappText;

use crate::app::Settings;
use crate::counters::COUNTERS;
use crate::kinds::SendChunk;
use crate::outbound::proactive::assessment::Assessment;
use crate::outbound::proactive::eligibility::{Eligibilities, Eligibility};
use crate::outbound::proactive::reservations::reserve;
use crate::outbound::proactive::room::Room;
use crate::outbound::quiet_rule::{QuietRule, QuietVerdict};
use crate::outbound::send_jobs;
use crate::write_error::WriteError;

/// What shall be said.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// To whom.
    pub user_id: &'a UserId,
    /// Why.
    pub purpose: Purpose,
    /// The words; not blank.
    pub text: &'a WhatsappText,
    /// An approved template and its variables, for when free text is not allowed.
    pub template: Option<(&'a str, &'a serde_json::Value)>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// Rather than being blocked by the closed window, it waits for the person's next message.
    pub waits_for_inbound: bool,
    /// What quiet hours mean for it; `None`: nothing.
    pub quiet: Option<&'a QuietRule>,
    /// When it falls due; `None`: now.
    pub due_at: Option<DateTime<Utc>>,
    /// It is not sent before; a large audience is spread like this.
    pub not_before: Option<DateTime<Utc>>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The delivery's id; it is stored in any case.
    pub id: DeliveryId,
    /// Open, waiting, blocked or expired.
    pub state: DeliveryState,
    /// Why it is blocked.
    pub reason: Option<&'static str>,
}

/// What became of a delivery that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is planned, has ended, or waits for something else.
    Planned,
    /// It waits for a place among the people of a day.
    NoRoom,
}

/// Plans a delivery in the caller's transaction, all of it or nothing.
pub async fn plan(
    tx: &mut Transaction,
    settings: &Settings,
    request: Request<'_>,
) -> Result<Planned, WriteError> {
    let users = [request.user_id];
    store::links::lock_of_users(tx, &users).await?;
    let eligibilities = eligibility::read(tx, settings, &users).await?;
    Ok(plan_all(tx, settings, &eligibilities, vec![request]).await?.remove(0))
}

/// Plans deliveries to different users. The caller has locked their addresses before it read the eligibilities: whatever is decided about somebody
/// is decided under their lock.
pub async fn plan_all(
    tx: &mut Transaction,
    settings: &Settings,
    eligibilities: &Eligibilities,
    requests: Vec<Request<'_>>,
) -> Result<Vec<Planned>, WriteError> {
    // Whoever is not known is not linked, whatever the time.
    let is_over = |request: &Request<'_>| {
        eligibilities
            .get(request.user_id)
            .is_some_and(|eligibility| request.expires_at <= eligibility.read_at)
    };
    let assessments: Vec<Assessment> = requests
        .iter()
        .map(|request| {
            let template = request.template.map(|(_, variables)| variables);
            let eligibility = eligibilities.get(request.user_id);
            let quiet = quiet_verdict(request.quiet, eligibility, request.not_before.or(request.due_at));
            assessment::of(eligibility, request.text, template, quiet)
        })
        .collect();
    let wished: Vec<(&Eligibility, &Assessment)> = requests
        .iter()
        .zip(&assessments)
        .filter(|(request, assessment)| assessment.may_be_sent_now() && !is_over(request))
        .filter_map(|(request, assessment)| Some((eligibilities.get(request.user_id)?, assessment)))
        .collect();
    let openings: Vec<AddressId> = wished.iter().filter_map(|wish| opens_to(*wish)).collect();
    let room = Room::take(tx, settings, &openings, Queue::Behind).await?;
    let wished: Vec<_> = wished.into_iter().filter(|wish| has_room(&room, *wish)).collect();
    let granted = reserve(tx, &wished).await?;
    let new: Vec<NewProactive<'_>> = requests
        .iter()
        .zip(&assessments)
        .map(|(request, assessment)| NewProactive {
            id: DeliveryId::generate(),
            user_id: request.user_id,
            purpose: request.purpose,
            text: request.text.as_str(),
            template: request.template,
            expires_at: request.expires_at,
            quiet_rule: request.quiet.and_then(|rule| serde_json::to_value(rule).ok()),
            beginning: if is_over(request) {
                Beginning::Expired
            } else {
                let granted = granted.contains(request.user_id);
                let waits = Waits { for_inbound: request.waits_for_inbound, quiet: request.quiet };
                begin(eligibilities.get(request.user_id), assessment, granted, &waits, &room)
            },
        })
        .collect();
    new.iter().for_each(|new| note_block(&new.beginning));
    let chunk_ids = proactive_deliveries::create(tx, &new).await?;
    let mut jobs = Vec::new();
    let mut reserved = Vec::new();
    for ((new, request), chunk_ids) in new.iter().zip(&requests).zip(&chunk_ids) {
        if let Beginning::Open(opening) = &new.beginning {
            reserved.push((new.user_id, opening.period_start, chunk_ids.as_slice()));
            jobs.extend(send_jobs(opening, chunk_ids, request.not_before));
        }
        tracing::debug!(delivery.id = %new.id, user.id = new.user_id.as_str(), reason = new.beginning.reason(), "Delivery {} is {}", new.id, new.beginning.state());
    }
    allowances::note_reserved(tx, &reserved).await?;
    tx.enqueue_batch(jobs).await?;
    quiet_jobs::enqueue_all(tx, &new).await?;
    if new.iter().any(|new| matches!(new.beginning, Beginning::WaitingForRoom)) {
        room::enqueue(tx).await?;
    }
    Ok(new
        .iter()
        .map(|new| Planned { id: new.id, state: new.beginning.state(), reason: new.beginning.reason() })
        .collect())
}

/// Plans a delivery that has waited for the person's message, which has come, for quiet hours, which have ended, or for a place. The caller holds the locks
/// of address and delivery.
pub async fn plan_after_wait(
    tx: &mut Transaction,
    settings: &Settings,
    delivery: &Delivery,
) -> Result<Settled, WriteError> {
    let users: Vec<&UserId> = delivery.user_id.iter().collect();
    let eligibilities = eligibility::read(tx, settings, &users).await?;
    let eligibility = delivery.user_id.as_ref().and_then(|user_id| eligibilities.get(user_id));
    if eligibility.is_some_and(|eligibility| delivery.expires_at <= eligibility.read_at) {
        proactive_deliveries::expire(tx, &[delivery.id]).await?;
        return Ok(Settled::Planned);
    }
    // It was converted when it began to wait.
    let text = WhatsappText::as_written(delivery.text.as_str());
    let variables = delivery.content_variables.as_ref().filter(|_| delivery.content_sid.is_some());
    let rule = rule_of(delivery);
    let assessment =
        assessment::of(eligibility, &text, variables, quiet_verdict(rule.as_ref(), eligibility, None));
    let wish =
        eligibility.map(|eligibility| (eligibility, &assessment)).filter(|_| assessment.may_be_sent_now());
    // What waits has its turn.
    let openings: Vec<AddressId> = wish.and_then(opens_to).into_iter().collect();
    let room = Room::take(tx, settings, &openings, Queue::Ahead).await?;
    let wished: Vec<_> = wish.filter(|wish| has_room(&room, *wish)).into_iter().collect();
    let granted = !reserve(tx, &wished).await?.is_empty();
    let for_inbound = delivery.waits_for_inbound || rule.as_ref().is_some_and(|rule| rule.waits_for_inbound);
    let waits = Waits { for_inbound, quiet: rule.as_ref() };
    let beginning = begin(eligibility, &assessment, granted, &waits, &room);
    if let Beginning::WaitingUntil { end, .. } = beginning {
        quiet_jobs::enqueue(tx, end).await?;
    }
    note_block(&beginning);
    let chunk_ids = proactive_deliveries::settle_waiting(tx, delivery.id, &beginning).await?;
    if let (Beginning::Open(opening), Some(user_id)) = (&beginning, &delivery.user_id) {
        allowances::note_reserved(tx, &[(user_id, opening.period_start, &chunk_ids)]).await?;
        tx.enqueue_batch(send_jobs(opening, &chunk_ids, None).collect()).await?;
    }
    if !matches!(beginning, Beginning::WaitingForRoom) {
        return Ok(Settled::Planned);
    }
    room::enqueue(tx).await?;
    Ok(Settled::NoRoom)
}

/// To whom a delivery would open a conversation; `None`: it would not, since it is no template.
fn opens_to((eligibility, assessment): (&Eligibility, &Assessment)) -> Option<AddressId> {
    let phone = eligibility.phone.as_ref().filter(|_| assessment.as_template)?;
    Some(phone.address_id)
}

fn has_room(room: &Room, wish: (&Eligibility, &Assessment)) -> bool {
    opens_to(wish).is_none_or(|address_id| room.has(address_id))
}

fn note_block(beginning: &Beginning<'_>) {
    if let Beginning::Blocked(obstacle) = beginning {
        COUNTERS.note_block(*obstacle);
    }
}

/// For what a delivery may wait.
struct Waits<'a> {
    /// For the person's next message, where the window is closed.
    for_inbound: bool,
    /// For the end of quiet hours, by this rule.
    quiet: Option<&'a QuietRule>,
}

/// What becomes of a delivery, now that everything is known.
fn begin<'a>(
    eligibility: Option<&Eligibility>,
    assessment: &'a Assessment,
    granted: bool,
    waits: &Waits<'_>,
    room: &Room,
) -> Beginning<'a> {
    if let Some((end, rule)) = assessment.waits_until.zip(waits.quiet) {
        return Beginning::WaitingUntil { end, expires_at: rule.expires_at(end) };
    }
    let phone = eligibility.and_then(|eligibility| Some((eligibility, eligibility.phone.as_ref()?)));
    match (assessment.blocked, phone) {
        (Some(Obstacle::Window), _) if waits.for_inbound => Beginning::Waiting,
        (Some(obstacle), _) => Beginning::Blocked(obstacle),
        (None, None) => Beginning::Blocked(Obstacle::NotLinked),
        (None, Some((eligibility, _))) if !has_room(room, (eligibility, assessment)) => {
            Beginning::WaitingForRoom
        }
        (None, Some(_)) if !granted => Beginning::Blocked(Obstacle::Quota),
        (None, Some((eligibility, phone))) => Beginning::Open(Opening {
            address_id: phone.address_id,
            link_id: phone.link_id,
            period_start: eligibility.period.start,
            chunks: assessment
                .chunks
                .iter()
                .map(|planned| NewChunk {
                    body: &planned.body,
                    source: planned.source.clone(),
                    meter_proactive: planned.meter_proactive,
                    has_footer: planned.has_footer,
                    is_template: assessment.as_template,
                })
                .collect(),
        }),
    }
}

/// What quiet hours say of a delivery that leaves now, or not before this moment.
pub(crate) fn quiet_verdict(
    rule: Option<&QuietRule>,
    eligibility: Option<&Eligibility>,
    not_before: Option<DateTime<Utc>>,
) -> QuietVerdict {
    let Some((rule, eligibility)) = rule.zip(eligibility) else { return QuietVerdict::Speak };
    let now = eligibility.read_at;
    rule.judge(&eligibility.user, not_before.map_or(now, |moment| moment.max(now)))
}

/// What quiet hours mean for a delivery. A rule that cannot be read means nothing.
pub(crate) fn rule_of(delivery: &Delivery) -> Option<QuietRule> {
    serde_json::from_value(delivery.quiet_rule.clone()?).ok()
}

/// The jobs that send a delivery.
fn send_jobs<'a>(
    opening: &'a Opening<'_>,
    chunk_ids: &'a [ChunkId],
    not_before: Option<DateTime<Utc>>,
) -> impl Iterator<Item = NewJob> + 'a {
    chunk_ids.iter().zip(&opening.chunks).map(move |(chunk_id, chunk)| {
        let chunk = SendChunk {
            chunk: *chunk_id,
            meter_proactive: chunk.meter_proactive,
            has_footer: chunk.has_footer,
        };
        let job = send_jobs::job(&chunk, true, opening.address_id);
        match not_before {
            Some(moment) => job.run_at(moment),
            None => job,
        }
    })
}

/// Enqueues what is left to be sent of a delivery whose jobs have ended: after a send in doubt has been cleared up. What has a job keeps it.
pub async fn go_on(tx: &mut Transaction, delivery_id: DeliveryId) -> Result<(), WriteError> {
    let left = store::chunks::planned(tx, delivery_id).await?;
    let jobs = left.iter().map(|chunk| {
        let job = SendChunk {
            chunk: chunk.id,
            meter_proactive: chunk.meter_proactive,
            has_footer: chunk.has_footer,
        };
        send_jobs::job(&job, chunk.of_own_accord, chunk.address_id)
    });
    tx.enqueue_batch(jobs.collect()).await?;
    Ok(())
}

impl Settings {
    /// Whether WhatsApp lets free text through to a person who last wrote at this moment.
    #[must_use]
    pub fn window_is_open(&self, last_inbound_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        !self.whatsapp.enforce_window || last_inbound_at.is_some_and(|at| now < at + TimeDelta::hours(24))
    }
}
