//! `cloudybot alerts …`: what a person must look at, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::alerts::{self, AlertFilter, AlertView};
use clap::Subcommand;
use queue::Queue;
use store::alerts::AlertState;
use store::ids::AlertId;

use super::output::{UNANSWERED, actor, moment, print};
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// What waits for a person, the newest first, with what helps
    List {
        /// Also what somebody has acknowledged, and what is over
        #[arg(long)]
        all: bool,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
        limit: i64,
    },
    /// One alert: what it means, what helps, how it ends
    Show {
        /// The alert's number
        id: i64,
    },
    /// Say that somebody has looked: it is not told again, and its end still is
    Acknowledge {
        /// The alert's number
        id: i64,
    },
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: AlertsCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        AlertsCommand::List { all, limit } => {
            let filter = AlertFilter { state: (!all).then_some(AlertState::Open), ..AlertFilter::default() };
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let list = alerts::list(&mut conn, filter, limit).await.context(UNANSWERED)?;
            print(as_json, &list.alerts, || match list.alerts.as_slice() {
                [] => "no alert waits for anybody\n".to_owned(),
                alerts => alerts.iter().map(in_short).collect(),
            })
        }
        AlertsCommand::Show { id } => {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let alert = alerts::show(&mut conn, AlertId(id)).await.context(UNANSWERED)?;
            let alert = alert.with_context(|| format!("there is no alert {id}"))?;
            print(as_json, &alert, || in_full(&alert))
        }
        AlertsCommand::Acknowledge { id } => {
            let secret_keys = app::secret_keys(config, &pg).await?;
            let settings = app::settings(config, config.keys.server.listen, secret_keys);
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let done = alerts::acknowledge(&queue, &pg, &settings, AlertId(id), &actor()).await?;
            anyhow::ensure!(
                done,
                "no alert {id} waits for somebody to look; `cloudybot alerts list` has those that do"
            );
            queue.flush_notifications().await;
            print(as_json, &serde_json::json!({ "alert": id, "acknowledged": true }), || {
                format!("alert {id}: acknowledged\n")
            })
        }
    }
}

/// Who, since when, what, and what helps.
fn in_short(alert: &AlertView) -> String {
    let AlertView { id, cause, state, detail, remedy, times, opened_at, .. } = alert;
    let since = moment(*opened_at);
    format!("{id}  {cause}  {state}  since {since}, {times} times\n    {detail}\n    What helps: {remedy}\n")
}

fn in_full(alert: &AlertView) -> String {
    let or_none = |at: Option<_>| at.map_or_else(|| "-".to_owned(), moment);
    let lines = [
        ("alert", format!("{} {} ({})", alert.cause, alert.id, alert.state)),
        ("detail", alert.detail.clone()),
        ("means", alert.means.to_owned()),
        ("helps", alert.remedy.to_owned()),
        ("ends", alert.ends.to_owned()),
        ("times", alert.times.to_string()),
        ("since", moment(alert.opened_at)),
        ("last seen", moment(alert.last_seen_at)),
        ("looked at", or_none(alert.acknowledged_at)),
        ("over", or_none(alert.closed_at)),
    ];
    lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect()
}
