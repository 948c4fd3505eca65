//! `cloudybot deliveries resend`: one delivery, or all that did not arrive and fit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use channel::administration::deliveries::{self, DeliveryFilter, UNDELIVERED};
use channel::app::Settings;
use channel::retries::{self, Answered};
use chrono::TimeDelta;
use queue::Queue;
use queue::connections::Connections;
use serde::Serialize;
use store::ids::DeliveryId;

use super::deliveries::{DeliveryArgs, States, tell};
use super::output::{UNANSWERED, actor, confirm, moment, print};

/// Sends anew what did not arrive.
pub(super) struct Resender {
    pub(super) queue: Queue,
    pub(super) pg: Connections,
    pub(super) settings: Settings,
}

impl Resender {
    pub(super) async fn one(&self, id: DeliveryId, as_json: bool) -> anyhow::Result<()> {
        tell(as_json, self.resend(id).await?.with_context(|| format!("there is no delivery {id}"))?)
    }

    async fn resend(&self, id: DeliveryId) -> anyhow::Result<Option<Answered>> {
        Ok(retries::deliveries::resend(&self.queue, &self.pg, &self.settings, id, &actor()).await?)
    }

    /// All that fit and that nobody has sent anew; the oldest first, so that each person reads them in order.
    pub(super) async fn all(&self, mut args: DeliveryArgs, yes: bool, as_json: bool) -> anyhow::Result<()> {
        anyhow::ensure!(
            args.is_narrowed(),
            "say which deliveries: an id, or a filter like --error-code 63010 or --since 2026-11-30T02:00:00Z"
        );
        let States(wanted) = args.state.take().unwrap_or_else(|| States(UNDELIVERED.to_vec()));
        anyhow::ensure!(
            wanted.iter().all(|state| UNDELIVERED.contains(state)),
            "only what did not arrive is sent anew: failed, expired, unknown or undelivered"
        );
        args.state = Some(States(wanted));
        let mut filter = DeliveryFilter::from(args);
        let since = match filter.since {
            Some(since) => since,
            None => store::clock::now(&mut *self.pg.acquire().await.context(UNANSWERED)?).await? - USUAL_AGE,
        };
        filter.since = Some(since);
        let ids = self.undelivered(filter).await?;
        let all = ids.len();
        if all > 0 {
            let since = moment(since);
            confirm(
                &format!("{all} deliveries since {since} fit, and are sent to their people again."),
                yes,
            )?;
        }
        let mut outcomes = Vec::new();
        for id in ids {
            if let Some(answered) = self.resend(id).await? {
                outcomes.push(Resent::of(id, answered));
            }
        }
        print(as_json, &outcomes, || Resent::counted(&outcomes))
    }

    async fn undelivered(&self, mut filter: DeliveryFilter) -> anyhow::Result<Vec<DeliveryId>> {
        let mut conn = self.pg.acquire().await.context(UNANSWERED)?;
        let mut ids = Vec::new();
        loop {
            let list = deliveries::list(&mut conn, &filter, PAGE).await?;
            ids.extend(
                list.deliveries.iter().filter(|found| found.resent_as.is_none()).map(|found| found.id),
            );
            match list.next {
                Some(next) => filter.before = Some(next),
                None => break,
            }
        }
        ids.reverse();
        Ok(ids)
    }
}

/// What is older than this is sent anew only where somebody says so: nobody waits for it any more.
const USUAL_AGE: TimeDelta = TimeDelta::days(1);

/// Deliveries that are looked up at a time.
const PAGE: i64 = 500;

/// What came of sending one delivery anew.
#[derive(Debug, Serialize)]
struct Resent {
    delivery: DeliveryId,
    resent: bool,
    detail: String,
}

impl Resent {
    fn of(delivery: DeliveryId, answered: Answered) -> Self {
        let (resent, detail) = match answered {
            Answered::Retried(detail) => (true, detail),
            Answered::Refused(detail) => (false, detail),
        };
        Self { delivery, resent, detail }
    }

    /// How many were, and why the others were not.
    fn counted(outcomes: &[Self]) -> String {
        let resent = outcomes.iter().filter(|outcome| outcome.resent).count();
        let mut text = format!("{resent} resent, {} refused\n", outcomes.len() - resent);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for refused in outcomes.iter().filter(|outcome| !outcome.resent) {
            *reasons.entry(&refused.detail).or_default() += 1;
        }
        for (reason, number) in reasons {
            let _ = writeln!(text, "{number} refused: {reason}");
        }
        text
    }
}
