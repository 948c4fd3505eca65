//! `cloudybot users …`: one user, and whose WhatsApp ids are whose, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::app::Settings;
use channel::erasure;
use channel::inbound::changed_ids::{self, IdDecisions};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::Queue;
use queue::connections::Connections;
use serde_json::{Value, json};
use sqlx::PgConnection;
use store::users::User;

use super::output::{UNANSWERED, print_lines};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::http::product::{user_view, users};

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// All that is known of a user
    Show {
        /// CloudyBot's id
        user: String,
    },
    /// Put a user on another plan
    SetPlan {
        /// CloudyBot's id
        user: String,
        /// A plan of the configuration, in any case
        plan: String,
    },
    /// Say in which time zone a user lives
    SetTimezone {
        /// CloudyBot's id
        user: String,
        /// An IANA zone, like Europe/Berlin
        zone: String,
    },
    /// Forget a user: bodies and numbers go, a keyed hash stays as the proof of an opt-out
    Erase {
        /// CloudyBot's id
        user: String,
    },
    /// Say whether the sender has moved to another business portfolio, which changes everybody's WhatsApp id
    #[command(group(clap::ArgGroup::new("decision").required(true)))]
    TrustNewIds {
        /// It has moved then: ids that came since are the same people's (RFC 3339, for example 2026-11-28T12:00:00Z)
        #[arg(long, value_name = "TIME", group = "decision")]
        since: Option<DateTime<Utc>>,
        /// It has not moved: a number with another id is somebody else's
        #[arg(long, group = "decision")]
        refuse: bool,
    },
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: UsersCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let answer = match command {
        UsersCommand::Show { user } => show(&pg, &settings, &user).await?,
        UsersCommand::SetPlan { user, plan } => {
            let plan = users::plan_name(&settings, &plan).map_err(|problem| anyhow::anyhow!("{problem}"))?;
            change(&pg, &settings, &user, |user| user.plan = plan).await?
        }
        UsersCommand::SetTimezone { user, zone } => {
            let zone = users::zone_name(&zone).map_err(|problem| anyhow::anyhow!("{problem}"))?;
            change(&pg, &settings, &user, |user| user.timezone = Some(zone)).await?
        }
        UsersCommand::Erase { user } => {
            erase(&pg, &Queue::open(pg.clone(), config.keys.queue.clone()), &settings, &user).await?
        }
        UsersCommand::TrustNewIds { since: Some(since), .. } => {
            decided(&changed_ids::trust(&pg, &settings, since).await.context(UNANSWERED)?)
        }
        UsersCommand::TrustNewIds { since: None, .. } => decided(
            &changed_ids::refuse(&pg)
                .await
                .context(UNANSWERED)?
                .context("nothing to refuse: no sender that seems to have moved waits for a decision")?,
        ),
    };
    print_lines(as_json, &answer)
}

async fn show(pg: &Connections, settings: &Settings, id: &str) -> anyhow::Result<Value> {
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let user = known(&mut conn, id).await?;
    Ok(serde_json::to_value(user_view::view(&mut conn, settings, user).await?)?)
}

/// Changes a user under its lock: the product may change it at the same time.
async fn change(
    pg: &Connections,
    settings: &Settings,
    id: &str,
    change: impl FnOnce(&mut User),
) -> anyhow::Result<Value> {
    let mut tx = pg.begin().await.context(UNANSWERED)?;
    let user = store::users::lock(&mut tx, id).await.context(UNANSWERED)?;
    let mut user = user.with_context(|| unknown(id))?;
    change(&mut user);
    store::users::update(&mut tx, &user).await?;
    let answer = serde_json::to_value(user_view::view(&mut tx, settings, user).await?)?;
    tx.commit().await.context(UNANSWERED)?;
    Ok(answer)
}

async fn erase(pg: &Connections, queue: &Queue, settings: &Settings, id: &str) -> anyhow::Result<Value> {
    let mut tx = queue.begin(pg).await.context(UNANSWERED)?;
    known(&mut tx, id).await?;
    store::erasure::begin(&mut tx, &settings.secret_keys, id).await?;
    tx.commit().await.context(UNANSWERED)?;
    // Whatever ends this program, a running service goes on with it.
    while erasure::page_of(pg, id).await.context(UNANSWERED)? {}
    queue.flush_notifications().await;
    Ok(json!({ "user": id, "erased": true }))
}

async fn known(conn: &mut PgConnection, id: &str) -> anyhow::Result<User> {
    let user = store::users::get(conn, id).await.context(UNANSWERED)?;
    user.with_context(|| unknown(id))
}

fn unknown(id: &str) -> String {
    format!("user {id:?} is not known here")
}

fn decided(decided: &IdDecisions) -> Value {
    let IdDecisions { proven_again, confirmed, held_back, claimed_meanwhile } = decided;
    json!({
        "provenAgain": proven_again,
        "confirmed": confirmed,
        "heldBack": held_back,
        "claimedMeanwhile": claimed_meanwhile,
    })
}
