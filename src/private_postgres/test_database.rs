//! A fresh, migrated database for each test, on one fast cluster per checkout, or on `TEST_DATABASE_URL` (a server where databases may
//! be created).
//!
//! Migrations run once, in a template; a test's database is a copy of it. Databases of test processes that are gone are dropped by
//! the next one.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use crate::cluster::{PrivatePostgres, Settings};

/// Long enough for the next test binary to start, short enough to be gone when one looks.
const LINGER: Duration = Duration::from_secs(10);

/// Connections of a test's pool.
const POOL_SIZE: u32 = 8;

/// Serialises the making of templates and the clean-up, over all test processes.
const MAINTENANCE_LOCK: i64 = 0x7465_7374;

/// A database that belongs to one test.
pub struct TestDatabase {
    options: PgConnectOptions,
    url: String,
}

impl TestDatabase {
    /// A fresh database with these migrations.
    ///
    /// # Panics
    /// When there is no server, with its remedies, or when a migration fails: no test can go on from there.
    pub async fn create(migrator: &Migrator) -> Self {
        let mut server = Server::connect().await;
        let template = server.template(migrator).await;
        server.copy(&template).await
    }

    /// A fresh database without any tables.
    ///
    /// # Panics
    /// As [`TestDatabase::create`].
    pub async fn empty() -> Self {
        Server::connect().await.copy("template1").await
    }

    /// Its address, for other processes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How to connect to it.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A new pool of a few connections, for the runtime that calls.
    #[must_use]
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(POOL_SIZE).connect_lazy_with(self.options.clone())
    }
}

/// The server that holds all test databases.
struct Server {
    /// The address of any of its databases, given the name.
    url_of: fn(&str) -> String,
    conn: PgConnection,
}

impl Server {
    async fn connect() -> Self {
        let url_of: fn(&str) -> String =
            if given_url().is_some() { url_on_given_server } else { url_on_own_cluster };
        // Starting a server blocks; it happens once.
        let url = tokio::task::spawn_blocking(move || url_of("postgres"))
            .await
            .expect("starting the tests' database");
        let conn = PgConnection::connect(&url)
            .await
            .unwrap_or_else(|error| panic!("connecting to the tests' database: {error}"));
        let mut server = Self { url_of, conn };
        static CLEANED: OnceLock<()> = OnceLock::new();
        if CLEANED.set(()).is_ok() {
            server.drop_left_overs().await;
        }
        server
    }

    /// The name of a database that has these migrations and nothing else.
    async fn template(&mut self, migrator: &Migrator) -> String {
        let name = template_name(migrator);
        if self.exists(&name).await {
            return name;
        }
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(MAINTENANCE_LOCK)
            .execute(&mut self.conn)
            .await
            .expect("locking the server");
        if !self.exists(&name).await {
            // Made under another name, so that a process killed half-way leaves no half template.
            let draft = format!("{name}_draft");
            self.run(format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await;
            self.run(format!("CREATE DATABASE {draft}")).await;
            let mut conn =
                PgConnection::connect(&(self.url_of)(&draft)).await.expect("connecting to the template");
            migrator.run(&mut conn).await.unwrap_or_else(|error| panic!("the migrations fail: {error}"));
            conn.close().await.expect("closing the template");
            self.run(format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
        }
        sqlx::query("SELECT pg_advisory_unlock($1)")
            .bind(MAINTENANCE_LOCK)
            .execute(&mut self.conn)
            .await
            .expect("unlocking the server");
        name
    }

    async fn copy(mut self, template: &str) -> TestDatabase {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        self.run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let url = (self.url_of)(&name);
        let options = PgConnectOptions::from_str(&url).expect("the address was made from a valid one");
        let _ = self.conn.close().await;
        TestDatabase { options, url }
    }

    async fn exists(&mut self, name: &str) -> bool {
        let found =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(name);
        found.fetch_one(&mut self.conn).await.expect("listing databases")
    }

    /// Drops the databases of test processes that are gone. Another process may be at it too; whoever is first does it.
    async fn drop_left_overs(&mut self) {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%\\_%'")
                .fetch_all(&mut self.conn)
                .await
                .expect("listing databases");
        for name in names {
            let pid: Option<u32> = name.split('_').nth(1).and_then(|pid| pid.parse().ok());
            let alive = pid.is_none_or(|pid| {
                pid == std::process::id() || std::path::Path::new(&format!("/proc/{pid}")).exists()
            });
            if !alive {
                let _ = self
                    .conn
                    .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
                    .await;
            }
        }
    }

    /// A statement that needs a name in it. A template that is being copied by somebody else is busy for a moment.
    async fn run(&mut self, statement: String) {
        for _ in 0..200 {
            match self.conn.execute(AssertSqlSafe(statement.clone())).await {
                Ok(_) => return,
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55006") => {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
                Err(error) => panic!("{statement}: {error}"),
            }
        }
        panic!("{statement}: the database stays busy");
    }
}

fn given_url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())
}

fn url_on_given_server(database: &str) -> String {
    let given = given_url().expect("looked at before");
    let (base, query) = given.split_once('?').map_or((given.as_str(), ""), |(base, query)| (base, query));
    let authority_at = base.find("://").map_or(0, |at| at + 3);
    let authority_end = base[authority_at..].find('/').map_or(base.len(), |at| authority_at + at);
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{}/{database}{query}", &base[..authority_end])
}

fn url_on_own_cluster(database: &str) -> String {
    static CLUSTER: OnceLock<PrivatePostgres> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let settings =
            Settings { durable: false, linger: LINGER, ..Settings::new(cluster_folder(), "cloudybot_tests") };
        PrivatePostgres::start(&settings)
            .unwrap_or_else(|error| panic!("starting the tests' database: {error}"))
    });
    cluster.url_of(database)
}

/// In the checkout's target folder, so that two checkouts do not meet.
fn cluster_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target =
        target.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")));
    target.join("tmp").join("postgres")
}

/// Changes with every change of a migration.
fn template_name(migrator: &Migrator) -> String {
    let bytes = migrator.iter().flat_map(|migration| migration.checksum.iter());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("template_{hash:016x}")
}

/// A cluster of one test's own, which the test may stop and start again under the same address.
pub struct ScratchCluster {
    settings: Settings,
    running: Option<PrivatePostgres>,
    folder: PathBuf,
}

impl ScratchCluster {
    /// Makes and starts it.
    ///
    /// # Panics
    /// When there is no server, with its remedies.
    #[must_use]
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("scratch-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = cluster_folder().with_file_name(name);
        // Nothing may be lost by a stop, and a crash of the machine ends the test anyway.
        let settings = Settings { durable: false, ..Settings::new(folder.clone(), "scratch") };
        let mut cluster = Self { settings, running: None, folder };
        cluster.start_again();
        cluster
    }

    /// Its address; the same after every start.
    ///
    /// # Panics
    /// While it is stopped.
    #[must_use]
    pub fn url(&self) -> String {
        self.running.as_ref().expect("the cluster runs").url()
    }

    /// Stops the server; whoever is connected loses the connection. Returns when it is gone.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let pid_file = running.data_folder().join("postmaster.pid");
        // The last share is gone: the watcher stops the server.
        drop(running);
        while pid_file.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again with its data.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.running = Some(
            PrivatePostgres::start(&self.settings)
                .unwrap_or_else(|error| panic!("starting a cluster: {error}")),
        );
    }
}

impl Drop for ScratchCluster {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
