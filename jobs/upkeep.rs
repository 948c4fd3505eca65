//! What must be looked after every few minutes, by one process of all: messages whose webhook never came, sends that stay in doubt, deliveries
//! that waited too long, a pause without a probe, and what hangs on a former secret key.
//!
//! Enqueued by every process at its start and every few minutes, once for all by its key. Enqueues what an inbound message enqueues. It may run
//! twice: everything it does is looked up first. What fails is left to the next round.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::Job;
use serde::{Deserialize, Serialize};
use store::chunks::End;
use twilio::client::ListFilter;
use twilio::inbound::InboundMessage;
use twilio::message::ListedMessage;

use crate::app::App;
use crate::inbound::intake::{self, Arrival, TakenIn};
use crate::look_up::UNRESOLVED;
use crate::{post_alert, probe_sender};

/// The round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Upkeep {}

/// At most one lives.
pub const KEY: &str = "upkeep";

/// How far back Twilio's list is read at most.
const AT_MOST: TimeDelta = TimeDelta::hours(24);

/// How much is read again, since Twilio's list may lag.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// The moment of the first start ever: nothing that was written before is fetched.
pub const FIRST_START: &str = "first_start";

impl Job for Upkeep {
    type App = App;

    const KIND: &'static str = "upkeep";
    const POOL: &'static str = "upkeep";
    const KEPT: bool = true;

    async fn run(self, app: App, _: Claim) -> Result<(), Failure> {
        // One that fails must not keep the others from their turn.
        let backfilled = backfill(&app).await;
        let rest = tidy(&app).await;
        let rehashed = hash_anew(&app).await;
        let probed = probe_sender::look_after(&app).await;
        if let Err(failure) = backfilled.and(rest).and(rehashed).and(probed) {
            tracing::warn!("The next round of the upkeep will try again: {failure:?}");
        }
        Ok(())
    }
}

/// Takes in what Twilio has and we have not, by the same path as a webhook.
async fn backfill(app: &App) -> Result<(), Failure> {
    let begun = Utc::now();
    let done_until = store::cursors::get(&mut *app.pg.acquire().await?, "backfill").await?;
    let since = (done_until - OVERLAP).max(begun - AT_MOST);
    let first_start = store::cursors::get(&mut *app.pg.acquire().await?, FIRST_START).await?;
    let filter = ListFilter {
        to: Some(&app.settings.whatsapp_number),
        sent_since: Some(since.date_naive()),
        ..ListFilter::default()
    };
    let mut listed = app.twilio.list_messages(&filter).await?;
    // Twilio's dates have whole seconds.
    let from = since.max(first_start - TimeDelta::seconds(1));
    // What is younger may still come by its webhook.
    let settle = TimeDelta::from_std(app.settings.backfill_settle).unwrap_or_default();
    listed.retain(|message| {
        message.direction == "inbound"
            && message.date_created >= from
            && message.date_created <= begun - settle
    });
    listed.sort_by_key(|message| message.date_created);
    for message in listed {
        if store::messages::exists(&mut *app.pg.acquire().await?, &message.sid).await? {
            continue;
        }
        let Some(inbound) = InboundMessage::listed(&message) else { continue };
        let params = params(app, &message).await?;
        let mut tx = app.begin().await?;
        let arrival = Arrival::Backfill { written_at: message.date_created };
        if let TakenIn::New(id) = intake::take_in(&mut tx, &app.settings, &inbound, &params, arrival).await? {
            tx.commit().await?;
            tracing::warn!(
                message.id = id,
                message.sid = message.sid,
                "Took in message {id}, whose webhook never came"
            );
        }
    }
    store::cursors::advance(&mut *app.pg.acquire().await?, "backfill", begun).await?;
    Ok(())
}

/// What the webhook would have said, as far as Twilio's list knows it.
async fn params(app: &App, message: &ListedMessage) -> Result<serde_json::Value, Failure> {
    let mut params = serde_json::json!({ "MessageSid": message.sid, "From": message.from, "To": message.to, "Body": message.body });
    if !matches!(message.num_media.as_str(), "" | "0") {
        let files = app.twilio.list_media(&message.sid).await?;
        params["NumMedia"] = files.len().to_string().into();
        for (index, (url, file)) in files.into_iter().enumerate() {
            params[format!("MediaUrl{index}")] = url.into();
            params[format!("MediaContentType{index}")] = file.content_type.into();
        }
    }
    Ok(params)
}

/// After a rotation of the secret keys, what still has its number comes off the former ones.
async fn hash_anew(app: &App) -> Result<(), Failure> {
    let mut conn = app.pg.acquire().await?;
    let rows = store::keys_in_use::hash_anew_when_due(&mut conn, &app.settings.secret_keys).await?;
    if rows > 0 {
        tracing::info!("Hashed {rows} rows anew with the newest secret key");
    }
    Ok(())
}

async fn tidy(app: &App) -> Result<(), Failure> {
    let mut conn = app.pg.acquire().await?;
    let expired = store::proactive_deliveries::expire_waiting(&mut conn).await?;
    if expired > 0 {
        tracing::info!("{expired} deliveries waited in vain for their person's next message");
    }
    let give_up = app.settings.sending.give_up + Duration::from_secs(600);
    let doubts = store::doubts::stale(&mut conn, give_up.as_secs_f64()).await?;
    drop(conn);
    for chunk_id in doubts {
        let mut tx = app.begin().await?;
        let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { continue };
        let (end, reason): (End, &str) = UNRESOLVED;
        if chunk.state == "sending" && store::chunks::end(&mut tx, chunk_id, end, None, reason).await? {
            store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
            let detail = format!("chunk {chunk_id}: {reason}");
            post_alert::raise(&mut tx, &app.settings, "unknown_send", &detail).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
