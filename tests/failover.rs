//! The database is read-only for a while, another server takes its place, or it is set to another isolation level.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use private_postgres::scratch_cluster::ScratchCluster;
use private_postgres::test_database::TestDatabase;
use sqlx::PgPool;

use crate::support::forwarder::Forwarder;
use crate::support::wrong_clock::WrongClock;
use crate::support::{PERSON, SCHEMA, SHIPPED_TIMEOUT, TestApp};

/// As soon as the database takes writes again, webhooks must be taken in within this.
const AT_ONCE: Duration = Duration::from_secs(15);

/// Webhooks that come all the time, and what was promised to them.
#[derive(Default)]
struct Load {
    answered: Mutex<Vec<String>>,
    refused: AtomicUsize,
    /// In a row, until now.
    taken: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    /// One message after the other, until it is over. One that is refused is tried again, as Twilio does.
    async fn run(&self, app: &TestApp, stream: usize) {
        for number in 0.. {
            let sid = format!("SM{stream:04}{number:028}");
            let body = format!("{stream} {number}");
            let form = [("MessageSid", &*sid), ("From", PERSON), ("Body", &*body)];
            let signature = app.sign("/webhooks/whatsapp", &form);
            while app.post("/webhooks/whatsapp", &form, Some(&signature)).await.status() != 200 {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.taken.store(0, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            self.answered.lock().unwrap().push(sid);
            if self.over.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

async fn readiness(app: &TestApp) -> u16 {
    app.http.get(app.url("/readyz")).send().await.unwrap().status().as_u16()
}

/// Waits until webhooks are taken in again, and says how long that took.
async fn taken_again(app: &TestApp, load: &Load) -> Duration {
    let begun = Instant::now();
    load.taken.store(0, Ordering::Relaxed);
    app.until("webhooks are taken in again", async || load.taken.load(Ordering::Relaxed) >= 40).await;
    begun.elapsed()
}

/// What was answered is there, and each message was answered once.
async fn nothing_lost_and_nothing_twice(app: &TestApp, load: Load) {
    app.drained_well().await;
    let answered = load.answered.into_inner().unwrap();
    let lost =
        "SELECT count(*) FROM (SELECT unnest($1::TEXT[]) EXCEPT SELECT sid FROM channel_messages) lost";
    let lost: i64 = sqlx::query_scalar(lost).bind(&answered).fetch_one(&app.pg).await.unwrap();
    assert_eq!(lost, 0, "of {}", answered.len());
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome IS NULL").await, Some(0));
    let mut said: Vec<String> = app
        .said_to(PERSON)
        .iter()
        .flat_map(|reply| {
            reply.lines().map(|line| line.trim_start_matches("You said: ").to_owned()).collect::<Vec<_>>()
        })
        .filter(|line| !line.is_empty())
        .collect();
    let number = said.len();
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), number, "a message was answered twice");
    assert_eq!(said.len(), answered.len(), "each was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_database_is_no_longer_read_only_webhooks_are_taken_in_at_once() {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"), SHIPPED_TIMEOUT]).await;
    app.link(PERSON).await;
    let load = Load::default();
    let streams = async {
        tokio::join!(load.run(&app, 0), load.run(&app, 1), load.run(&app, 2), load.run(&app, 3));
    };
    let story = async {
        taken_again(&app, &load).await;
        for (setting, end) in [("on", true), ("off", false)] {
            let set = format!(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {setting}', current_database()); END $$"
            );
            let mut conn = app.pg.acquire().await.unwrap();
            sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut *conn).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *conn).await.unwrap();
            if end {
                let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'cloudybot'";
                sqlx::raw_sql(others).execute(&mut *conn).await.unwrap();
                app.until("it is read-only", async || load.refused() > 100).await;
                app.until("that is told", async || readiness(&app).await == 503).await;
            }
        }
        let took = taken_again(&app, &load).await;
        assert!(took < AT_ONCE, "{took:?}");
        app.until("it is ready", async || readiness(&app).await == 200).await;
        load.over.store(true, Ordering::Relaxed);
    };

    tokio::join!(streams, story);

    nothing_lost_and_nothing_twice(&app, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_isolation_level_the_database_is_set_to_no_webhook_is_refused_and_no_lane_stands_still() {
    for level in ["repeatable read", "serializable"] {
        let database = TestDatabase::create(&SCHEMA).await;
        let set = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), '{level}'); END $$"
        );
        let pg = PgPool::connect(database.url()).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&pg).await.unwrap();
        pg.close().await;
        let url = database.url().to_owned();
        let env = [("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")];
        let app = TestApp::on_database(url, Some(database), &env).await;
        app.link(PERSON).await;
        let load = Load::default();
        let streams = async {
            futures::future::join_all((0..8).map(|stream| load.run(&app, stream))).await;
        };
        let story = async {
            let many = async || load.taken.load(Ordering::Relaxed) >= 250 || load.refused() > 0;
            app.until("enough were taken in", many).await;
            load.over.store(true, Ordering::Relaxed);
        };

        tokio::join!(streams, story);

        assert_eq!(load.refused(), 0, "{level}");
        nothing_lost_and_nothing_twice(&app, load).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_standby_whose_clock_is_behind_takes_over_nothing_is_lost_and_nothing_happens_twice() {
    let first = ScratchCluster::empty().await;
    let wrong_clock = WrongClock::compile();
    let second = first.standby(&wrong_clock.off_by("-5")).await;
    let address = Forwarder::to(&first.connect_options(), Duration::ZERO).await;
    let url = address.url(&first.connect_options());
    let app =
        TestApp::on_database(url, None, &[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"), SHIPPED_TIMEOUT])
            .await;
    app.link(PERSON).await;
    let load = Load::default();
    let streams = async {
        tokio::join!(load.run(&app, 0), load.run(&app, 1), load.run(&app, 2), load.run(&app, 3));
    };
    let story = async {
        taken_again(&app, &load).await;

        first.kill().await;
        address.cut();
        address.turn_to(&second.connect_options());
        let so_far = load.refused();
        app.until("the standby refuses", async || load.refused() > so_far + 20).await;
        app.until("that is told", async || readiness(&app).await == 503).await;
        second.promote().await;

        let took = taken_again(&app, &load).await;
        assert!(took < AT_ONCE, "{took:?}");
        app.until("it is ready", async || readiness(&app).await == 200).await;
        load.over.store(true, Ordering::Relaxed);
    };

    tokio::join!(streams, story);

    let behind = "SELECT (extract(epoch FROM now()) * 1000)::BIGINT";
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let behind = now - app.count(behind).await.unwrap();
    assert!((4000..7000).contains(&behind), "the second server's clock is {behind} ms behind");
    nothing_lost_and_nothing_twice(&app, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_that_lagged_has_forgotten_blocks_nobody() {
    let first = ScratchCluster::empty().await;
    let second = first.standby(&[]).await;
    let set = async |cluster: &ScratchCluster, setting: &'static str| {
        let pg = sqlx::PgPool::connect_with(cluster.connect_options()).await.unwrap();
        sqlx::raw_sql(setting).execute(&pg).await.unwrap();
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(&pg).await.unwrap();
        pg
    };
    set(&first, "ALTER SYSTEM RESET synchronous_standby_names").await;
    let address = Forwarder::to(&first.connect_options(), Duration::ZERO).await;
    let url = address.url(&first.connect_options());
    // A lease that outlives the outage: nothing else may take the job back.
    let long = [("CLOUDYBOT__QUEUE__LEASE", "120s"), ("CLOUDYBOT__QUEUE__RENEW", "300ms")];
    let app = TestApp::on_database(url, None, &long).await;
    app.write(PERSON, "/slow 3000").await;
    let standby = sqlx::PgPool::connect_with(second.connect_options()).await.unwrap();
    app.until("the standby knows that the agent works", async || {
        let running = "SELECT count(*) FROM channel_turns WHERE state = 'running'";
        let running: Result<i64, sqlx::Error> = sqlx::query_scalar(running).fetch_one(&standby).await;
        running.is_ok_and(|running| running == 1)
    })
    .await;

    // It falls behind here: the reply is none of what it gets.
    set(&second, "ALTER SYSTEM SET primary_conninfo = ''").await;
    app.until("it follows no more", async || {
        app.count("SELECT count(*) FROM pg_stat_replication").await == Some(0)
    })
    .await;
    app.replies(PERSON, 1).await;
    app.until("all of it is stored", async || app.count("SELECT count(*) FROM queue.jobs").await == Some(0))
        .await;
    first.kill().await;
    address.cut();
    address.turn_to(&second.connect_options());
    second.promote().await;
    let forgotten = "SELECT count(*) FROM channel_turns WHERE state = 'running'";
    app.until("the second server answers", async || app.count(forgotten).await == Some(1)).await;

    app.until("a webhook is taken in", async || app.write(PERSON, "And now?").await == Some(200)).await;
    app.drained_well().await;

    let said = app.said_to(PERSON);
    assert!(said.iter().any(|said| said.contains("And now?")), "{said:?}");
}
