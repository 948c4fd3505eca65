//! Goes through the audience of a slot, page by page.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::ids::{ConversationId, SlotId};
use store::slots::{self, PartOutcome, Slot, SlotState, UserPart};
use store::users::User;

use super::ending;
use crate::app::App;
use crate::kinds::PromptUser;
use crate::outbound::proactive::eligibility::{self, Eligibilities};
use crate::schedules::definition::{Definition, Overlap};
use crate::schedules::duty::{filled, say};

/// The slot before this one is let end like this.
const PAUSE: Duration = Duration::from_secs(1);

/// Users that are dealt with in one transaction: their phones are locked meanwhile, which takes a fraction of a second.
const PAGE: i64 = 500;

/// The way of an open slot through its audience.
pub struct AudienceRun<'a> {
    app: &'a App,
    slot: Slot,
    definition: Definition,
}

/// Some users of the audience, and the transaction in which they are dealt with: a crash loses or repeats all of it or nothing.
pub struct Page {
    tx: Transaction,
    /// The last user of the page before.
    after: Option<String>,
    users: Vec<String>,
    pub is_last: bool,
    /// The slot had come further when the page was taken: nothing is done.
    is_stale: bool,
    /// What counts for those who are there.
    eligibilities: Eligibilities,
    /// Their threads.
    conversations: HashMap<String, ConversationId>,
}

/// Pages are taken one after the other, planned some at a time, and kept one after the other: each only where the slot stands at its beginning, so each
/// user is dealt with once, whoever else runs this duty and whatever dies. People and threads, which others lock too, are locked while pages are taken,
/// so whoever waits for a page has nothing that an earlier one still needs. Where a circle comes about all the same, Postgres sees it and ends it: a page
/// waits for the one before it in the database.
impl<'a> AudienceRun<'a> {
    /// `None`: nothing is left to be done.
    pub async fn open(app: &'a App, slot_id: SlotId) -> Result<Option<Self>, Failure> {
        let mut conn = app.pg.acquire().await?;
        let slot = slots::get(&mut conn, slot_id).await?.filter(|slot| slot.state == SlotState::Open);
        let Some(slot) = slot else { return Ok(None) };
        let definition: Definition = serde_json::from_value(slot.definition.clone())
            .map_err(|error| Failure::abort(format!("the slot's definition cannot be read: {error}")))?;
        if definition.overlap == Overlap::Wait && slots::must_wait(&mut conn, &slot).await? {
            return Err(Failure::Snooze(PAUSE));
        }
        Ok(Some(Self { app, slot, definition }))
    }

    /// The pages that are left, until the last one or this moment.
    pub fn pages(&self, end: Instant) -> impl Stream<Item = Result<Page, Failure>> {
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
        store::statement_settings::find_by_index(&mut tx).await?;
        let audience = &self.definition.audience;
        let (user, plan) = (audience.user.as_deref(), audience.plan.as_deref());
        let users = slots::audience(&mut tx, after.as_deref(), user, plan, PAGE).await?;
        let is_last = i64::try_from(users.len()).is_ok_and(|found| found < PAGE);
        if let Some(last_user) = users.last() {
            slots::take_page(&mut tx, self.slot.id, last_user).await?;
        }
        let ids: Vec<&str> = users.iter().map(String::as_str).collect();
        let (mut eligibilities, mut conversations) = (Eligibilities::new(), HashMap::new());
        store::links::lock_of_users(&mut tx, &ids).await?;
        if self.definition.content.message.is_some() && !users.is_empty() {
            eligibilities = eligibility::read(&mut tx, &self.app.settings, &ids).await?;
            // A user who was erased meanwhile is left out.
            let known: Vec<&str> = ids.into_iter().filter(|id| eligibilities.contains_key(*id)).collect();
            conversations = store::conversations::of_users(&mut tx, &known).await?;
        }
        let is_stale = !slots::is_still_before(&mut tx, self.slot.id, after.as_deref()).await?;
        Ok(Page { tx, after, users, is_last, is_stale, eligibilities, conversations })
    }

    /// Deals with a page's users, and waits for the page before it.
    pub async fn plan(&self, mut page: Page) -> Result<Page, Failure> {
        if !page.is_stale && !page.users.is_empty() {
            match &self.definition.content.message {
                Some(text) => self.write(&mut page, text).await?,
                None => self.ask(&mut page).await?,
            }
        }
        if let Some(after) = &page.after {
            slots::wait_for_page(&mut page.tx, self.slot.id, after).await?;
        }
        Ok(page)
    }

    /// The words go into the conversations, and copies of them to WhatsApp.
    async fn write(&self, page: &mut Page, text: &str) -> Result<(), Failure> {
        let (tx, slot) = (&mut page.tx, &self.slot);
        let said: Vec<(&User, String)> = page
            .users
            .iter()
            .filter_map(|id| page.eligibilities.get(id))
            .map(|eligibility| {
                (&eligibility.user, filled(slot.moment, &self.definition, &eligibility.user, text))
            })
            .collect();
        let posts: Vec<(ConversationId, &str)> = said
            .iter()
            .filter_map(|(user, text)| Some((*page.conversations.get(&user.id)?, text.as_str())))
            .collect();
        store::turns::post(tx, &format!("schedule {}", slot.schedule), slot.id, &posts).await?;
        let parts = say(tx, &self.app.settings, &page.eligibilities, slot, &self.definition, &said).await?;
        slots::add_users(tx, slot.id, &parts).await?;
        Ok(())
    }

    /// The agent is asked, each user in a job of its own.
    async fn ask(&self, page: &mut Page) -> Result<(), Failure> {
        let slot = self.slot.id;
        let jobs =
            page.users.iter().map(|user| NewJob::of(&PromptUser { slot, user: user.clone(), again: false }));
        page.tx.enqueue_batch(jobs.collect()).await?;
        let asked =
            |user_id| UserPart { user_id, outcome: PartOutcome::Asked, reason: None, delivery_id: None };
        let parts: Vec<UserPart<'_>> = page.users.iter().map(|user| asked(user.as_str())).collect();
        slots::add_users(&mut page.tx, slot, &parts).await?;
        Ok(())
    }

    /// Commits a page. False: it is not the next one, and nothing of it stays.
    pub async fn keep(&self, mut page: Page, attempt: &Attempt) -> Result<bool, Failure> {
        let (tx, after) = (&mut page.tx, page.after.as_deref());
        let last_user = page.users.last().map(String::as_str).or(after);
        if page.is_stale || !slots::advance(tx, self.slot.id, after, last_user).await? {
            return Ok(false);
        }
        if page.is_last {
            slots::end_audience(tx, self.slot.id).await?;
            let nobody = page.users.is_empty() && after.is_none();
            ending::close_if_done(self.app, tx, self.slot.id, self.failed(nobody).as_deref()).await?;
            attempt.complete(tx).await?;
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
