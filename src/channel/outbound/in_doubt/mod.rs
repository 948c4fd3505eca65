//! Finds out what became of a send in doubt: by Twilio's own list.
//!
//! A list that has the message proves the send. One that does not have it proves nothing yet: Twilio may take a request in after its
//! client has gone, and its list may lag. Only two lists, both long enough after the deadline and some time apart, prove a miss. What no list
//! can prove is left to a callback or a person.

/// What Twilio's list says of a send in doubt.
pub mod evidence;

use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::Queue;
use queue::attempt::Attempt;
use queue::audit::{self, Change};
use queue::connections::Connections;
use queue::failure::Failure;
use queue::transaction::Transaction;
use store::alerts::AlertCause;
use store::chunks::{Chunk, ChunkState, End};
use store::deliveries::DeliveryState;
use store::ids::ChunkId;
use store::in_doubt::AdminVerdict;
use store::send_attempts::Unsent;
use twilio::address::spellings;
use twilio::client::{LookupError, TwilioClient};
use twilio::listed::Entry;
use twilio::message_list::ListFilter;

use self::evidence::{Candidate, ListVerdict, Rival, Sought};
use crate::alerts;
use crate::app::{App, Settings};
use crate::lanes;
use crate::outbound::proactive;
use crate::outbound::sending;
use crate::write_error::WriteError;

/// Messages without a send date are not found by day; the newest ones are looked at as well.
const NEWEST: usize = 200;

/// Resolves a chunk that is `sending`: accepted, planned again, left to a person, or looked at again later.
pub async fn resolve(app: &App, job_attempt: &Attempt, chunk: &Chunk) -> Result<(), Failure> {
    let times = &app.settings.sending;
    let (Some(started_at), Some(deadline_at)) = (chunk.attempt_started_at, chunk.deadline_at) else {
        return Err(Failure::abort("the chunk is being sent and has no attempt"));
    };
    let earliest = deadline_at + times.in_doubt_grace;
    if let Ok(left) = (earliest - chunk.now).to_std()
        && !left.is_zero()
    {
        return Err(Failure::Snooze(left));
    }
    if chunk.now >= times.doubt_ends(started_at) {
        return give_up(app, job_attempt, chunk).await;
    }
    match find(app, chunk, started_at, earliest).await? {
        ListVerdict::Found(sid) => {
            tracing::info!(chunk.id = chunk.id.0, sid, "Found chunk {} in Twilio's list", chunk.id);
            return sending::store_acceptance(app, Some(job_attempt), chunk.id, chunk.attempt, &sid).await;
        }
        ListVerdict::Unproven(reason) => {
            return leave_in_doubt(app, job_attempt, chunk, earliest, reason).await;
        }
        ListVerdict::Missed => {}
    }
    let mut tx = app.begin().await?;
    let locked = store::chunks::lock(&mut tx, chunk.id).await?;
    if !is_same_doubt(locked.as_ref(), chunk) {
        return settled_meanwhile(locked.as_ref());
    }
    let since_first_miss =
        Duration::from_secs_f64(store::in_doubt::note_miss(&mut tx, chunk.id, chunk.attempt).await?);
    if since_first_miss >= times.in_doubt_second_look {
        store::send_attempts::return_to_planned(
            &mut tx,
            chunk.id,
            chunk.attempt,
            Unsent::Missed,
            "two lists of Twilio's do not have it",
        )
        .await?;
        tx.commit().await?;
        tracing::info!(chunk.id = chunk.id.0, "Chunk {} never reached Twilio; sending it again", chunk.id);
        return Err(Failure::Snooze(Duration::ZERO));
    }
    tx.commit().await?;
    // A little more than what is left, so that the second look is not too early by a rounding.
    Err(Failure::Snooze(
        times.in_doubt_second_look.saturating_sub(since_first_miss) + Duration::from_millis(20),
    ))
}

/// Whether a chunk is still being sent by the attempt that was looked at.
fn is_same_doubt(now_is: Option<&Chunk>, chunk: &Chunk) -> bool {
    now_is.is_some_and(|now_is| now_is.state == ChunkState::Sending && now_is.attempt == chunk.attempt)
}

/// A callback or a verdict was quicker than the list. A chunk that is to be sent again has no other job: this one was live when the verdict came.
fn settled_meanwhile(now_is: Option<&Chunk>) -> Result<(), Failure> {
    match now_is {
        Some(chunk) if chunk.state == ChunkState::Planned => Err(Failure::Snooze(Duration::ZERO)),
        _ => Ok(()),
    }
}

/// A list proved nothing. A second one may know more; after that the chunk stays in doubt, holds no lane, and waits for a callback or an
/// administrator's verdict. When its time is over, the upkeep ends it as unknown.
async fn leave_in_doubt(
    app: &App,
    job_attempt: &Attempt,
    chunk: &Chunk,
    earliest: DateTime<Utc>,
    reason: &str,
) -> Result<(), Failure> {
    let second_look = earliest + app.settings.sending.in_doubt_second_look;
    if let Ok(left) = (second_look - chunk.now).to_std()
        && !left.is_zero()
    {
        return Err(Failure::Snooze(left));
    }
    let mut tx = app.begin().await?;
    let locked = store::chunks::lock(&mut tx, chunk.id).await?;
    if !is_same_doubt(locked.as_ref(), chunk) {
        return settled_meanwhile(locked.as_ref());
    }
    store::in_doubt::raise(&mut tx, chunk.id, chunk.attempt, reason).await?;
    let detail = format!(
        "chunk {}: {reason}; `cloudybot chunks verdict {} arrived|send-again` ends the doubt",
        chunk.id, chunk.id
    );
    alerts::raise(&mut tx, &app.settings, AlertCause::SendInDoubt, &detail).await?;
    job_attempt.complete_and_commit(tx).await?;
    Ok(())
}

/// Twilio could not be asked for too long: the chunk ends as unknown, and somebody must look.
async fn give_up(app: &App, job_attempt: &Attempt, chunk: &Chunk) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    if let Some(chunk) = store::chunks::lock(&mut tx, chunk.id).await? {
        end_as_unknown(&mut tx, &app.settings, &chunk).await?;
    }
    job_attempt.complete_and_commit(tx).await?;
    Ok(())
}

/// Ends a chunk that is being sent as unknown: it may have been sent or not, is never sent again by itself, and an alert has somebody look. One that has
/// its end is left alone. The caller has locked it.
pub async fn end_as_unknown(
    tx: &mut Transaction,
    settings: &Settings,
    chunk: &Chunk,
) -> Result<(), WriteError> {
    let reason = "nobody knows whether it was sent";
    if chunk.state == ChunkState::Sending
        && store::chunks::end(tx, chunk.id, End::Unknown, None, reason).await?
    {
        store::deliveries::follow_chunks(tx, chunk.delivery_id).await?;
        let detail = format!("chunk {}: {reason}", chunk.id);
        alerts::raise(tx, settings, AlertCause::UnknownSend, &detail).await?;
    }
    Ok(())
}

/// What Twilio's list says of this chunk.
async fn find(
    app: &App,
    chunk: &Chunk,
    started_at: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<ListVerdict, Failure> {
    let (verdict, _) = look(&app.twilio, &app.pg, &app.settings, chunk, started_at, until).await.map_err(
        |error| match error {
            LookError::List(error) => unlisted(error),
            LookError::Database(error) => error.into(),
        },
    )?;
    Ok(verdict)
}

/// Why nothing is known of what Twilio has.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Twilio did not tell.
    #[error("Twilio's list could not be read: {0}")]
    List(#[from] LookupError),
    /// Our database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Looks at Twilio's list, and changes nothing. A connection is taken when the list is there.
async fn look(
    twilio: &TwilioClient,
    pg: &Connections,
    settings: &Settings,
    chunk: &Chunk,
    started_at: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(ListVerdict, Vec<Candidate>), LookError> {
    let to = chunk.sent_to.as_deref().unwrap_or_default();
    let from = &settings.whatsapp_number;
    let listed = list(twilio, from, to, started_at).await?;
    let mut conn = pg.acquire().await?;
    let sids: Vec<String> = listed.iter().filter_map(|entry| Some(sid(entry)?.to_owned())).collect();
    let owned = store::send_attempts::owned_sids(&mut conn, &sids).await?.into_iter().collect();
    let rivals: Vec<Rival> = store::in_doubt::rivals(&mut conn, chunk.id, chunk.address_id)
        .await?
        .into_iter()
        .map(|(body, started_at)| Rival { body, started_at })
        .collect();
    let is_text = chunk.content_sid.is_none();
    let sought = Sought { body: is_text.then_some(chunk.body.as_str()), to, from, started_at, until };
    let verdict = match evidence::judge(&sought, &listed, &owned, &rivals) {
        ListVerdict::Missed if !evidence::can_miss(to) => {
            ListVerdict::Unproven("a list of an opaque id proves no miss")
        }
        verdict => verdict,
    };
    Ok((verdict, evidence::candidates(&sought, &listed, &owned)))
}

/// What Twilio's list says now of a send in doubt, for a person who is to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLook {
    /// In words.
    pub says: String,
    /// Messages that are the chunk, or may be.
    pub candidates: Vec<Candidate>,
}

/// Asks Twilio's list about a send in doubt, by the rules that decide about it, and leaves its state alone. `None`: it has never been sent.
pub async fn ask_twilio(
    twilio: &TwilioClient,
    pg: &Connections,
    settings: &Settings,
    chunk: &Chunk,
) -> Result<Option<ListLook>, LookError> {
    let (Some(started_at), Some(deadline_at)) = (chunk.attempt_started_at, chunk.deadline_at) else {
        return Ok(None);
    };
    let earliest = deadline_at + settings.sending.in_doubt_grace;
    let (verdict, candidates) = look(twilio, pg, settings, chunk, started_at, earliest).await?;
    let says = match verdict {
        ListVerdict::Found(sid) => format!("Twilio has it, as {sid}"),
        ListVerdict::Missed if chunk.now < earliest => {
            format!("Twilio does not have it yet; until {earliest:?} it may still take it in")
        }
        ListVerdict::Missed => "Twilio does not have it".to_owned(),
        ListVerdict::Unproven(reason) => format!("the list proves nothing: {reason}"),
    };
    Ok(Some(ListLook { says, candidates }))
}

/// Everything that Twilio has from us to this address around the attempt, in each spelling of both numbers.
async fn list(
    twilio: &TwilioClient,
    from: &str,
    to: &str,
    started_at: DateTime<Utc>,
) -> Result<Vec<Entry>, LookupError> {
    let day = (started_at - chrono::TimeDelta::days(1)).date_naive();
    let mut listed = Vec::new();
    for from in spellings(from) {
        for to in spellings(to) {
            let filter = ListFilter { to: Some(&to), from: Some(&from), ..ListFilter::default() };
            let of_the_days = ListFilter { sent_since: Some(day), ..filter.clone() };
            listed.extend(twilio.list_messages(&of_the_days).await?);
            let newest = ListFilter { at_most: Some(NEWEST), ..filter };
            listed.extend(twilio.list_messages(&newest).await?);
        }
    }
    Ok(listed)
}

fn sid(entry: &Entry) -> Option<&str> {
    match entry {
        Ok(message) => Some(&message.sid),
        Err(unusable) => unusable.sid.as_deref(),
    }
}

/// No list, no verdict: Twilio is asked again later, and that costs no attempt of the send.
fn unlisted(error: LookupError) -> Failure {
    tracing::warn!(error = %error, "Could not list messages; trying again: {error}");
    Failure::Snooze(Duration::from_secs(5))
}

/// Gives a verdict, and lets the delivery go on. Returns the delivery's state; `None`: the chunk is not in doubt.
pub async fn give_verdict(
    queue: &Queue,
    pg: &Connections,
    chunk_id: ChunkId,
    verdict: AdminVerdict,
    actor: &str,
) -> Result<Option<DeliveryState>, WriteError> {
    let mut tx = queue.begin(pg).await?;
    let Some(chunk) = store::chunks::get(&mut tx, chunk_id).await? else { return Ok(None) };
    store::addresses::lock(&mut tx, chunk.address_id).await?;
    store::chunks::lock(&mut tx, chunk_id).await?;
    if !store::in_doubt::give_verdict(&mut tx, chunk_id, verdict, actor).await? {
        return Ok(None);
    }
    store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
    let change = Change { before: Some(chunk.state.as_str()), after: Some(verdict.as_str()) };
    audit::note_change(&mut tx, actor, "verdict", &format!("chunk {chunk_id}"), verdict.as_str(), change)
        .await?;
    proactive::go_on(&mut tx, chunk.delivery_id).await?;
    tx.wake(&lanes::chunk_key(chunk_id)).await?;
    let delivery = store::deliveries::get(&mut tx, chunk.delivery_id).await?;
    tx.commit().await?;
    tracing::info!(chunk.id = chunk_id.0, actor, "A verdict on chunk {chunk_id}: {verdict:?}");
    Ok(delivery.map(|delivery| delivery.state))
}
