//! A server of its own for a test that stops or kills it: nobody else uses it, and it keeps its address and its data until the
//! test is over.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::cluster::{ClusterSettings, PrivatePostgres};
use crate::process::is_alive;
use crate::schema::Schema;
use crate::test_server::{self, blocking};

const NAME: &str = "cloudybot_scratch";

/// A running or stopped server with one database. It takes about a second to make.
#[derive(Debug)]
pub struct ScratchCluster {
    settings: ClusterSettings,
    /// Held while the server is down too, so that whatever happens to this process its server goes with it.
    share: Arc<PrivatePostgres>,
    url: String,
}

impl ScratchCluster {
    /// A fresh server whose database has these tables and functions.
    ///
    /// # Panics
    /// When there is no server, with the remedies, or when the schema fails: no test can go on from there.
    pub async fn create(schema: &Schema<'_>) -> Self {
        let cluster = Self::empty().await;
        schema.build(&mut cluster.connect().await).await;
        cluster
    }

    /// A fresh server whose database has no tables.
    ///
    /// # Panics
    /// As [`ScratchCluster::create`].
    pub async fn empty() -> Self {
        let settings = ClusterSettings { durable: false, ..ClusterSettings::new(new_folder(), NAME) };
        let share = start(settings.clone()).await;
        let cluster = Self { settings, url: share.url(), share: Arc::new(share) };
        // Without it a killed server forgets the commits of its last half second, like a machine that lost its power.
        let statement = "ALTER DATABASE cloudybot_scratch SET synchronous_commit = on";
        cluster.connect().await.execute(statement).await.expect("the owner may set this");
        cluster
    }

    /// Its address: the same after every start.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How to connect to it.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        test_server::connect_options(&self.url)
    }

    /// A new pool of a few connections, made when they are needed, for the runtime that calls.
    #[must_use]
    pub async fn pool(&self) -> PgPool {
        test_server::pool_options().connect_lazy_with(self.connect_options())
    }

    /// Stops the server as an administrator would: clients are disconnected, and find no server.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&self) {
        let share = Arc::clone(&self.share);
        blocking(move || share.postmaster().stop()).await.expect("the scratch server stops");
    }

    /// Ends the server as a crash would. What was committed is there after the next start.
    pub async fn kill(&self) {
        let share = Arc::clone(&self.share);
        blocking(move || share.postmaster().end_at_once(Signal::KILL)).await;
    }

    /// Starts the server after [`ScratchCluster::stop`] or [`ScratchCluster::kill`].
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&self) {
        start(self.settings.clone()).await;
    }

    /// A standby of this server, which is stopped for a moment; it is kept in step with every commit from here on. These variables are in its
    /// environment.
    ///
    /// # Panics
    /// When there is none after a minute.
    pub async fn standby(&self, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<(String, String)> = environment.iter().map(owned).collect();
        let settings = ClusterSettings { durable: false, ..ClusterSettings::new(new_folder(), NAME) };
        let (primary, of_standby) = (Arc::clone(&self.share), settings.clone());
        let share = blocking(move || {
            primary
                .start_standby(&of_standby, NAME, &environment)
                .unwrap_or_else(|error| panic!("starting a standby: {error}"))
        })
        .await;
        let mut conn = self.connect().await;
        let statement = "ALTER SYSTEM SET synchronous_standby_names = 'cloudybot_scratch'";
        conn.execute(statement).await.expect("the owner may set this");
        conn.execute("SELECT pg_reload_conf()").await.expect("the owner may do this");
        let is_in_step = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        for _ in 0..6000 {
            if sqlx::query_scalar(is_in_step).fetch_one(&mut conn).await.expect("the primary is there") {
                return Self { settings, url: share.url(), share: Arc::new(share) };
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the standby does not follow");
    }

    /// Makes a standby the server that takes writes, and has it wait for no other one.
    ///
    /// # Panics
    /// When it does not become that within a minute.
    pub async fn promote(&self) {
        let mut conn = self.connect().await;
        let promoted: bool = sqlx::query_scalar("SELECT pg_promote(TRUE, 60)")
            .fetch_one(&mut conn)
            .await
            .expect("the standby answers");
        assert!(promoted, "the standby stays one");
        let statement = "ALTER SYSTEM RESET synchronous_standby_names";
        conn.execute(statement).await.expect("the owner may set this");
        conn.execute("SELECT pg_reload_conf()").await.expect("the owner may do this");
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.connect_options()).await.expect("the scratch server can be reached")
    }
}

impl Drop for ScratchCluster {
    fn drop(&mut self) {
        // Nobody needs its data, so nobody waits until they are written.
        self.share.postmaster().end_at_once(Signal::QUIT);
        let _ = fs::remove_dir_all(self.share.folder());
    }
}

async fn start(settings: ClusterSettings) -> PrivatePostgres {
    blocking(move || {
        PrivatePostgres::start(&settings).unwrap_or_else(|error| panic!("starting a scratch server: {error}"))
    })
    .await
}

/// A folder for this process alone. Those of processes that are gone are removed on the way.
fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let all = env::temp_dir();
    if number == 0 {
        let entries = fs::read_dir(&all).into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in entries.filter(|folder| is_left_over(folder)) {
            let _ = fs::remove_dir_all(folder);
        }
    }
    all.join(format!("{NAME}_{}_{number}", process::id()))
}

fn is_left_over(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let ids = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('_'));
    let owner = ids.and_then(|ids| ids.split('_').next()?.parse().ok()).and_then(Pid::from_raw);
    owner.is_some_and(|owner| !is_alive(owner))
}
