//! `cloudybot schedules …`: operators' cron duties, at a terminal.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use queue::Queue;
use queue::connections::Connections;
use store::ids::UserId;

use super::files::Files;
use super::switching::Switch;
use super::{findings, listing, preview, switching, trial};
use crate::app;
use crate::commands::output::{UNANSWERED, actor, confirm_at_terminal, print, print_lines};
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Say what is wrong with the files, or with one that is not in place yet, and what would surprise; needs no database, and asks it if it is there
    Check {
        /// One file, wherever it is, by whose stem the schedule is named: tells its next slots and its audience too, and changes nothing
        file: Option<PathBuf>,
    },
    /// Every schedule: whether it is on and why not, its next and last slots
    List {
        /// Of how many users of a slot, the first ones of its audience, it is counted what became of them
        #[arg(long, default_value_t = listing::USUAL_USERS, value_parser = clap::value_parser!(i64).range(1..))]
        users: i64,
    },
    /// What a schedule would do: its next slots, its audience; sends nothing
    Preview {
        /// The file's stem
        name: String,
        /// How many slots
        #[arg(long, default_value_t = preview::USUAL_SLOTS, value_parser = clap::value_parser!(i64).range(preview::SLOTS))]
        slots: i64,
        /// How many users of the audience are looked at, the first ones
        #[arg(long, default_value_t = preview::USUAL_USERS, value_parser = clap::value_parser!(i64).range(1..))]
        users: i64,
    },
    /// Fire a schedule now, recorded as manual; asks at a terminal before it writes to many
    Fire {
        /// The file's stem
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Only if it writes to so many people now; above 2,000, where they are estimated, a tenth more or less is the same
        #[arg(long, value_name = "PEOPLE")]
        expected: Option<i64>,
    },
    /// Try a schedule with one user, now and whoever its audience is; recorded as a test, metered as any message
    Test {
        /// The file's stem
        name: String,
        /// CloudyBot's id of the user
        #[arg(long)]
        user: UserId,
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
        /// Why, for whoever looks
        #[arg(long)]
        reason: Option<String>,
    },
}

/// How long `check`, which needs no database, waits for one.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: SchedulesCommand, as_json: bool) -> anyhow::Result<()> {
    match &command {
        SchedulesCommand::Check { file: Some(file) } => return trial::check(config, file, as_json).await,
        SchedulesCommand::Check { file: None } => return check(config, as_json).await,
        _ => {}
    }
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        SchedulesCommand::Check { .. } => {}
        SchedulesCommand::List { users } => list(config, &pg, users, as_json).await?,
        SchedulesCommand::Preview { name, slots, users } => {
            let files = read_files(config).await;
            let schedule = files.find(&name, &config.plans)?;
            let keys = app::secret_keys(config, &pg).await?;
            let settings = app::settings(config, config.keys.server.listen, keys);
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let seen = preview::preview(&mut conn, &settings, schedule, slots, users).await?;
            let text = seen.shown()?;
            print(as_json, &seen, || text)?;
        }
        SchedulesCommand::Fire { name, yes, expected } => {
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let audience = switching::audience(&pg, &name).await?;
            if audience.people > 1 && expected.is_none() {
                confirm_at_terminal(&format!("{name} writes to {audience} now."), yes)?;
            }
            // What was asked is what is done, whoever has come since.
            let expected = expected.or(Some(audience.people).filter(|_| !yes));
            let fired = switching::fire(&queue, &pg, &name, expected, &actor()).await?;
            queue.flush_notifications().await;
            print_lines(as_json, &fired)?;
        }
        SchedulesCommand::Test { name, user } => {
            let queue = Queue::open(pg.clone(), config.keys.queue.clone());
            let tested = switching::test(&queue, &pg, &name, &user, &actor()).await?;
            queue.flush_notifications().await;
            print_lines(as_json, &tested)?;
        }
        SchedulesCommand::Enable { name } => switch(&pg, &name, Switch::On, as_json).await?,
        SchedulesCommand::Disable { name, reason } => {
            switch(&pg, &name, Switch::Off { reason: reason.as_deref() }, as_json).await?;
        }
    }
    Ok(())
}

async fn read_files(config: &Config) -> Files {
    Files::read(&config.keys.schedules.directory, &config.plans).await
}

async fn list(config: &Config, pg: &Connections, users: i64, as_json: bool) -> anyhow::Result<()> {
    let files = read_files(config).await;
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let (list, zones) = listing::list(&mut conn, files, users).await.context(UNANSWERED)?;
    print(as_json, &list, || zones.lines() + &listing::shown(&list))
}

async fn check(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let Files { folder, findings: mut found, unreadable } = read_files(config).await;
    if let Some(error) = unreadable {
        anyhow::bail!(error);
    }
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
    print_lines(as_json, &found)?;
    let wrong = found.wrong_files.len();
    anyhow::ensure!(wrong == 0, "{} must be mended", findings::files(wrong));
    Ok(())
}

async fn switch(pg: &Connections, name: &str, to: Switch<'_>, as_json: bool) -> anyhow::Result<()> {
    let switched = switching::switch(pg, name, to, &actor()).await?;
    print_lines(as_json, &switched)
}
