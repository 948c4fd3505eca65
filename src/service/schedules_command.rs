//! `cloudybot schedules …`: operators' cron duties, at a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use channel::app::Settings;
use channel::outbound::proactive;
use channel::outbound::proactive::assessment::Assessment;
use channel::schedules::definition::{self, Definition, Schedule};
use channel::schedules::duty;
use channel::schedules::{firing, moments};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::Queue;
use serde_json::{Value, json};
use sqlx::PgConnection;
use whatsapp_text::text::WhatsappText;

use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::zone_rules::ZoneReport;

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Say what is wrong with the files; needs no database
    Check,
    /// Every schedule with its next and last slots
    List {
        /// Of how many users of a slot, the first ones of its audience, it is counted what became of them
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(i64).range(1..))]
        users: i64,
    },
    /// What a schedule would do: its next slots, its audience; sends nothing
    Preview {
        /// The file's stem
        name: String,
        /// How many slots
        #[arg(long, default_value_t = 10)]
        slots: usize,
        /// How many users of the audience are looked at, the first ones
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..))]
        users: i64,
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
        let plans = &config.plans;
        let plan_errors = schedules.iter().filter_map(|schedule| schedule.check_plan(plans).err());
        let wrong: Vec<String> =
            errors.iter().cloned().chain(plan_errors).map(|error| error.to_string()).collect();
        let right: Vec<&str> = schedules
            .iter()
            .filter(|schedule| schedule.check_plan(plans).is_ok())
            .map(|schedule| schedule.name.as_str())
            .collect();
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
        SchedulesCommand::List { users } => {
            let zones = ZoneReport::read(&mut conn).await.context(UNANSWERED)?;
            if !as_json {
                print_zones(&zones);
            }
            list(&mut conn, &schedules, users, &zones).await?
        }
        SchedulesCommand::Preview { name, slots, users } => {
            let keys = app::secret_keys(config, &pg).await?;
            let settings = app::settings(config, config.keys.server.listen, keys);
            preview(&mut conn, &settings, of_file(&name)?, slots, users).await?
        }
        SchedulesCommand::Fire { name } => {
            drop(conn);
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let mut tx = queue.begin(&pg).await?;
            let row = store::schedules::lock(&mut tx, &name).await?;
            let row = row
                .filter(|row| row.removed_at.is_none())
                .with_context(|| format!("no running service has loaded a schedule {name:?}"))?;
            let slot = firing::fire_now(&mut tx, &row).await?;
            tx.commit().await?;
            queue.flush_notifications().await;
            json!({ "fired": name, "slot": slot })
        }
        SchedulesCommand::Enable { name } => switch(&mut conn, &name, true).await?,
        SchedulesCommand::Disable { name } => switch(&mut conn, &name, false).await?,
    };
    match answer {
        Value::Array(listed) if !as_json => listed.iter().for_each(print_schedule),
        answer => print(&answer, as_json)?,
    }
    Ok(())
}

/// The time zone rules for people; JSON has them with each schedule.
#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
fn print_zones(zones: &ZoneReport) {
    print!("{}", zones.lines());
}

/// A schedule for people: what it is, when it falls due, and what its last slots came to.
#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
fn print_schedule(schedule: &Value) {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let on = match schedule["disabledWhy"].as_str() {
        Some(why) => format!("off: {why}"),
        None if schedule["enabled"] == true => "on".to_owned(),
        None => "off".to_owned(),
    };
    println!(
        "{}  {on}  version {} since {}, file here: {}",
        word(&schedule["schedule"]),
        word(&schedule["hash"]),
        word(&schedule["loadedAt"]),
        word(&schedule["file"])
    );
    for (process, has) in schedule["processes"].as_object().into_iter().flatten() {
        println!("    loaded   {process}: {}", word(has));
    }
    for next in schedule["next"].as_array().into_iter().flatten() {
        println!("    next     {}", word(next));
    }
    for last in schedule["last"].as_array().into_iter().flatten() {
        let counted =
            ["asked", "agentFailed", "notPlanned", "blocked", "planned", "sent", "delivered", "failed"]
                .into_iter()
                .filter(|name| last[name] != 0)
                .map(|name| format!("{name} {}", last[name]));
        let counted: Vec<String> = counted.collect();
        let manual = if last["manual"] == true { " by hand" } else { "" };
        let sample = last["countedFirst"].as_i64().map(|users| format!(", of the first {users} users"));
        let reason = last["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        println!(
            "    last     {}{manual}  {}{reason}  {}{}",
            word(&last["moment"]),
            word(&last["state"]),
            counted.join(", "),
            sample.unwrap_or_default()
        );
    }
}

async fn switch(conn: &mut PgConnection, name: &str, enabled: bool) -> anyhow::Result<Value> {
    let actor = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    let why = format!("switched off by {actor}");
    let done = store::schedules::switch(conn, name, enabled, (!enabled).then_some(why.as_str())).await?;
    anyhow::ensure!(done, "no running service has loaded a schedule {name:?}");
    Ok(json!({ "schedule": name, "enabled": enabled }))
}

async fn list(
    conn: &mut PgConnection,
    schedules: &[Schedule],
    users: i64,
    zones: &ZoneReport,
) -> anyhow::Result<Value> {
    let now = store::clock::now(conn).await?;
    let rows = store::schedules::all(conn).await.context(UNANSWERED)?;
    let schedulers = store::schedulers::alive(conn).await?;
    let mut listed = Vec::new();
    for row in rows {
        let of_file = schedules.iter().find(|schedule| schedule.name == row.name);
        let of_row = serde_json::from_value(row.definition.clone()).ok();
        let present = of_row.and_then(|definition| Schedule::of(&row.name, definition).ok());
        let fires = present.iter().filter(|schedule| row.enabled && schedule.definition.enabled);
        let next: Vec<String> = fires.flat_map(|schedule| upcoming(schedule, now, 3)).collect();
        let past: Vec<Value> = store::slots::last(conn, &row.name, 3, users)
            .await?
            .into_iter()
            .map(|slot| {
                json!({ "moment": slot.moment, "firedAt": slot.fired_at, "manual": slot.manual, "state": slot.state, "reason": slot.reason,
                        "countedFirst": slot.is_sample.then_some(users), "asked": slot.asked, "agentFailed": slot.agent_failed, "notPlanned": slot.not_planned, "blocked": slot.blocked,
                        "planned": slot.planned, "sent": slot.sent, "delivered": slot.delivered, "failed": slot.failed })
            })
            .collect();
        let loaded: BTreeMap<&String, &str> = schedulers
            .iter()
            .map(|scheduler| (&scheduler.process, compare(scheduler.hashes[&row.name].as_str(), &row.hash)))
            .collect();
        let file = compare(of_file.map(|schedule| schedule.hash.as_str()), &row.hash);
        listed.push(json!({
            "schedule": row.name, "enabled": row.enabled && present.as_ref().is_none_or(|schedule| schedule.definition.enabled), "disabledWhy": row.disabled_why, "file": file, "hash": &row.hash[..12], "loadedAt": row.loaded_at, "processes": loaded,
            "next": next, "last": past, "zoneRules": zones.json(),
        }));
    }
    Ok(Value::Array(listed))
}

/// Whether somebody's version of a schedule is the present one.
fn compare(hash: Option<&str>, present: &str) -> &'static str {
    match hash {
        None => "missing",
        Some(hash) if hash == present => "same",
        Some(_) => "differs",
    }
}

/// Users that are looked up at once.
const PAGE: i64 = 1000;

/// Of users who would be blocked for one reason no more are named.
const NAMED: usize = 20;

async fn preview(
    conn: &mut PgConnection,
    settings: &Settings,
    schedule: &Schedule,
    slots: usize,
    users: i64,
) -> anyhow::Result<Value> {
    let definition = &schedule.definition;
    let (user, plan) = (definition.audience.user.as_deref(), definition.audience.plan.as_deref());
    let now = store::clock::now(conn).await?;
    let moment = moments::next(&schedule.cron, schedule.zone, now, 1).first().copied().unwrap_or(now);
    let content = &definition.content;
    let (said, text) = match (&content.message, &content.prompt) {
        (Some(message), _) => ("message", message.as_str()),
        (None, prompt) => ("prompt", prompt.as_deref().unwrap_or_default()),
    };
    let (mut size, mut left, mut blocked, mut rendered) =
        (0_i64, users, BTreeMap::<&str, (u64, Vec<String>)>::new(), None);
    let mut last_user: Option<String> = None;
    loop {
        let most = left.min(PAGE);
        let page = store::slots::audience(conn, last_user.as_deref(), user, plan, most).await?;
        left -= most;
        let ids: Vec<&str> = page.iter().map(String::as_str).collect();
        let eligibilities = proactive::eligibility::read(conn, settings, &ids).await?;
        for id in ids {
            let Some(eligibility) = eligibilities.get(id) else { continue };
            size += 1;
            let text = duty::filled(moment, definition, &eligibility.user, text);
            let text = match content.message {
                Some(_) => duty::converted(settings, definition, &text),
                None => WhatsappText::as_written(text),
            };
            let variables = duty::variables(moment, definition, &eligibility.user);
            let assessment = proactive::assessment::of(Some(eligibility), &text, variables.as_ref());
            if let Some(reason) = assessment.blocked {
                let (count, named) = blocked.entry(reason.as_str()).or_default();
                *count += 1;
                named.extend((named.len() < NAMED).then(|| id.to_owned()));
            }
            if rendered.is_none() && !assessment.chunks.is_empty() {
                rendered = Some(render(id, definition, variables, assessment));
            }
        }
        let is_full = i64::try_from(page.len()).is_ok_and(|found| found == most);
        last_user = page.into_iter().last();
        if !is_full || left == 0 {
            break;
        }
    }
    let is_all = match (left, last_user.as_deref()) {
        (0, Some(last)) => store::slots::audience(conn, Some(last), user, plan, 1).await?.is_empty(),
        _ => true,
    };
    let about =
        if is_all { None } else { Some(store::slots::audience_estimate(conn, plan).await?.max(size)) };
    let blocked: BTreeMap<_, _> = blocked
        .into_iter()
        .map(|(reason, (count, users))| (reason, json!({ "count": count, "users": users })))
        .collect();
    Ok(json!({
        "schedule": schedule.name, "hash": &schedule.hash[..12], "next": upcoming(schedule, now, slots),
        "audience": is_all.then_some(size), "audienceAbout": about, "lookedAt": size,
        "blocked": blocked, "content": said, "format": content.format(settings.agent.format), "rendered": rendered,
    }))
}

/// What the first one of an audience would get, chunk by chunk. Of a prompt it is what the agent is asked.
fn render(id: &str, definition: &Definition, variables: Option<Value>, assessment: Assessment) -> Value {
    if let Some(template) = definition.template.as_ref().filter(|_| assessment.as_template) {
        return json!({ "for": id, "template": { "contentSid": template.content_sid, "variables": variables } });
    }
    let chunks: Vec<String> = assessment.chunks.into_iter().map(|chunk| chunk.body).collect();
    json!({ "for": id, "chunks": chunks })
}

/// The next slots in the schedule's time and in UTC, with a note where clocks change.
fn upcoming(schedule: &Schedule, now: DateTime<Utc>, number: usize) -> Vec<String> {
    let slots = moments::next(&schedule.cron, schedule.zone, now, number);
    let mut offset_before = None;
    let mut shown = Vec::new();
    for slot in slots {
        let local = slot.with_timezone(&schedule.zone);
        let offset = local.format("%z").to_string();
        let changed = offset_before.as_ref().is_some_and(|before| *before != offset);
        let changed = changed.then_some("clocks have changed since the slot before");
        let notes = [changed, moments::note(&schedule.cron, schedule.zone, slot)];
        let notes: String = notes.iter().flatten().map(|note| format!("  {note}")).collect();
        shown.push(format!("{}  ({}){notes}", local.format("%a %F %T %Z"), slot.format("%F %TZ")));
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
