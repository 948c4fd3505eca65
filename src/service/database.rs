//! The database: the one that is given, or a private cluster, and the connections of each part.

use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use channel::administration::status::Refusal;
use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use queue::connections::{self, Connections};
use queue::pooler::{self, PoolerError, Route};
use queue::session_health::Failures;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use store::migrations::MigrationError;

use crate::config::{Config, Environment};

/// Whoever waits at a terminal waits so long for a connection.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);

/// A database that cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Away {
    /// Nobody listens there.
    #[error("the database at {0} cannot be reached: {1}")]
    Unreachable(String, io::Error),
    /// Its server takes us for nobody, or has no such database.
    #[error("the database at {0} refuses us: {1}")]
    Refused(String, String),
    /// It says nothing.
    #[error("the database at {0} does not answer within {1:?}")]
    Mute(String, Duration),
    /// Its server is there and cannot do it now: a full disk, say.
    #[error("the database at {0} cannot be asked: {means}: {2}", means = .1.means)]
    Unwell(String, Refusal, sqlx::Error),
    /// Something else.
    #[error("the database at {0} cannot be asked: {1}")]
    Other(String, sqlx::Error),
}

impl Away {
    /// What helps.
    pub(crate) const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(..) | Self::Mute(..) => {
                "look whether its server runs, and whether DATABASE_URL names its address"
            }
            Self::Refused(..) => "look at the user, the password and the database that DATABASE_URL names",
            Self::Unwell(_, refusal, _) => refusal.remedy,
            Self::Other(..) => "look at DATABASE_URL, and at the log of its server",
        }
    }
}

/// Connects once, and says why where that fails.
pub(crate) async fn reach(options: &PgConnectOptions, patience: Duration) -> Result<(), Away> {
    let place = place(options);
    let connected = tokio::time::timeout(patience, PgConnection::connect_with(options)).await;
    match connected {
        Ok(Ok(connection)) => {
            // Whether it says goodbye is its own affair.
            let _ = tokio::time::timeout(patience, connection.close()).await;
            Ok(())
        }
        Ok(Err(sqlx::Error::Io(error))) => Err(Away::Unreachable(place, error)),
        Ok(Err(sqlx::Error::Database(error))) if is_about_us(error.code().as_deref()) => {
            Err(Away::Refused(place, error.message().to_owned()))
        }
        Ok(Err(error)) => Err(match Refusal::of(&error) {
            Some(refusal) => Away::Unwell(place, refusal, error),
            None => Away::Other(place, error),
        }),
        Err(_) => Err(Away::Mute(place, patience)),
    }
}

/// Whether a server takes us for nobody, or has no such database, which does not pass by itself.
fn is_about_us(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("28") || code == "3D000" || code == "42501")
}

/// Where a database is, without its password.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}, database {database}", socket.display()),
        None => format!("{}:{}, database {database}", options.get_host(), options.get_port()),
    }
}

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
            let settings = ClusterSettings {
                // Production has a database of its own; its configuration was refused without one.
                fetch: config.environment == Environment::Development,
                ..ClusterSettings::new(keys.data_directory.join("postgres"), "cloudybot")
            };
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

    /// Opens the database for a command that looks at or changes what is there: it makes no private cluster.
    pub(crate) async fn open_existing(config: &Config) -> anyhow::Result<Self> {
        if !Self::is_there(config) {
            let folder = &config.keys.database.data_directory;
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            anyhow::bail!(
                "there is no database here: DATABASE_URL is not set, and {} has no private one; run the command in the folder of the service, or set \
                 DATABASE_URL (`cloudybot run` makes a private database)",
                folder.display()
            );
        }
        Self::open(config).await
    }

    /// The same, once it has answered: whoever waits at a terminal is told why not within seconds.
    pub(crate) async fn open_answering(config: &Config) -> anyhow::Result<Self> {
        let database = Self::open_existing(config).await?;
        if let Err(away) = database.reach(COMMAND_PATIENCE).await {
            let remedy = away.remedy();
            return Err(anyhow::Error::new(away).context(format!("the database cannot be asked: {remedy}")));
        }
        Ok(database)
    }

    /// Connects once, and says why where that fails.
    pub(crate) async fn reach(&self, patience: Duration) -> Result<(), Away> {
        reach(&self.options, patience).await
    }

    /// Waits for a database that is away, as at the start of a machine, and says at once what it waits for.
    pub(crate) async fn wait_for_answer(&self, patience: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut is_told = false;
        while let Err(away) = self.reach(COMMAND_PATIENCE).await {
            // A wrong password does not become right.
            if begun.elapsed() >= patience || matches!(away, Away::Refused(..)) {
                let remedy = away.remedy();
                return Err(
                    anyhow::Error::new(away).context(format!("the database cannot be used: {remedy}"))
                );
            }
            if !is_told {
                tracing::warn!("Waiting for the database, for {} s at most: {away}", patience.as_secs());
                is_told = true;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        place(&self.options)
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
