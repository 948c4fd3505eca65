//! Goes through the audience of a slot, page by page.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job::NewJob;
use queue::transaction::Transaction;
use store::audiences::{self, ZonePart};
use store::deliveries::Obstacle;
use store::ids::{ConversationId, SlotId, UserId};
use store::slot_users::{self, PartOutcome, UserPart};
use store::slots::{self, Slot, SlotState};
use store::users::User;

use super::ending;
use crate::app::App;
use crate::kinds::PromptUser;
use crate::outbound::proactive::eligibility::{self, Eligibilities};
use crate::outbound::proactive::quiet_verdict;
use crate::outbound::quiet_rule::{QuietVerdict, WhenQuiet};
use crate::schedules::definition::{Definition, Overlap};
use crate::schedules::duty::{filled, marked, say, spread};
use crate::schedules::firing;

/// The slot before this one is let end like this.
const PAUSE: Duration = Duration::from_secs(1);

/// Users that are dealt with in one transaction: their phones are locked meanwhile, which takes a fraction of a second.
const PAGE: i64 = 500;

/// The way of an open slot through its audience.
pub struct AudienceRun<'a> {
    app: &'a App,
    slot: Slot,
    definition: Definition,
    /// Of whom it consists; `None`: of everybody.
    part: Option<ZonePart>,
}

/// Some users of the audience, and the transaction in which they are dealt with: a crash loses or repeats all of it or nothing.
pub struct AudiencePage {
    tx: Transaction,
    /// The last user of the page before.
    after: Option<UserId>,
    /// The last one of those found, for the next page.
    last_user: Option<UserId>,
    users: Vec<UserId>,
    pub is_last: bool,
    /// The slot had come further when the page was taken: nothing is done.
    is_stale: bool,
    /// What counts for those who are there.
    eligibilities: Eligibilities,
    /// Their threads.
    conversations: HashMap<UserId, ConversationId>,
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
        let part = firing::part_of_slot(&mut conn, &definition, &slot.zone).await?;
        Ok(Some(Self { app, slot, definition, part }))
    }

    /// The pages that are left, until the last one or this moment.
    pub fn pages(&self, end: Instant) -> impl Stream<Item = Result<AudiencePage, Failure>> {
        stream::try_unfold(Some(self.slot.last_user.clone()), move |after| async move {
            let Some(after) = after.filter(|_| Instant::now() < end) else { return Ok(None) };
            let page = self.take(after).await?;
            let next = (!page.is_last).then(|| page.last_user.clone());
            Ok(Some((page, next)))
        })
    }

    /// Locks the next users behind this one, and reads what counts for them.
    async fn take(&self, after: Option<UserId>) -> Result<AudiencePage, Failure> {
        let mut tx = self.app.begin().await?;
        store::statement_settings::find_by_index(&mut tx).await?;
        let audience = self.definition.audience.as_stored();
        let found = audiences::page(&mut tx, &audience, self.part.as_ref(), after.as_ref(), PAGE).await?;
        let is_last = i64::try_from(found.len()).is_ok_and(|found| found < PAGE);
        let last_user = found.last().cloned();
        if let Some(last_user) = &last_user {
            audiences::take_page(&mut tx, self.slot.id, last_user).await?;
        }
        let mut users = found;
        let elsewhere = slot_users::dealt_with_elsewhere(&mut tx, &self.slot, &users).await?;
        users.retain(|user| !elsewhere.contains(user));
        let ids: Vec<&UserId> = users.iter().collect();
        let (mut eligibilities, mut conversations) = (Eligibilities::new(), HashMap::new());
        store::links::lock_of_users(&mut tx, &ids).await?;
        let is_dropped_when_quiet =
            !self.slot.is_test && self.definition.quiet_rule().then == WhenQuiet::Skip;
        if (self.definition.content.message.is_some() || is_dropped_when_quiet) && !users.is_empty() {
            eligibilities = eligibility::read(&mut tx, &self.app.settings, &ids).await?;
            // A user who was erased meanwhile is left out.
            let known: Vec<&UserId> = ids.into_iter().filter(|id| eligibilities.contains_key(*id)).collect();
            conversations = store::conversations::of_users(&mut tx, &known).await?;
        }
        let is_stale = !audiences::is_still_before(&mut tx, self.slot.id, after.as_ref()).await?;
        Ok(AudiencePage { tx, after, last_user, users, is_last, is_stale, eligibilities, conversations })
    }

    /// Deals with a page's users, and waits for the page before it.
    pub async fn plan(&self, mut page: AudiencePage) -> Result<AudiencePage, Failure> {
        if !page.is_stale && !page.users.is_empty() {
            self.drop_quiet(&mut page).await?;
            match &self.definition.content.message {
                Some(text) => self.write(&mut page, text).await?,
                None => self.ask(&mut page).await?,
            }
        }
        if let Some(after) = &page.after {
            audiences::wait_for_page(&mut page.tx, self.slot.id, after).await?;
        }
        Ok(page)
    }

    /// Whoever is not to be disturbed, and not later either, is left out before anything is said or the agent is asked.
    async fn drop_quiet(&self, page: &mut AudiencePage) -> Result<(), Failure> {
        let rule = self.definition.quiet_rule();
        if self.slot.is_test || rule.then != WhenQuiet::Skip {
            return Ok(());
        }
        let AudiencePage { tx, users, eligibilities, .. } = page;
        let is_quiet = |user: &UserId| {
            let leaves_at = spread(&self.slot, &self.definition, user).unwrap_or(self.slot.moment);
            let verdict = quiet_verdict(Some(&rule), eligibilities.get(user), Some(leaves_at));
            verdict == QuietVerdict::Skip
        };
        let (dropped, left): (Vec<UserId>, Vec<UserId>) = users.drain(..).partition(is_quiet);
        let parts: Vec<UserPart<'_>> = dropped
            .iter()
            .map(|user_id| UserPart {
                user_id,
                outcome: PartOutcome::Blocked,
                reason: Some(Obstacle::QuietHours.as_str()),
                delivery_id: None,
            })
            .collect();
        slot_users::add_users(tx, &self.slot, &parts).await?;
        *users = left;
        Ok(())
    }

    /// The words go into the conversations, and copies of them to WhatsApp.
    async fn write(&self, page: &mut AudiencePage, text: &str) -> Result<(), Failure> {
        let (tx, slot) = (&mut page.tx, &self.slot);
        let said: Vec<(&User, String)> = page
            .users
            .iter()
            .filter_map(|id| page.eligibilities.get(id))
            .map(|eligibility| {
                let text = filled(slot.moment, &self.definition, &eligibility.user, text);
                (&eligibility.user, marked(slot, text))
            })
            .collect();
        let posts: Vec<(ConversationId, &str)> = said
            .iter()
            .filter_map(|(user, text)| Some((*page.conversations.get(&user.id)?, text.as_str())))
            .collect();
        store::turns::post(tx, &format!("schedule {}", slot.schedule), slot.id, &posts).await?;
        let parts = say(tx, &self.app.settings, &page.eligibilities, slot, &self.definition, &said).await?;
        slot_users::add_users(tx, slot, &parts).await?;
        Ok(())
    }

    /// The agent is asked, each user in a job of its own.
    async fn ask(&self, page: &mut AudiencePage) -> Result<(), Failure> {
        let slot = self.slot.id;
        let jobs =
            page.users.iter().map(|user| NewJob::of(&PromptUser { slot, user: user.clone(), again: false }));
        page.tx.enqueue_batch(jobs.collect()).await?;
        let asked =
            |user_id| UserPart { user_id, outcome: PartOutcome::Asked, reason: None, delivery_id: None };
        let parts: Vec<UserPart<'_>> = page.users.iter().map(asked).collect();
        slot_users::add_users(&mut page.tx, &self.slot, &parts).await?;
        Ok(())
    }

    /// Commits a page. False: it is not the next one, and nothing of it stays.
    pub async fn keep(&self, mut page: AudiencePage, attempt: &Attempt) -> Result<bool, Failure> {
        let (tx, after) = (&mut page.tx, page.after.as_ref());
        let last_user = page.last_user.as_ref().or(after);
        if page.is_stale || !slots::advance(tx, self.slot.id, after, last_user).await? {
            return Ok(false);
        }
        if page.is_last {
            slots::end_audience(tx, self.slot.id).await?;
            let nobody = page.last_user.is_none() && after.is_none();
            ending::close_if_done(self.app, tx, self.slot.id, self.failed(nobody).as_deref()).await?;
            attempt.complete_and_commit(page.tx).await?;
        } else {
            page.tx.commit().await?;
        }
        Ok(true)
    }

    /// Why there was nobody to be dealt with, if that is somebody's mistake.
    fn failed(&self, nobody: bool) -> Option<String> {
        let audience = &self.definition.audience;
        // Somebody who lives elsewhere by now is not unknown.
        let unknown_user = audience.user.as_ref().filter(|_| nobody && self.part.is_none());
        let unknown_plan =
            audience.plan.as_deref().filter(|plan| self.app.settings.plans.find(plan).is_none());
        unknown_user
            .map(|user| format!("there is no user {user:?}"))
            .or(unknown_plan.map(|plan| format!("there is no plan {plan:?}")))
    }
}
