//! Does what a schedule does at a slot: for each user of its audience, the words go into the conversation, and a copy of them to WhatsApp.
//!
//! Enqueued in the transaction that makes the slot, in the schedule's lane. Enqueues a `prompt_user` for each user where the agent shall say
//! something, and with each delivery its `send_chunk`s. It may run twice: it goes on behind the last user that was dealt with, and each user is
//! dealt with once. When it gives up, `close_slot` follows.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::stream::{self, Stream, TryStreamExt as _};
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

/// Pages that are planned at a time, each on a connection of its own: the database's processors are what a large audience waits for.
const AT_ONCE: usize = 2;

impl Job for RunDuty {
    type App = App;

    const KIND: &'static str = "run_duty";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 10;
    const ON_END: Option<(&'static str, &'static str)> = Some((CloseSlot::KIND, CloseSlot::POOL));

    async fn run(self, app: App, claim: Claim) -> Result<(), Failure> {
        let end = Instant::now() + STRETCH;
        while Instant::now() < end {
            let Some(duty) = Duty::open(&app, self.slot).await? else { return Ok(()) };
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
}

/// What is to be done at an open slot.
struct Duty<'a> {
    app: &'a App,
    slot: Slot,
    definition: Definition,
}

/// Some users of the audience, and the transaction in which they are dealt with: a crash loses or repeats all of it or nothing.
struct Page {
    tx: Transaction,
    /// The last user of the page before.
    after: Option<String>,
    users: Vec<String>,
    is_last: bool,
    /// The slot had come further when the page was taken: nothing is done.
    is_stale: bool,
    /// What counts for those who are there.
    standings: Standings,
    /// Their threads.
    conversations: HashMap<String, i64>,
}

/// Pages are taken one after the other, planned some at a time, and kept one after the other. Kept is a page only where the slot stands at its
/// beginning, so each user is dealt with once, whoever else runs this duty and whatever dies. A page that is planned waits in this process for the one
/// before it, which Postgres does not see; so whoever is waited for must never wait for it in turn. That is why people and threads, which others lock too,
/// are locked while pages are taken: by then the page before has all of its own.
impl<'a> Duty<'a> {
    /// `None`: nothing is left to be done.
    async fn open(app: &'a App, slot_id: i64) -> Result<Option<Self>, Failure> {
        let mut conn = app.pg.acquire().await?;
        let slot = slots::get(&mut conn, slot_id).await?.filter(|slot| slot.state == "open");
        let Some(slot) = slot else { return Ok(None) };
        let definition: Definition = serde_json::from_value(slot.definition.clone())
            .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
        if definition.overlap == Overlap::Wait && slots::must_wait(&mut conn, &slot).await? {
            return Err(Failure::Snooze(PAUSE));
        }
        Ok(Some(Self { app, slot, definition }))
    }

    /// The pages that are left, until the last one or this moment.
    fn pages(&self, end: Instant) -> impl Stream<Item = Result<Page, Failure>> {
        stream::try_unfold(Some(self.slot.last_user.clone()), move |after| async move {
            let Some(after) = after.filter(|_| Instant::now() < end) else { return Ok(None) };
            let page = self.take(after).await?;
            let next = (!page.is_last).then(|| page.users.last().cloned());
            Ok(Some((page, next)))
        })
    }

    /// Locks the next users behind this one, and reads what counts for them.
    async fn take(&self, after: Option<String>) -> Result<Page, Failure> {
        let mut tx = self.app.begin().await?;
        store::planner::look_up_by_index(&mut tx).await?;
        let audience = &self.definition.audience;
        let (user, plan) = (audience.user.as_deref(), audience.plan.as_deref());
        let users = slots::audience(&mut tx, after.as_deref(), user, plan, PAGE).await?;
        let is_last = i64::try_from(users.len()).is_ok_and(|found| found < PAGE);
        let ids: Vec<&str> = users.iter().map(String::as_str).collect();
        let (mut standings, mut conversations) = (Standings::new(), HashMap::new());
        store::links::lock_of_users(&mut tx, &ids).await?;
        if self.definition.content.message.is_some() && !users.is_empty() {
            standings = standings::read(&mut tx, &self.app.settings, &ids, Utc::now()).await?;
            // A user who was erased meanwhile is left out.
            let known: Vec<&str> = ids.into_iter().filter(|id| standings.contains_key(*id)).collect();
            conversations = store::conversations::of_users(&mut tx, &known).await?;
        }
        let is_stale = !slots::is_still_before(&mut tx, self.slot.id, after.as_deref()).await?;
        Ok(Page { tx, after, users, is_last, is_stale, standings, conversations })
    }

    /// Deals with a page's users.
    async fn plan(&self, mut page: Page) -> Result<Page, Failure> {
        if page.is_stale || page.users.is_empty() {
            return Ok(page);
        }
        let (tx, slot) = (&mut page.tx, &self.slot);
        let ids = page.users.iter().map(String::as_str);
        let Some(text) = &self.definition.content.message else {
            let jobs =
                ids.clone().map(|user| NewJob::of(&PromptUser { slot: slot.id, user: user.to_owned() }));
            tx.enqueue_batch(jobs.collect()).await?;
            let asked = |user_id| Part { user_id, outcome: "asked", reason: None, delivery_id: None };
            let parts: Vec<Part<'_>> = ids.map(asked).collect();
            slots::add_users(tx, slot.id, &parts).await?;
            return Ok(page);
        };
        let said: Vec<(&User, String)> = ids
            .filter_map(|id| page.standings.get(id))
            .map(|standing| (&standing.user, filled(slot.moment, &self.definition, &standing.user, text)))
            .collect();
        let posts: Vec<(i64, &str)> = said
            .iter()
            .filter_map(|(user, text)| Some((*page.conversations.get(&user.id)?, text.as_str())))
            .collect();
        store::turns::post(tx, &format!("schedule {}", slot.schedule), slot.id, &posts).await?;
        let parts = say(tx, &page.standings, slot, &self.definition, &said).await?;
        slots::add_users(tx, slot.id, &parts).await?;
        Ok(page)
    }

    /// Commits a page. False: it is not the next one, and nothing of it stays.
    async fn keep(&self, mut page: Page, claim: &Claim) -> Result<bool, Failure> {
        let (tx, after) = (&mut page.tx, page.after.as_deref());
        let last_user = page.users.last().map(String::as_str).or(after);
        if page.is_stale || !slots::advance(tx, self.slot.id, after, last_user).await? {
            return Ok(false);
        }
        if page.is_last {
            slots::end_audience(tx, self.slot.id).await?;
            let nobody = page.users.is_empty() && after.is_none();
            close_slot::close_if_done(self.app, tx, self.slot.id, self.failed(nobody).as_deref()).await?;
            claim.complete(tx).await?;
        }
        page.tx.commit().await?;
        Ok(true)
    }

    /// Why there was nobody to be dealt with, if that is somebody's mistake.
    fn failed(&self, nobody: bool) -> Option<String> {
        let audience = &self.definition.audience;
        let unknown_user = audience.user.as_deref().filter(|_| nobody);
        let unknown_plan =
            audience.plan.as_deref().filter(|plan| self.app.settings.plans.find(plan).is_none());
        unknown_user
            .map(|user| format!("there is no user {user:?}"))
            .or(unknown_plan.map(|plan| format!("there is no plan {plan:?}")))
    }
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
