//! The server that holds all test databases: one fast cluster per checkout, or `TEST_DATABASE_URL`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::cluster::{ClusterSettings, PrivatePostgres};

/// Long enough for the next test binary to start, short enough to be gone when one looks.
const LINGER: Duration = Duration::from_secs(10);

/// Connections of a test's pool.
const POOL_SIZE: u32 = 8;

/// How often a statement is tried whose database is busy for a moment, and how long in between.
const BUSY_TRIES: u32 = 400;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// What PostgreSQL answers while somebody is connected to a template, or copies from it (`object_in_use`).
const OBJECT_IN_USE: &str = "55006";

/// A connection that makes and drops databases. It belongs to the runtime of one test.
pub(crate) struct TestServer {
    pub(crate) conn: PgConnection,
}

impl TestServer {
    pub(crate) async fn connect() -> Self {
        let url = blocking(|| url_of("postgres")).await;
        let conn = PgConnection::connect(&url).await;
        Self { conn: conn.unwrap_or_else(|error| panic!("connecting to the tests' server: {error}")) }
    }

    pub(crate) async fn has_database(&mut self, name: &str) -> bool {
        let found =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(name);
        found.fetch_one(&mut self.conn).await.expect("the server lists its databases")
    }

    /// Drops a database whatever still uses it. Another process may be quicker, which is as good.
    pub(crate) async fn drop_database(&mut self, name: &str) {
        let _ =
            self.conn.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await;
    }

    /// Runs a statement that needs a name in it.
    pub(crate) async fn run(&mut self, statement: String) {
        for _ in 0..BUSY_TRIES {
            match self.conn.execute(AssertSqlSafe(statement.clone())).await {
                Ok(_) => return,
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(OBJECT_IN_USE) => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => panic!("{statement}: {error}"),
            }
        }
        panic!("{statement}: the database stays busy");
    }
}

/// The address of one of the server's databases. Starts the server if need be, which blocks.
pub(crate) fn url_of(database: &str) -> String {
    match env::var("TEST_DATABASE_URL") {
        Ok(given) if !given.is_empty() => with_database(&given, database),
        _ => own_cluster().url_of(database),
    }
}

/// Pools of a test are small: the server has many tests to serve.
pub(crate) fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().max_connections(POOL_SIZE)
}

/// How to connect to an address that this crate has made.
pub(crate) fn connect_options(url: &str) -> PgConnectOptions {
    url.parse().unwrap_or_else(|error| panic!("the tests' server has no valid address: {error}"))
}

/// Runs what blocks, away from the runtime's threads; its panics are the caller's.
pub(crate) async fn blocking<T: Send + 'static>(deed: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(deed).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Shared by all tests of a process, and through its lease by all test processes of the checkout.
fn own_cluster() -> &'static PrivatePostgres {
    static CLUSTER: OnceLock<PrivatePostgres> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let folder = target_folder().join("tmp/postgres");
        let settings = ClusterSettings {
            durable: false,
            linger: LINGER,
            ..ClusterSettings::new(folder, "cloudybot_tests")
        };
        PrivatePostgres::start(&settings)
            .unwrap_or_else(|error| panic!("starting the tests' server: {error}"))
    })
}

/// In the checkout, so that two checkouts do not meet.
fn target_folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let workspace = workspace.expect("the crate lies two folders deep in the workspace");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(target)
}

/// Another database on the server of an address; its parameters stay.
fn with_database(url: &str, database: &str) -> String {
    let (base, parameters) = match url.split_once('?') {
        Some((base, parameters)) => (base, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let host_at = base.find("://").map_or(0, |at| at + "://".len());
    let host_end = base[host_at..].find('/').map_or(base.len(), |at| host_at + at);
    format!("{}/{database}{parameters}", &base[..host_end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_address_leads_to_every_database_of_its_server() {
        for given in ["postgres://me:pw@host:1234/mine", "postgres://me:pw@host:1234"] {
            assert_eq!(with_database(given, "other"), "postgres://me:pw@host:1234/other");
        }
        assert_eq!(
            with_database("postgres://me@localhost/mine?host=%2Frun", "other"),
            "postgres://me@localhost/other?host=%2Frun"
        );
    }
}
