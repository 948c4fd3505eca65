//! `cloudybot users …`: one user, and whose WhatsApp ids are whose, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::users::{self as search, ListedUserView, WantedUsers};
use channel::app::Settings;
use channel::inbound::changed_ids::{self, IdDecisions};
use channel::{cells, erasure, user_times};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::Queue;
use queue::audit::{self, Change};
use queue::connections::Connections;
use serde_json::json;
use sqlx::PgConnection;
use store::ids::{CellName, UserId};
use store::users::User;

use super::ordered::Ordered;
use super::output::{UNANSWERED, actor, confirm, moment, print, print_lines, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::http::product::{user_view, users};

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// All that is known of a user
    Show {
        /// CloudyBot's id
        user: UserId,
    },
    /// Users, by the beginning of the id, by plan, by name or by number
    #[command(group(clap::ArgGroup::new("by")))]
    List {
        /// Whose id begins with this
        #[arg(long, group = "by", value_name = "BEGINNING")]
        id: Option<String>,
        /// Of this plan
        #[arg(long, group = "by")]
        plan: Option<String>,
        /// Whose attribute `name` begins with this, in small or large letters; the first ones alone
        #[arg(long, group = "by", value_name = "BEGINNING")]
        name: Option<String>,
        /// Whose phone has this number or opaque id, in any spelling
        #[arg(long, group = "by")]
        phone: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Behind this id: the next page
        #[arg(long, value_name = "ID")]
        after: Option<UserId>,
    },
    /// Put a user on another plan
    SetPlan {
        /// CloudyBot's id
        user: UserId,
        /// A plan of the configuration, in any case
        plan: String,
    },
    /// Say in which time zone a user lives
    SetTimezone {
        /// CloudyBot's id
        user: UserId,
        /// An IANA zone, like Europe/Berlin
        zone: String,
    },
    /// Say that a user belongs to another cell, also one who is not known here: unlinks the phone, and names that cell to whoever asks
    Move {
        /// CloudyBot's id
        user: UserId,
        /// The other cell, by its name or its address
        cell: CellName,
    },
    /// Say that a user belongs here again; the phone is to be claimed anew
    TakeBack {
        /// CloudyBot's id
        user: UserId,
    },
    /// Forget a user: bodies and numbers go, a keyed hash stays as the proof of an opt-out
    Erase {
        /// CloudyBot's id
        user: UserId,
        /// Do not ask before
        #[arg(long)]
        yes: bool,
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
    let database = Database::open_answering(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let answer = match command {
        UsersCommand::List { id, plan, name, phone, limit, after } => {
            let wanted = WantedUsers { id, plan, name, phone };
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let found = search::list(&mut conn, wanted, after.as_ref(), limit).await?;
            return print(as_json, &found, || table(&LIST_HEAD, found.users.iter().map(list_row)));
        }
        UsersCommand::Show { user } => show(&pg, &settings, &user).await?,
        UsersCommand::SetPlan { user, plan } => {
            let plan = users::plan_name(&settings, &plan).map_err(|problem| anyhow::anyhow!("{problem}"))?;
            change(&pg, &settings, &user, "set plan", |user| {
                (Some(std::mem::replace(&mut user.plan, plan.clone())), plan)
            })
            .await?
        }
        UsersCommand::SetTimezone { user, zone } => {
            let zone =
                user_times::zone_name(&zone).map_err(|unknown| anyhow::anyhow!("timezone: {unknown}"))?;
            change(&pg, &settings, &user, "set timezone", |user| {
                (user.timezone.replace(zone.clone()), zone.to_string())
            })
            .await?
        }
        UsersCommand::Move { user, cell } => {
            let mut tx = pg.begin().await.context(UNANSWERED)?;
            let moved = cells::move_user(&mut tx, &settings.secret_keys, &user, &cell, &actor()).await;
            let moved = moved.context(UNANSWERED)?;
            tx.commit().await.context(UNANSWERED)?;
            Ordered::of(&moved)?
        }
        UsersCommand::TakeBack { user } => {
            let mut tx = pg.begin().await.context(UNANSWERED)?;
            let taken_back = cells::take_back(&mut tx, &user, &actor()).await.context(UNANSWERED)?;
            anyhow::ensure!(taken_back, "user {user:?} is said to be in no other cell");
            tx.commit().await.context(UNANSWERED)?;
            Ordered::of(&json!({ "user": user, "takenBack": true }))?
        }
        UsersCommand::Erase { user, yes } => {
            known_anywhere(&mut *pg.acquire().await.context(UNANSWERED)?, &user).await?;
            confirm(&format!("Nothing brings back what user {user} said and was told."), yes)?;
            erase(&pg, &Queue::open(pg.clone(), config.keys.queue.clone()), &settings, &user).await?
        }
        UsersCommand::TrustNewIds { since: Some(since), .. } => {
            decided(&changed_ids::trust(&pg, &settings, since, &actor()).await.context(UNANSWERED)?)?
        }
        UsersCommand::TrustNewIds { since: None, .. } => decided(
            &changed_ids::refuse(&pg, &actor())
                .await
                .context(UNANSWERED)?
                .context("nothing to refuse: no sender that seems to have moved waits for a decision")?,
        )?,
    };
    print_lines(as_json, &answer)
}

const LIST_HEAD: [&str; 6] = ["USER", "PLAN", "NAME", "PHONE", "SILENT", "SINCE"];

fn list_row(user: &ListedUserView) -> Vec<String> {
    vec![
        user.user.to_string(),
        user.plan.clone(),
        user.name.clone().unwrap_or_default(),
        if user.linked { "linked".to_owned() } else { String::new() },
        if user.paused { "paused".to_owned() } else { String::new() },
        moment(user.created_at),
    ]
}

async fn show(pg: &Connections, settings: &Settings, id: &UserId) -> anyhow::Result<Ordered> {
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let user = known(&mut conn, id).await?;
    Ok(Ordered::of(&user_view::view(&mut conn, settings, user).await?)?)
}

/// Changes a user under its lock: the product may change it at the same time. The change says how it stood before, and how it stands now.
async fn change(
    pg: &Connections,
    settings: &Settings,
    id: &UserId,
    action: &str,
    change: impl FnOnce(&mut User) -> (Option<String>, String),
) -> anyhow::Result<Ordered> {
    let mut tx = pg.begin().await.context(UNANSWERED)?;
    cells::check(&mut tx, id).await?;
    let user = store::users::lock(&mut tx, id).await.context(UNANSWERED)?;
    let mut user = user.with_context(|| unknown(id))?;
    let (before, after) = change(&mut user);
    store::users::update(&mut tx, &user).await?;
    let changed = Change { before: before.as_deref(), after: Some(&after) };
    audit::note_change(&mut tx, &actor(), action, &audit::user(id.as_str()), "changed", changed).await?;
    let answer = Ordered::of(&user_view::view(&mut tx, settings, user).await?)?;
    tx.commit().await.context(UNANSWERED)?;
    Ok(answer)
}

async fn erase(pg: &Connections, queue: &Queue, settings: &Settings, id: &UserId) -> anyhow::Result<Ordered> {
    let mut tx = queue.begin(pg).await.context(UNANSWERED)?;
    known_anywhere(&mut tx, id).await?;
    erasure::begin(&mut tx, &settings.secret_keys, id).await?;
    audit::note(&mut tx, &actor(), "erase", "an erased user", "what was said is emptied").await?;
    tx.commit().await.context(UNANSWERED)?;
    // Whatever ends this program, a running service goes on with it.
    while erasure::page_of(pg, id).await.context(UNANSWERED)? {}
    queue.flush_notifications().await;
    Ok(Ordered::of(&json!({ "user": id, "erased": true }))?)
}

/// A user of this cell.
async fn known(conn: &mut PgConnection, id: &UserId) -> anyhow::Result<User> {
    cells::check(conn, id).await?;
    known_anywhere(conn, id).await
}

/// A user, also one who has moved to another cell.
async fn known_anywhere(conn: &mut PgConnection, id: &UserId) -> anyhow::Result<User> {
    let user = store::users::get(conn, id).await.context(UNANSWERED)?;
    user.with_context(|| unknown(id))
}

fn unknown(id: &UserId) -> String {
    format!("user {id:?} is not known here")
}

fn decided(decided: &IdDecisions) -> anyhow::Result<Ordered> {
    let IdDecisions { proven_again, confirmed, held_back, claimed_meanwhile } = decided;
    let answer = json!({
        "provenAgain": proven_again,
        "confirmed": confirmed,
        "heldBack": held_back,
        "claimedMeanwhile": claimed_meanwhile,
    });
    Ok(Ordered::of(&answer)?)
}
