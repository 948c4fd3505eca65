//! `cloudybot deliveries resend`: one delivery, or all that did not arrive and fit.

use std::fmt::Write as _;

use anyhow::Context as _;
use channel::administration::deliveries::DeliveryFilter;
use channel::administration::resends::{self, Resends};
use channel::app::Settings;
use channel::retries;
use queue::Queue;
use queue::connections::Connections;
use store::ids::DeliveryId;

use super::deliveries::tell;
use super::output::{UNANSWERED, actor, confirm, moment, print};

/// Sends anew what did not arrive.
pub(super) struct Resender {
    pub(super) queue: Queue,
    pub(super) pg: Connections,
    pub(super) settings: Settings,
}

impl Resender {
    pub(super) async fn one(&self, id: DeliveryId, as_json: bool) -> anyhow::Result<()> {
        let Self { queue, pg, settings } = self;
        let answered = retries::deliveries::resend(queue, pg, settings, id, &actor()).await?;
        tell(as_json, answered.with_context(|| format!("there is no delivery {id}"))?)
    }

    /// How many fit and were not sent anew yet.
    pub(super) async fn count(&self, filter: DeliveryFilter, as_json: bool) -> anyhow::Result<()> {
        let mut conn = self.pg.acquire().await.context(UNANSWERED)?;
        let found = resends::undelivered(&mut conn, filter, None).await?;
        let (fitting, since) = (found.ids.len(), found.since);
        let answer = serde_json::json!({ "fitting": fitting, "since": since });
        print(as_json, &answer, || {
            let deliveries = if fitting == 1 { "delivery" } else { "deliveries" };
            format!("{fitting} {deliveries} since {} would be tried anew; nothing was sent\n", moment(since))
        })
    }

    /// All that fit and that nobody has sent anew.
    pub(super) async fn all(&self, filter: DeliveryFilter, yes: bool, as_json: bool) -> anyhow::Result<()> {
        let Self { queue, pg, settings } = self;
        let found = {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            resends::undelivered(&mut conn, filter, None).await?
        };
        if !found.ids.is_empty() {
            let (all, since) = (found.ids.len(), moment(found.since));
            confirm(
                &format!("{all} deliveries since {since} fit, and are sent to their people again."),
                yes,
            )?;
        }
        let actor = actor();
        let mut outcomes = Vec::new();
        for id in found.ids {
            outcomes.extend(resends::resend(queue, pg, settings, id, &actor).await?);
        }
        let resends = Resends::from(outcomes);
        print(as_json, &resends, || counted(&resends))
    }
}

/// How many were, and why the others were not.
fn counted(resends: &Resends) -> String {
    let mut text = format!("{} resent, {} refused\n", resends.resent, resends.refused);
    for refused in &resends.reasons {
        let _ = writeln!(text, "{} refused: {}", refused.deliveries, refused.reason);
    }
    text
}
