//! `TestApp`: the program as a user starts it, with everything around it.

pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod description;
pub(crate) mod forwarder;
pub(crate) mod listener;
pub(crate) mod processes;
pub(crate) mod requests;
pub(crate) mod wrong_clock;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;
use sandbox::Sandbox;
use sandbox::message::SandboxMessage;
use sandbox::settings::{SandboxOptions, SandboxSettings};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use self::processes::{Other, free_address};

pub(crate) const ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const API_KEY: &str = "SK0123456789abcdef0123456789abcdef";
pub(crate) const API_SECRET: &str = "a-secret-of-the-tests";
pub(crate) const AUTH_TOKEN: &str = "a-token-of-the-tests";
pub(crate) const ADMIN_TOKEN: &str = "of-administrators";
pub(crate) const API_TOKEN: &str = "of-the-product";
pub(crate) const NUMBER: &str = "whatsapp:+14155238886";
pub(crate) static SCHEMA: Schema<'static> =
    Schema { migrations: &store::migrations::MIGRATOR, functions: store::migrations::FUNCTIONS };

pub(crate) const PERSON: &str = "whatsapp:+15005550100";

/// How long a webhook waits for the database as the program is shipped. Tests of an outage set it; all others are more patient.
pub(crate) const SHIPPED_TIMEOUT: (&str, &str) = ("CLOUDYBOT__SERVER__WEBHOOK_TIMEOUT", "2s");

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The program, its database, and Twilio.
pub(crate) struct TestApp {
    pub(crate) sandbox: Sandbox,
    pub(crate) pg: PgPool,
    pub(crate) http: reqwest::Client,
    pub(crate) address: SocketAddr,
    database_url: String,
    env: Vec<(String, String)>,
    /// The soft and the hard limit of open files.
    files: Option<(u32, u32)>,
    process: Option<Child>,
    others: Vec<Other>,
    log: tempfile::NamedTempFile,
    schedules: tempfile::TempDir,
    linked: Mutex<HashSet<String>>,
    // Held so that the database outlives the test's last look at it.
    _database: Option<TestDatabase>,
}

impl TestApp {
    /// The program with short times, on a database of its own.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with keys of the test's own, spelled as in the environment.
    pub(crate) async fn start_with(env: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&SCHEMA).await;
        let url = database.url().to_owned();
        Self::on_database(url, Some(database), env).await
    }

    /// The same where the process may open no more files than this: at first, and after it has asked for more.
    pub(crate) async fn start_with_files(soft: u32, hard: u32, env: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&SCHEMA).await;
        let mut app = Self::prepared(database.url().to_owned(), Some(database), env).await;
        app.files = Some((soft, hard));
        app.launch().await;
        app
    }

    /// The same on a database that the test brings.
    pub(crate) async fn on_database(
        database_url: String,
        database: Option<TestDatabase>,
        env: &[(&str, &str)],
    ) -> Self {
        let mut app = Self::prepared(database_url, database, env).await;
        app.launch().await;
        app
    }

    async fn prepared(database_url: String, database: Option<TestDatabase>, env: &[(&str, &str)]) -> Self {
        let address = free_address();
        let number = env
            .iter()
            .find(|(name, _)| *name == "TWILIO_WHATSAPP_NUMBER")
            .map_or(NUMBER, |(_, number)| number);
        let settings = SandboxSettings {
            options: SandboxOptions {
                listen: "127.0.0.1:0".parse().unwrap(),
                status_delay: Duration::from_millis(10),
            },
            account_sid: ACCOUNT_SID.to_owned(),
            auth_token: AUTH_TOKEN.into(),
            api_key: Some((API_KEY.to_owned(), API_SECRET.into())),
            whatsapp_number: number.to_owned(),
            webhook_url: format!("http://{address}/webhooks/whatsapp#rc=5&rp=all"),
            journal: None,
            seed: 7,
        };
        Self {
            sandbox: Sandbox::start(settings).await.unwrap(),
            // A pooler knows nothing of such digits.
            pg: PgPool::connect_lazy_with(
                database_url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None),
            ),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            address,
            database_url,
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            files: None,
            process: None,
            others: Vec::new(),
            log: tempfile::NamedTempFile::new().unwrap(),
            schedules: tempfile::tempdir().unwrap(),
            linked: Mutex::default(),
            _database: database,
        }
    }

    /// The address of its database.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// From the next start on it is on another database.
    pub(crate) fn turn_to(&mut self, database: TestDatabase) {
        self.database_url = database.url().to_owned();
        self.pg = PgPool::connect_lazy_with(database.connect_options().extra_float_digits(None));
        self._database = Some(database);
    }

    /// Writes a schedule's file, as an operator does.
    pub(crate) fn write_schedule(&self, name: &str, text: &str) {
        std::fs::write(self.schedules.path().join(format!("{name}.toml")), text).unwrap();
    }

    /// Removes a schedule's file.
    pub(crate) fn remove_schedule(&self, name: &str) {
        std::fs::remove_file(self.schedules.path().join(format!("{name}.toml"))).unwrap();
    }

    /// Takes the whole folder of schedules away, as a volume that is not mounted any more; with a file in its place it cannot be read either.
    pub(crate) fn take_schedules_away(&self, leaves_a_file: bool) {
        std::fs::rename(self.schedules.path(), self.schedules.path().with_extension("away")).unwrap();
        if leaves_a_file {
            std::fs::write(self.schedules.path(), "").unwrap();
        }
    }

    /// Undoes that.
    pub(crate) fn bring_schedules_back(&self) {
        let _ = std::fs::remove_file(self.schedules.path());
        std::fs::rename(self.schedules.path().with_extension("away"), self.schedules.path()).unwrap();
    }

    /// A user on the plan pro who has this phone, as if claimed long ago; the user's id is the phone's name.
    pub(crate) async fn link(&self, phone: &str) {
        if !self.linked.lock().unwrap().insert(phone.to_owned()) {
            return;
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "WITH address AS (INSERT INTO channel_addresses (last_inbound_at) VALUES (now()) RETURNING id)
             INSERT INTO channel_address_aliases (alias, canonical, address_id) SELECT '{phone}', '{phone}', id FROM address;
             INSERT INTO channel_users (id, plan) VALUES ('{phone}', 'pro');
             INSERT INTO channel_links (user_id, address_id) SELECT '{phone}', address_id FROM channel_address_aliases WHERE alias = '{phone}'"
        )))
        .execute(&self.pg)
        .await
        .unwrap();
    }

    /// A user writes, through Twilio; returns the webhook's status, `None` when it never got an answer.
    pub(crate) async fn write(&self, from: &str, body: &str) -> Option<u64> {
        self.link(from).await;
        self.inject(&[("From", from), ("Body", body)]).await
    }

    /// Anybody writes; Twilio's webhook has these parameters and the usual ones.
    pub(crate) async fn inject(&self, form: &[(&str, &str)]) -> Option<u64> {
        let answer = self
            .http
            .post(format!("{}/sandbox/inbound", self.sandbox.base_url()))
            .form(form)
            .send()
            .await
            .unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        answer["webhook"]["status"].as_u64()
    }

    /// What was said to a person, in order.
    pub(crate) fn said_to(&self, phone: &str) -> Vec<String> {
        self.sandbox.sent_to(phone).into_iter().map(|message| message.body).collect()
    }

    /// Waits until this many messages went out to a person; returns them.
    pub(crate) async fn replies(&self, to: &str, number: usize) -> Vec<SandboxMessage> {
        let sent = |messages: &[SandboxMessage]| {
            messages.iter().filter(|message| !message.is_inbound() && message.to == to).count()
        };
        let came = self.sandbox.wait_until(PATIENCE, |messages| sent(messages) >= number).await;
        assert!(came, "{number} replies to {to} were expected; said: {:#?}", self.sandbox.messages());
        self.sandbox.sent_to(to)
    }

    /// Waits until no job is live: from here on nothing more will happen by itself.
    pub(crate) async fn drained(&self) {
        self.until("every job has ended", async || {
            self.count("SELECT count(*) FROM queue.jobs").await == Some(0)
        })
        .await;
    }

    /// Drained after a long time, and nothing died on the way.
    pub(crate) async fn drained_well_within(&self, patience: Duration) {
        let begun = Instant::now();
        while self.count("SELECT count(*) FROM queue.jobs").await != Some(0) {
            assert!(begun.elapsed() < patience, "jobs are still live after {patience:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.drained_well().await;
    }

    /// Drained, and nothing died on the way.
    pub(crate) async fn drained_well(&self) {
        self.drained().await;
        assert_eq!(self.count("SELECT count(*) FROM queue.dead").await, Some(0), "jobs died");
    }

    /// A number of the database; `None` while it is away.
    pub(crate) async fn count(&self, sql: &'static str) -> Option<i64> {
        sqlx::query_scalar(sql).fetch_one(&self.pg).await.ok()
    }

    pub(crate) async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&self.pg).await.unwrap()
    }

    /// Asks again until the answer is yes.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        self.until_within(PATIENCE, what, is_so).await;
    }

    /// The same, and it may take longer than usual.
    pub(crate) async fn until_within(&self, patience: Duration, what: &str, is_so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < patience, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
}
