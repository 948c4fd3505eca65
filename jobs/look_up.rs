//! Finds out what became of a send in doubt: by Twilio's own list.
//!
//! A list that has the message proves the send. One that does not have it proves nothing yet: Twilio may take a request in after its
//! client has gone, and its list may lag. Only two lists, both long enough after the deadline and some time apart, prove a miss.

use std::time::Duration;

use queue::claim::Claim;
use queue::failure::Failure;
use store::chunks::{Chunk, End, Unsent};
use twilio::client::{ListFilter, LookupError};
use twilio::message::ListedMessage;

use crate::app::App;
use crate::{post_alert, sending};

/// Twilio's dates have whole seconds, and its clock is not ours.
const CLOCK_SLACK: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

/// Messages without a send date are not found by day; the newest ones are looked at as well.
const NEWEST: usize = 200;

/// Resolves a chunk that is `sending`: accepted, planned again, left to a person, or looked at again later.
pub(crate) async fn resolve(app: &App, claim: &Claim, chunk: &Chunk) -> Result<(), Failure> {
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
    if chunk.now >= started_at + times.give_up {
        return leave_to_a_person(app, claim, chunk).await;
    }
    if let Some(sid) = find(app, chunk, started_at).await? {
        tracing::info!(chunk.id = chunk.id, sid, "Found chunk {} in Twilio's list", chunk.id);
        return sending::accept(app, Some(claim), chunk.id, chunk.attempt, &sid).await;
    }
    if !is_number(chunk) {
        return wait_for_verdict(app, claim, chunk).await;
    }
    let mut tx = app.begin().await?;
    let locked = store::chunks::lock(&mut tx, chunk.id).await?;
    if locked.is_none_or(|locked| locked.state != "sending" || locked.attempt != chunk.attempt) {
        // A callback was quicker.
        return Ok(());
    }
    let since_first_miss =
        Duration::from_secs_f64(store::doubts::note_miss(&mut tx, chunk.id, chunk.attempt).await?);
    if since_first_miss >= times.second_look {
        store::chunks::return_to_planned(
            &mut tx,
            chunk.id,
            chunk.attempt,
            Unsent::Missed,
            "two lists of Twilio's do not have it",
        )
        .await?;
        tx.commit().await?;
        tracing::info!(chunk.id = chunk.id, "Chunk {} never reached Twilio; sending it again", chunk.id);
        return Err(Failure::Snooze(Duration::ZERO));
    }
    tx.commit().await?;
    // A little more than what is left, so that the second look is not too early by a rounding.
    Err(Failure::Snooze(times.second_look.saturating_sub(since_first_miss) + Duration::from_millis(20)))
}

/// Whether it was sent to a number. A person who hides it has an id, under which Twilio's list may not file the message, so that a list without it
/// proves nothing.
fn is_number(chunk: &Chunk) -> bool {
    chunk.sent_to.as_deref().is_some_and(|to| to.starts_with("whatsapp:+"))
}

/// No list can prove that this was missed. It stays in doubt, holds no lane, and waits for a callback or an administrator; after a day the upkeep
/// ends it as unknown.
async fn wait_for_verdict(app: &App, claim: &Claim, chunk: &Chunk) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let detail = format!(
        "chunk {}: `cloudybot chunks verdict {} arrived|send-again` ends the doubt",
        chunk.id, chunk.id
    );
    post_alert::raise(&mut tx, &app.settings, "send_in_doubt", &detail).await?;
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Twilio could not be asked for too long: the chunk ends as unknown, and somebody must look.
async fn leave_to_a_person(app: &App, claim: &Claim, chunk: &Chunk) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    store::chunks::lock(&mut tx, chunk.id).await?;
    let (end, reason) = UNRESOLVED;
    if store::chunks::end(&mut tx, chunk.id, end, None, reason).await? {
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        let detail = format!("chunk {}: {reason}", chunk.id);
        post_alert::raise(&mut tx, &app.settings, "unknown_send", &detail).await?;
    }
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// The SID under which Twilio has this chunk: same person, same text, not before the attempt, and no other chunk's.
async fn find(
    app: &App,
    chunk: &Chunk,
    started_at: chrono::DateTime<chrono::Utc>,
) -> Result<Option<String>, Failure> {
    let filter = ListFilter {
        to: chunk.sent_to.as_deref(),
        from: Some(&app.settings.whatsapp_number),
        ..ListFilter::default()
    };
    let day = (started_at - chrono::TimeDelta::days(1)).date_naive();
    let mut listed = app
        .twilio
        .list_messages(&ListFilter { sent_since: Some(day), ..filter.clone() })
        .await
        .map_err(unlisted)?;
    listed.extend(
        app.twilio.list_messages(&ListFilter { at_most: Some(NEWEST), ..filter }).await.map_err(unlisted)?,
    );
    let fits = |message: &ListedMessage| {
        message.body == chunk.body
            && message.direction != "inbound"
            && message.date_created >= started_at - CLOCK_SLACK
    };
    let mut candidates: Vec<ListedMessage> = listed.into_iter().filter(fits).collect();
    candidates.sort_by(|a, b| (a.date_created, &a.sid).cmp(&(b.date_created, &b.sid)));
    let sids: Vec<String> = candidates.into_iter().map(|message| message.sid).collect();
    let owned = store::chunks::owned_sids(&mut *app.pg.acquire().await?, &sids).await?;
    Ok(sids.into_iter().find(|sid| !owned.contains(sid)))
}

/// No list, no verdict: Twilio is asked again later, and that costs no attempt of the send.
fn unlisted(error: LookupError) -> Failure {
    tracing::warn!(error = %error, "Could not list messages; trying again: {error}");
    Failure::Snooze(Duration::from_secs(5))
}

/// The end of a chunk whose send nobody could clear up in time: it may have been sent or not, and is never sent again by itself.
pub(crate) const UNRESOLVED: (End, &str) = (End::Unknown, "nobody knows whether it was sent");
