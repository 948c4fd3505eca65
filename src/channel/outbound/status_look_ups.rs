//! Finds out what became of accepted messages whose callbacks were lost: by Twilio's list, in batches, a few times. After that a chunk is left as it
//! is: a phone may be off for days, which is no fault.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use queue::failure::Failure;
use store::twilio_statuses::Unsettled;
use twilio::listed::{Entry, ListedMessage};
use twilio::message_list::{ListFilter, PageUri};

use crate::app::App;
use crate::outbound::status::{self, StatusReport};

/// So few messages are asked for one by one; more are looked for in the list of all.
const FEW: usize = 20;

/// So many pages of the list are read for one batch; what stands further down is asked for one by one.
const PAGES: usize = 50;

/// How much earlier than the acceptance was stored Twilio may have dated it.
const DATE_SLACK: TimeDelta = TimeDelta::hours(1);

/// Looks up everything that is due.
pub async fn run(app: &App) -> Result<(), Failure> {
    for (look_ups, age) in (0i16..).zip(&app.settings.sending.status_look_ups) {
        loop {
            let mut conn = app.pg.acquire().await?;
            let due = store::twilio_statuses::unsettled(&mut conn, look_ups, age.as_secs_f64()).await?;
            drop(conn);
            if due.is_empty() {
                break;
            }
            settle_batch(app, &due).await?;
        }
    }
    Ok(())
}

async fn settle_batch(app: &App, due: &[Unsettled]) -> Result<(), Failure> {
    let mut listed = HashMap::new();
    if due.len() > FEW {
        listed = find_in_list(app, due).await?;
    }
    for chunk in due {
        let message = match listed.remove(&chunk.sid) {
            Some(message) => Some(message),
            None => app.twilio.fetch_message(&chunk.sid).await?.and_then(Entry::ok),
        };
        let mut tx = app.begin().await?;
        if let Some(message) = message {
            let report = StatusReport {
                sid: &message.sid,
                chunk: None,
                attempt: None,
                delivery: None,
                status: &message.status,
                error_code: message.error_code,
                error_message: Some(message.error_message.as_str()).filter(|words| !words.is_empty()),
            };
            status::apply(&mut tx, &app.settings, report).await?;
        }
        store::twilio_statuses::note_look_up(&mut tx, &[chunk.id]).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Those of these messages that Twilio's list of our sender has, by their SIDs.
async fn find_in_list(app: &App, due: &[Unsettled]) -> Result<HashMap<String, ListedMessage>, Failure> {
    let mut sought: HashSet<&str> = due.iter().map(|chunk| chunk.sid.as_str()).collect();
    let mut found = HashMap::new();
    let Some(oldest) = due.iter().map(|chunk| chunk.accepted_at - DATE_SLACK).min() else { return Ok(found) };
    for from in twilio::address::spellings(&app.settings.whatsapp_number) {
        let filter =
            ListFilter { from: Some(&from), sent_since: Some(oldest.date_naive()), ..ListFilter::default() };
        let mut next: Option<PageUri> = None;
        for _ in 0..PAGES {
            let page = match &next {
                None => app.twilio.first_page(&filter).await?,
                Some(at) => app.twilio.next_page(at).await?,
            };
            // The newest come first; behind a page of nothing but older ones there is nothing to find.
            let is_past = page.entries.iter().flatten().all(|message| message.created_at < Some(oldest));
            for message in page.entries.into_iter().flatten() {
                if sought.remove(message.sid.as_str()) {
                    found.insert(message.sid.clone(), message);
                }
            }
            next = page.next;
            if is_past || next.is_none() || sought.is_empty() {
                break;
            }
        }
    }
    Ok(found)
}
