//! `cloudybot schedules …`: operators' cron duties, at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::schedules::schedule_file::{self, Folder, Schedule};
use clap::Subcommand;
use queue::Queue;
use serde::Serialize;
use serde_json::{Value, json};

use super::findings::Findings;
use super::{listing, preview, switching};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::zone_rules::ZoneReport;

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Say what is wrong with the files, and what would surprise; needs no database, and asks it for users if it is there
    Check,
    /// Every schedule: whether it is on and why not, its next and last slots
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
    /// Try a schedule with one user, now and whoever its audience is; recorded as a test, metered as any message
    Test {
        /// The file's stem
        name: String,
        /// CloudyBot's id of the user
        #[arg(long)]
        user: String,
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

/// How long `check`, which needs no database, waits for one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: SchedulesCommand, as_json: bool) -> anyhow::Result<()> {
    let directory = &config.keys.schedules.directory;
    let folder = schedule_file::read_folder(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    if let SchedulesCommand::Check = command {
        return check(config, &folder, as_json).await;
    }
    let database = Database::open(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        SchedulesCommand::Check => {}
        SchedulesCommand::List { users } => {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let zones = ZoneReport::read(&mut conn).await.context(UNANSWERED)?;
            let listed = listing::list(&mut conn, &folder.schedules, users).await.context(UNANSWERED)?;
            print(as_json, &listing::with_zones(&listed, &zones)?, || {
                zones.lines() + &listing::shown(&listed)
            })?;
        }
        SchedulesCommand::Preview { name, slots, users } => {
            let schedule = find(&folder, &name)?;
            let keys = app::secret_keys(config, &pg).await?;
            let settings = app::settings(config, config.keys.server.listen, keys);
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let seen = preview::preview(&mut conn, &settings, schedule, slots, users).await?;
            let text = seen.shown()?;
            print(as_json, &seen, || text)?;
        }
        SchedulesCommand::Fire { name } => {
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let slot = switching::fire(&queue, &pg, &name).await?;
            queue.flush_notifications().await;
            print_lines(as_json, &json!({ "fired": name, "slot": slot }))?;
        }
        SchedulesCommand::Test { name, user } => {
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let slot = switching::test(&queue, &pg, &name, &user).await?;
            queue.flush_notifications().await;
            print_lines(as_json, &json!({ "tested": name, "user": user, "slot": slot }))?;
        }
        SchedulesCommand::Enable { name } => switch(&pg, &name, true, as_json).await?,
        SchedulesCommand::Disable { name } => switch(&pg, &name, false, as_json).await?,
    }
    Ok(())
}

/// What the folder holds of this name.
fn find<'a>(folder: &'a Folder, name: &str) -> anyhow::Result<&'a Schedule> {
    let wrong: Vec<String> =
        folder.errors.iter().filter(|error| error.name == name).map(ToString::to_string).collect();
    let found = folder.schedules.iter().find(|schedule| schedule.name == name);
    found.with_context(|| match wrong.is_empty() {
        true => format!("there is no schedule {name:?} in the folder"),
        false => wrong.join("\n"),
    })
}

async fn check(config: &Config, folder: &Folder, as_json: bool) -> anyhow::Result<()> {
    let mut found = Findings::of_files(folder, &config.plans);
    let asked = tokio::time::timeout(PATIENCE, async {
        anyhow::ensure!(Database::is_there(config), "there is none");
        let database = Database::open(config).await?;
        let pg = database.pool(1, PATIENCE);
        found.add_unknown_users(&mut *pg.acquire().await?, &folder.schedules).await?;
        anyhow::Ok(())
    });
    if !matches!(asked.await, Ok(Ok(()))) {
        found.warnings.push("users were not looked for: no database answers".to_owned());
    }
    print_lines(as_json, &serde_json::to_value(&found)?)?;
    let files: std::collections::BTreeSet<&str> =
        found.wrong.iter().filter_map(|wrong| wrong.split([',', ':']).next()).collect();
    anyhow::ensure!(files.is_empty(), "{} files are wrong", files.len());
    Ok(())
}

async fn switch(
    pg: &queue::connections::Connections,
    name: &str,
    enabled: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let actor = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    switching::switch(pg, name, enabled, &actor).await?;
    print_lines(as_json, &json!({ "schedule": name, "enabled": enabled }))
}

fn print_lines(as_json: bool, answer: &Value) -> anyhow::Result<()> {
    print(as_json, answer, || crate::users_command::lines(answer, ""))
}

#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
fn print(as_json: bool, answer: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else {
        print!("{}", text());
    }
    Ok(())
}
