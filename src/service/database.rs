//! The database: the one that is given, or a private cluster, and the connections of each part.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use queue::connections::{self, Connections};
use queue::pooler::{self, PoolerError, Route};
use queue::session_health::Failures;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::migrations::MigrationError;

use crate::config::Config;

/// An open database.
pub(crate) struct Database {
    options: PgConnectOptions,
    /// How to reach the server itself; `None`: `options` do.
    direct: Option<PgConnectOptions>,
    /// Of all pools together: what fails on one may fail on the others.
    failures: Failures,
    /// The private cluster runs for as long as this is held.
    pub(crate) private: Option<PrivatePostgres>,
}

impl Database {
    /// Finds or starts the database; connects to nothing yet.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let keys = &config.keys.database;
        let (url, private) = if keys.url.expose_secret().is_empty() {
            let settings = ClusterSettings::new(keys.data_directory.join("postgres"), "cloudybot");
            let private = tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings)).await??;
            (private.url().into(), Some(private))
        } else {
            (keys.url.clone(), None)
        };
        let options = options("DATABASE_URL", &url)?;
        let direct = Some(&keys.direct_url).filter(|url| !url.expose_secret().is_empty());
        let direct = direct.map(|url| self::options("database.direct_url", url)).transpose()?;
        Ok(Self { options, direct, failures: Failures::default(), private })
    }

    /// Whether there is one, so that opening it makes none.
    pub(crate) fn is_there(config: &Config) -> bool {
        let keys = &config.keys.database;
        !keys.url.expose_secret().is_empty() || keys.data_directory.join("postgres").exists()
    }

    /// Looks at how the database is reached before anything else is done with it. `patience`: how long to wait for a connection.
    pub(crate) async fn check_path(&self, patience: Duration) -> Result<Route, PoolerError> {
        if self.private.is_some() {
            return Ok(Route::Direct);
        }
        pooler::check(&self.options, self.direct.as_ref(), patience).await
    }

    /// A pool that connects when it is used. `patience`: how long to wait for a free connection.
    pub(crate) fn pool(&self, connections: u32, patience: Duration) -> Connections {
        self.connect_lazily(connections::options(), connections, patience)
    }

    /// Makes or changes the tables and functions.
    pub(crate) async fn bring_up_to_date(&self) -> anyhow::Result<()> {
        let done = store::migrations::run(&self.direct()).await;
        let what = match (&done, &self.private) {
            (Err(MigrationError::Former), Some(private)) => {
                format!(
                    "the private database cannot be used: remove the folder {}",
                    private.folder().display()
                )
            }
            (Err(MigrationError::Former), None) => {
                "the database cannot be used: make an empty one, and name it in DATABASE_URL".to_owned()
            }
            _ => "the database cannot be brought up to date".to_owned(),
        };
        done.context(what)
    }

    /// A connection for migrations, whose lock a pooler in transaction mode would leave to strangers.
    pub(crate) fn direct(&self) -> PgPool {
        let options = self.direct.as_ref().unwrap_or(&self.options).clone();
        PgPoolOptions::new().max_connections(1).connect_lazy_with(options)
    }

    /// The pool of the queue's own statements where workers run.
    pub(crate) fn queue_pool(&self, connections: u32, patience: Duration) -> Connections {
        self.connect_lazily(connections::for_workers(), connections, patience)
    }

    fn connect_lazily(&self, options: PgPoolOptions, connections: u32, patience: Duration) -> Connections {
        let pool = options.max_connections(connections).acquire_timeout(patience);
        let pool = Connections::new(pool.connect_lazy_with(self.options.clone()), self.failures.clone());
        match &self.direct {
            Some(direct) => pool.with_direct(direct.clone()),
            None => pool,
        }
    }
}

fn options(key: &str, url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .with_context(|| format!("{key} must look like postgres://user:password@host/database"))?;
    // PostgreSQL is exact without extra digits since version 12, and a pooler refuses what it does not know.
    Ok(options.application_name("cloudybot").extra_float_digits(None))
}
