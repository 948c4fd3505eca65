//! The database: whether it can be used, and what it tells.

use std::time::Duration;

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::administration::processes::PoolView;
use queue::connections::Connections;
use queue::pooler::Route;

use super::keys;
use crate::config::Config;
use crate::database::Database;
use crate::status;

/// A database that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// All that is to be said of it; what it tells itself only where it is in order.
pub(super) async fn look(config: &Config, every_allowance: bool) -> (Vec<Finding>, Vec<PoolView>) {
    let (path, database) = match reach(config).await {
        Ok(reached) => reached,
        Err(error) => {
            let mut findings = status::of_files(&config.keys.schedules.directory, &config.plans).await;
            findings.push(error);
            return (findings, Vec::new());
        }
    };
    let pg = database.pool(2, PATIENCE);
    let (mut findings, pools) = status::of_all(&pg, &status::Settings::of(config)).await;
    match in_order(config, &database, path, &pg).await {
        Ok(text) => {
            let fine = findings
                .iter_mut()
                .find(|one| one.subject == Subject::Database && !one.urgency.needs_a_person());
            if let Some(fine) = fine {
                fine.text = format!("{}; {text}", fine.text);
            }
            findings.push(keys::secret_keys(config, &pg).await);
            findings.extend(keys::allowances(&pg, every_allowance).await.ok());
        }
        Err(wrong) => {
            // Of tables that are not there nothing else can be told.
            findings.retain(|one| one.subject != Subject::Database);
            findings.push(wrong);
        }
    }
    (findings, pools)
}

async fn reach(config: &Config) -> Result<(Route, Database), Finding> {
    let wrong = |text: String, remedy: &str| Finding::of(Urgency::Now, Subject::Database, text, remedy);
    let database = Database::open_existing(config)
        .await
        .map_err(|error| wrong(format!("{error:#}"), "start the service once, or set DATABASE_URL"))?;
    database.reach(PATIENCE).await.map_err(|away| wrong(away.to_string(), away.remedy()))?;
    let path = database.check_path(PATIENCE).await;
    let path = path.map_err(|error| {
        wrong(format!("{:#}", anyhow::Error::new(error)), "see `[database]` in config.toml")
    })?;
    Ok((path, database))
}

/// Its settings, tables and connections.
async fn in_order(
    config: &Config,
    database: &Database,
    path: Route,
    pg: &Connections,
) -> Result<String, Finding> {
    let wrong = |text: String, remedy: &str| Finding::of(Urgency::Now, Subject::Database, text, remedy);
    let away = |error: &dyn std::fmt::Display| {
        wrong(format!("does not answer: {error}"), "check DATABASE_URL and database.direct_url")
    };
    let max: String =
        sqlx::query_scalar("SHOW max_connections").fetch_one(pg.raw()).await.map_err(|error| away(&error))?;
    // Its words have the remedy.
    store::requirements::check(pg.raw())
        .await
        .map_err(|error| wrong(error.to_string(), "then `cloudybot check` again"))?;
    let missing = store::migrations::missing(&database.direct()).await.map_err(|error| away(&error))?;
    let keys = &config.keys.database;
    // One for LISTEN, one for /readyz.
    let wanted = keys.receiver_connections
        + keys.worker_connections
        + keys.queue_connections
        + keys.api_connections
        + 2;
    let allowed: u32 = max.parse().unwrap_or(u32::MAX);
    if wanted > allowed {
        let text = format!("one process may open {wanted} connections, the server allows {allowed}");
        return Err(wrong(text, "lower database.*_connections or raise max_connections"));
    }
    if missing > 0 {
        let text = format!("{missing} changes of the tables or functions are missing");
        return Err(wrong(text, "run `cloudybot migrate`, or just start the service"));
    }
    let place = database.private.as_ref().map_or_else(
        || "up to date".to_owned(),
        |private| format!("private, PostgreSQL {}, up to date", private.version()),
    );
    let way = match path {
        Route::Direct => "",
        Route::Pooled => ", through a pooler in transaction mode, past which database.direct_url leads",
    };
    Ok(format!("{}, {place}{way}; a process opens up to {wanted} of {allowed} connections", database.place()))
}
