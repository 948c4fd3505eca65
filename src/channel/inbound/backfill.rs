//! Takes in what Twilio has and we have not, by the same path as a webhook: messages whose webhook never came.
//!
//! Twilio's list has the newest message first, and messages are taken in as they were written, so the pages are walked back to where the last
//! round ended and then read again in the other order. Each entry is judged alone: what cannot be used is kept aside for a person, and the
//! rest goes on.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use queue::failure::Failure;
use store::alerts::AlertCause;
use store::cursors::Cursor;
use twilio::client::LookupError;
use twilio::inbound::InboundMessage;
use twilio::listed::{Entry, ListedMessage, UnreadableEntry};
use twilio::message_list::{ListFilter, ListPage, PageUri};

use crate::alerts;
use crate::app::App;
use crate::inbound::intake::{self, TakenIn, WayIn};

/// How far back Twilio's list is read at most.
const AT_MOST: TimeDelta = TimeDelta::hours(24);

/// How much is read again, since Twilio's list may lag.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// A round that ends this late behind the last one that did its work is told to administrators.
pub(crate) const TOLD_AFTER: TimeDelta = TimeDelta::minutes(30);

/// A round may come this much too early.
const SLACK: Duration = Duration::from_secs(5);

/// Which messages a round is about.
struct Span {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// One round, if it is time for one or nobody may wait. What could not be asked of Twilio is left to the next one.
pub async fn backfill(app: &App, at_once: bool) -> Result<(), Failure> {
    let mut conn = app.pg.acquire().await?;
    let begun = store::clock::now(&mut conn).await?;
    let cursor = store::cursors::get(&mut conn, Cursor::Backfill).await?;
    if !at_once && !is_due(cursor, begun, app.settings.backfill.every) {
        return Ok(());
    }
    let done_until = cursor.min(begun);
    let first_start = store::cursors::get(&mut conn, Cursor::FirstStart).await?;
    drop(conn);
    let since = (done_until - OVERLAP).max(begun - AT_MOST);
    // What is younger may still come by its webhook.
    let until = begun - app.settings.backfill.settle;
    // Twilio's dates have whole seconds.
    let span = Span { from: since.max(first_start - TimeDelta::seconds(1)), until };
    match take_in_all(app, &span).await {
        Ok(waiting) => {
            let done = waiting.map_or(begun, |since| since.min(begun));
            store::cursors::advance(&mut *app.pg.acquire().await?, Cursor::Backfill, done).await?;
            Ok(())
        }
        Err(failure) if begun - done_until > TOLD_AFTER => {
            let mut tx = app.begin().await?;
            let detail = format!(
                "messages whose webhook never came have not been fetched since {}: {failure:?}; what is older than a day is lost",
                done_until.format("%Y-%m-%d %H:%M UTC")
            );
            alerts::raise(&mut tx, &app.settings, AlertCause::BackfillBehind, &detail).await?;
            tx.commit().await?;
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether the last round is long ago, or of a time to come: the clock was put back.
fn is_due(done_until: DateTime<Utc>, now: DateTime<Utc>, every: Duration) -> bool {
    // A timer is never early, but the last round began a moment after its own.
    (now - done_until).to_std().map_or(true, |age| age + SLACK >= every)
}

/// Takes in everything of a span. Returns the date of the oldest message that could not be taken in just now and shall be tried again.
async fn take_in_all(app: &App, span: &Span) -> Result<Option<DateTime<Utc>>, Failure> {
    let whatsapp_number = app.settings.whatsapp_number.as_str();
    let mut waiting = None;
    for to in twilio::address::spellings(whatsapp_number) {
        let filter =
            ListFilter { to: Some(&to), sent_since: Some(span.from.date_naive()), ..ListFilter::default() };
        let first = app.twilio.first_page(&filter).await?;
        let mut pages = walk_back(app, span, &first).await?;
        while let Some(at) = pages.pop() {
            let page = app.twilio.next_page(&at).await?;
            waiting = earlier(waiting, take_in_page(app, span, page.entries).await?);
        }
        waiting = earlier(waiting, take_in_page(app, span, first.entries).await?);
    }
    Ok(waiting)
}

/// The pages behind the first one that have something new of the span, the newest first.
async fn walk_back(app: &App, span: &Span, first: &ListPage) -> Result<Vec<PageUri>, Failure> {
    let mut pages = Vec::new();
    let mut seen = HashSet::new();
    let mut is_past = span.is_past(&first.entries);
    let mut next = first.next.clone();
    while let (Some(at), false) = (next, is_past) {
        if !seen.insert(at.clone()) {
            return Err(LookupError::Endless.into());
        }
        let page = app.twilio.next_page(&at).await?;
        is_past = span.is_past(&page.entries);
        next = page.next;
        if !unknown(app, span, &page.entries).await?.is_empty() {
            pages.push(at);
        }
    }
    Ok(pages)
}

/// Takes in what is new of a page, the oldest first. Returns the date of the oldest message that shall be tried again.
async fn take_in_page(app: &App, span: &Span, entries: Vec<Entry>) -> Result<Option<DateTime<Utc>>, Failure> {
    let unknown = unknown(app, span, &entries).await?;
    let mut waiting = None;
    let mut messages = Vec::new();
    // Of the same second the one that stands further down was written first.
    for entry in entries.into_iter().rev() {
        match entry {
            Err(unusable) => keep_aside(app, &unusable, None).await?,
            Ok(message) if unknown.contains(&message.sid) => messages.push(message),
            Ok(_) => {}
        }
    }
    messages.sort_by_key(|message| message.created_at);
    for message in messages {
        match take_in(app, &message).await {
            Ok(()) => {}
            Err(Untaken::Unusable(reason)) => {
                let unusable = UnreadableEntry { sid: Some(message.sid.clone()), reason };
                keep_aside(app, &unusable, message.created_at).await?;
            }
            Err(Untaken::NotNow(reason)) => {
                let unusable = UnreadableEntry { sid: Some(message.sid.clone()), reason };
                keep_aside(app, &unusable, message.created_at).await?;
                waiting = earlier(waiting, message.created_at);
            }
            Err(Untaken::Failed(failure)) => return Err(failure),
        }
    }
    Ok(waiting)
}

impl Span {
    /// Whether a page has nothing but what is older, so that the pages behind it need not be read.
    fn is_past(&self, entries: &[Entry]) -> bool {
        let mut dates = entries.iter().flatten().filter_map(|message| message.created_at).peekable();
        dates.peek().is_some() && dates.all(|date| date < self.from)
    }

    /// Whether a message is one to be taken in, if it is new. One without a date may be.
    fn has(&self, message: &ListedMessage) -> bool {
        // What Twilio gives no direction came from a person if it was written to us, and the list has nothing else.
        matches!(message.direction.as_str(), "inbound" | "")
            && message.created_at.is_none_or(|date| date >= self.from && date <= self.until)
    }
}

/// The SIDs of those messages of a page that belong to the span and are not stored.
async fn unknown(app: &App, span: &Span, entries: &[Entry]) -> Result<HashSet<String>, Failure> {
    let mut unknown: HashSet<String> = entries
        .iter()
        .flatten()
        .filter(|message| span.has(message))
        .map(|message| message.sid.clone())
        .collect();
    if unknown.is_empty() {
        return Ok(unknown);
    }
    let sids: Vec<String> = unknown.iter().cloned().collect();
    for known in store::messages::known(&mut *app.pg.acquire().await?, &sids).await? {
        unknown.remove(&known);
    }
    Ok(unknown)
}

/// Why a message was not taken in.
enum Untaken {
    /// It never will be.
    Unusable(String),
    /// Twilio cannot say all of it just now.
    NotNow(String),
    /// The database cannot take anything in just now.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Untaken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn take_in(app: &App, message: &ListedMessage) -> Result<(), Untaken> {
    let unusable = |reason: &str| Untaken::Unusable(reason.to_owned());
    let written_at = message.created_at.ok_or_else(|| unusable("it has no date"))?;
    let inbound =
        InboundMessage::listed(message).ok_or_else(|| unusable("its writer is no WhatsApp address"))?;
    let params = params(app, message, &inbound).await?;
    let mut tx = app.begin().await?;
    let way_in = WayIn::Backfill { written_at };
    if let TakenIn::New(id) = intake::take_in(&mut tx, &app.settings, &inbound, &params, way_in).await? {
        store::unusable_entries::settle(&mut tx, &message.sid).await?;
        tx.commit().await?;
        tracing::warn!(
            message.id = id.0,
            message.sid = message.sid,
            "Took in message {id}, whose webhook never came"
        );
    }
    Ok(())
}

/// What the webhook would have said, as far as Twilio's list knows it.
async fn params(
    app: &App,
    message: &ListedMessage,
    inbound: &InboundMessage,
) -> Result<serde_json::Value, Untaken> {
    let mut params = serde_json::json!({ "MessageSid": message.sid, "From": message.from, "To": message.to, "Body": inbound.body });
    if message.media == 0 {
        return Ok(params);
    }
    let files = match app.twilio.list_media(&message.sid).await {
        Ok(files) => files,
        Err(LookupError::Refused { status: 404 | 410, .. }) => {
            return Err(Untaken::Unusable("Twilio does not have its files any more".to_owned()));
        }
        Err(error) => return Err(Untaken::NotNow(format!("its files cannot be listed: {error}"))),
    };
    params["NumMedia"] = files.len().to_string().into();
    for (index, (url, file)) in files.into_iter().enumerate() {
        params[format!("MediaUrl{index}")] = url.into();
        params[format!("MediaContentType{index}")] = file.content_type.into();
    }
    Ok(params)
}

/// Keeps an entry for a person to look at, and tells of it once.
async fn keep_aside(
    app: &App,
    entry: &UnreadableEntry,
    listed_at: Option<DateTime<Utc>>,
) -> Result<(), Failure> {
    let mut tx = app.begin().await?;
    let sid = entry.sid.as_deref();
    if sid.is_some() && store::messages::exists(&mut tx, sid.unwrap_or_default()).await? {
        return Ok(());
    }
    if store::unusable_entries::keep(&mut tx, sid, &entry.reason, listed_at).await? {
        let name =
            sid.map_or_else(|| "an entry without a readable SID".to_owned(), |sid| format!("message {sid}"));
        let detail = format!(
            "{name} of Twilio's list was not taken in: {}; see /admin/api/unusable-entries",
            entry.reason
        );
        alerts::raise(&mut tx, &app.settings, AlertCause::UnusableEntry, &detail).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn earlier(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    one.into_iter().chain(other).min()
}
