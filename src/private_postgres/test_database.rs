//! A fresh, migrated database for each test, on one fast cluster per checkout, or on `TEST_DATABASE_URL` (a server of this
//! machine's tests alone, where databases may be created).
//!
//! Migrations run once, in a template; a test's database is a copy of it, which takes some tens of milliseconds. It is dropped
//! when its test has passed and another one needs a database; those of test processes that are gone are dropped by the next
//! process.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{mem, thread};

use rustix::process::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};

use crate::process::is_alive;
use crate::schema::Schema;
use crate::test_server::{self, TestServer};

/// Serialises the making of templates over all test processes; any number that nothing else on the server uses.
const TEMPLATE_LOCK: i64 = 0x7465_7374;

/// A database that belongs to one test, and lives as long as this value or one of its pools.
#[derive(Debug)]
pub struct TestDatabase {
    options: PgConnectOptions,
    url: String,
    tenure: Arc<Tenure>,
}

impl TestDatabase {
    /// A fresh database with these tables and functions.
    ///
    /// # Panics
    /// When there is no server, with the remedies, or when the schema fails: no test can go on from there.
    pub async fn create(schema: &Schema<'_>) -> Self {
        let mut server = TestServer::connect().await;
        let template = template(&mut server, schema).await;
        copy(server, &template).await
    }

    /// A fresh database without any tables.
    ///
    /// # Panics
    /// As [`TestDatabase::create`].
    pub async fn empty() -> Self {
        copy(TestServer::connect().await, "template1").await
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

    /// A new pool of a few connections, made when they are needed, for the runtime that calls.
    #[must_use]
    pub async fn pool(&self) -> PgPool {
        let tenure = Arc::clone(&self.tenure);
        let options = test_server::pool_options().after_connect(move |_, _| {
            // Held by the pool, so that a test may keep that alone.
            let _ = &tenure;
            Box::pin(async { Ok(()) })
        });
        options.connect_lazy_with(self.options.clone())
    }
}

/// Ends with the last user of a database.
#[derive(Debug)]
struct Tenure {
    name: String,
}

/// Databases whose tests are over. Dropping needs a runtime, so the next test does it.
static FINISHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Drop for Tenure {
    fn drop(&mut self) {
        // What a failed test leaves may be looked at until the next run.
        if !thread::panicking() {
            FINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(mem::take(&mut self.name));
        }
    }
}

/// The name of a database that has this schema and nothing else.
async fn template(server: &mut TestServer, schema: &Schema<'_>) -> String {
    let name = format!("template_{:016x}", schema.fingerprint());
    if server.has_database(&name).await {
        return name;
    }
    // Of the session: a process that is killed lets go of it.
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK);
    lock.execute(&mut server.conn).await.expect("the server gives its lock");
    if !server.has_database(&name).await {
        make_template(server, &name, schema).await;
    }
    let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK);
    unlock.execute(&mut server.conn).await.expect("the server takes its lock back");
    name
}

/// Made under another name, so that a process killed half-way leaves no half template.
async fn make_template(server: &mut TestServer, name: &str, schema: &Schema<'_>) {
    let draft = format!("{name}_draft");
    server.drop_database(&draft).await;
    server.run(format!("CREATE DATABASE {draft}")).await;
    let options = test_server::connect_options(&test_server::url_of(&draft));
    let mut conn = PgConnection::connect_with(&options).await.expect("the template can be reached");
    schema.build(&mut conn).await;
    conn.close().await.expect("the template can be left");
    server.run(format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
}

async fn copy(mut server: TestServer, template: &str) -> TestDatabase {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    clean_up(&mut server).await;
    let name = format!("test_{}_{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // A process of long ago may have had the same id.
    server.drop_database(&name).await;
    server.run(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    let _ = server.conn.close().await;
    let url = test_server::url_of(&name);
    TestDatabase { options: test_server::connect_options(&url), url, tenure: Arc::new(Tenure { name }) }
}

/// Drops the databases of finished tests, and once in a process those of processes that are gone.
async fn clean_up(server: &mut TestServer) {
    static WAS_FIRST: AtomicBool = AtomicBool::new(false);
    let mut names = mem::take(&mut *FINISHED.lock().unwrap_or_else(PoisonError::into_inner));
    if !WAS_FIRST.swap(true, Ordering::Relaxed) {
        let all =
            sqlx::query_scalar(r"SELECT datname::TEXT FROM pg_database WHERE datname LIKE 'test\_%\_%'");
        let all: Vec<String> = all.fetch_all(&mut server.conn).await.expect("the server lists its databases");
        names.extend(all.into_iter().filter(|name| is_left_over(name)));
    }
    for name in names {
        server.drop_database(&name).await;
    }
}

fn is_left_over(name: &str) -> bool {
    let owner = name.split('_').nth(1).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    owner.is_some_and(|owner| !is_alive(owner))
}
