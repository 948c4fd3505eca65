//! `cloudybot schedules …`: operators' cron duties, at a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use clap::Subcommand;
use jobs::app::Settings;
use jobs::schedules::definition::{self, Schedule};
use jobs::schedules::{firing, moments};
use jobs::{proactive, run_duty};
use queue::Queue;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Say what is wrong with the files; needs no database
    Check,
    /// Every schedule with its next and last slots
    List,
    /// What a schedule would do: its next slots, its audience; sends nothing
    Preview {
        /// The file's stem
        name: String,
        /// How many slots
        #[arg(long, default_value_t = 10)]
        slots: usize,
    },
    /// Fire a schedule now, recorded as manual
    Fire {
        /// The file's stem
        name: String,
    },
    /// Let a schedule fire again; what fell due meanwhile is not made good
    Enable {
        /// The file's stem
        name: String,
    },
    /// Keep a schedule from firing, whatever its file says
    Disable {
        /// The file's stem
        name: String,
    },
}

const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: SchedulesCommand, as_json: bool) -> anyhow::Result<()> {
    let (schedules, errors) = definition::read_folder(&config.keys.schedules.directory)
        .with_context(|| format!("cannot read {}", config.keys.schedules.directory.display()))?;
    if let SchedulesCommand::Check = command {
        let wrong: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let right: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        print(&json!({ "right": right, "wrong": wrong }), as_json)?;
        anyhow::ensure!(wrong.is_empty(), "{} files are wrong", wrong.len());
        return Ok(());
    }
    let database = Database::open(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let of_file = |name: &str| {
        let wrong = errors.iter().find(|error| error.name == name).map(ToString::to_string);
        let found = schedules.iter().find(|schedule| schedule.name == name);
        found.with_context(|| wrong.unwrap_or_else(|| format!("there is no schedule {name:?} in the folder")))
    };
    let answer = match command {
        SchedulesCommand::Check => Value::Null,
        SchedulesCommand::List => list(&mut conn, &schedules).await?,
        SchedulesCommand::Preview { name, slots } => {
            let keys = app::secret_keys(config, &pg).await?;
            let settings = app::settings(config, config.keys.server.listen, keys);
            preview(&mut conn, &settings, of_file(&name)?, slots).await?
        }
        SchedulesCommand::Fire { name } => {
            drop(conn);
            let queue = Queue::open(pg.clone(), config.queue());
            let mut tx = queue.begin(&pg).await?;
            let row = store::schedules::lock(&mut tx, &name).await?;
            let row = row
                .filter(|row| row.removed_at.is_none())
                .with_context(|| format!("no running service has loaded a schedule {name:?}"))?;
            let slot = firing::fire_now(&mut tx, &row).await?;
            tx.commit().await?;
            json!({ "fired": name, "slot": slot })
        }
        SchedulesCommand::Enable { name } => switch(&mut conn, &name, true).await?,
        SchedulesCommand::Disable { name } => switch(&mut conn, &name, false).await?,
    };
    print(&answer, as_json)
}

async fn switch(conn: &mut PgConnection, name: &str, enabled: bool) -> anyhow::Result<Value> {
    let actor = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    let why = format!("switched off by {actor}");
    let done = store::schedules::switch(conn, name, enabled, (!enabled).then_some(why.as_str())).await?;
    anyhow::ensure!(done, "no running service has loaded a schedule {name:?}");
    Ok(json!({ "schedule": name, "enabled": enabled }))
}

async fn list(conn: &mut PgConnection, schedules: &[Schedule]) -> anyhow::Result<Value> {
    let rows = store::schedules::all(conn).await.context(UNANSWERED)?;
    let mut listed = Vec::new();
    for row in rows {
        let of_file = schedules.iter().find(|schedule| schedule.name == row.name);
        let of_row = serde_json::from_value(row.definition.clone()).ok();
        let present = of_row.and_then(|definition| Schedule::of(&row.name, definition).ok());
        let next: Vec<String> = present.iter().flat_map(|schedule| upcoming(schedule, 3)).collect();
        let past: Vec<Value> = store::slots::last(conn, &row.name, 3)
            .await?
            .into_iter()
            .map(|slot| {
                json!({ "moment": slot.moment, "state": slot.state, "reason": slot.reason, "planned": slot.planned, "blocked": slot.blocked,
                        "notPlanned": slot.not_planned, "sent": slot.sent, "delivered": slot.delivered })
            })
            .collect();
        let file = match of_file {
            None => "missing",
            Some(schedule) if schedule.hash == row.hash => "same",
            Some(_) => "differs",
        };
        listed.push(json!({
            "schedule": row.name, "enabled": row.enabled, "disabledWhy": row.disabled_why, "file": file, "hash": &row.hash[..12],
            "next": next, "last": past,
        }));
    }
    Ok(Value::Array(listed))
}

/// A preview looks at no more users than this.
const LOOKED_AT: i64 = 1000;

async fn preview(
    conn: &mut PgConnection,
    settings: &Settings,
    schedule: &Schedule,
    slots: usize,
) -> anyhow::Result<Value> {
    let definition = &schedule.definition;
    let (user, plan) = (definition.audience.user.as_deref(), definition.audience.plan.as_deref());
    let size = store::slots::audience_size(conn, user, plan).await?;
    let users = store::slots::audience(conn, None, user, plan, LOOKED_AT).await?;
    let moment =
        moments::next(&schedule.cron, schedule.zone, Utc::now(), 1).first().copied().unwrap_or_else(Utc::now);
    let text =
        definition.content.message.as_deref().or(definition.content.prompt.as_deref()).unwrap_or_default();
    let (mut blocked, mut rendered) = (BTreeMap::<&str, Vec<String>>::new(), None);
    for user in &users {
        let text = run_duty::filled(conn, moment, definition, user, text).await?;
        let outlook = proactive::foresee(conn, settings, user, &text, definition.template.is_some()).await?;
        if let Some(reason) = outlook.blocked {
            blocked.entry(reason).or_default().push(user.clone());
        }
        if rendered.is_none() && !outlook.as_template {
            let chunks: Vec<String> = outlook.chunks.into_iter().map(|chunk| chunk.body).collect();
            rendered = Some(json!({ "for": user, "chunks": chunks }));
        }
    }
    let said = if definition.content.prompt.is_some() { "prompt" } else { "message" };
    Ok(json!({
        "schedule": schedule.name, "hash": &schedule.hash[..12], "next": upcoming(schedule, slots), "audience": size,
        "lookedAt": users.len(), "blocked": blocked, "content": said, "rendered": rendered,
    }))
}

/// The next slots in the schedule's time and in UTC, with a note where clocks change.
fn upcoming(schedule: &Schedule, number: usize) -> Vec<String> {
    let slots = moments::next(&schedule.cron, schedule.zone, Utc::now(), number);
    let mut offset_before = None;
    let mut shown = Vec::new();
    for slot in slots {
        let local = slot.with_timezone(&schedule.zone);
        let offset = local.format("%z").to_string();
        let changed = offset_before.as_ref().is_some_and(|before| *before != offset);
        let note = if changed { "  clocks have changed since the slot before" } else { "" };
        shown.push(format!("{}  ({}){note}", local.format("%a %F %T %Z"), slot.format("%F %TZ")));
        offset_before = Some(offset);
    }
    shown
}

#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
fn print(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else {
        print!("{}", crate::users_command::lines(answer, ""));
    }
    Ok(())
}
