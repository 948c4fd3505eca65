//! `TestApp`: the program as a user starts it, with everything around it.

pub(crate) mod forwarder;
pub(crate) mod requests;

use std::collections::HashSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;
use sandbox::Sandbox;
use sandbox::message::SandboxMessage;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

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

/// The program once more.
struct Other {
    process: Child,
    address: SocketAddr,
    /// Keys of its own, spelled as in the environment.
    env: Vec<(String, String)>,
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
        let settings = sandbox::settings::SandboxSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            account_sid: ACCOUNT_SID.to_owned(),
            auth_token: AUTH_TOKEN.into(),
            api_key: Some((API_KEY.to_owned(), API_SECRET.into())),
            whatsapp_number: NUMBER.to_owned(),
            webhook_url: format!("http://{address}/webhooks/whatsapp#rc=5&rp=all"),
            journal: None,
            status_delay: Duration::from_millis(10),
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

    /// Starts the program, and waits until it is ready.
    pub(crate) async fn launch(&mut self) {
        self.process = Some(self.spawn(self.address, &[]).await);
    }

    /// The same with keys of this start's own.
    pub(crate) async fn launch_with(&mut self, env: &[(&str, &str)]) {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.process = Some(self.spawn(self.address, &env).await);
    }

    /// Starts the program once more, on the same database; returns where this process listens.
    pub(crate) async fn launch_another(&mut self) -> SocketAddr {
        self.launch_another_with(&[]).await
    }

    /// The same with keys of this process's own.
    pub(crate) async fn launch_another_with(&mut self, env: &[(&str, &str)]) -> SocketAddr {
        let address = free_address();
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let process = self.spawn(address, &env).await;
        self.others.push(Other { process, address, env });
        address
    }

    /// `kill -9` of one of all processes, and another in its place.
    pub(crate) async fn kill_one(&mut self, number: usize) {
        if number >= self.others.len() {
            self.kill();
            self.launch().await;
            return;
        }
        let Other { mut process, address, env } = self.others.swap_remove(number);
        process.kill().unwrap();
        process.wait().unwrap();
        let process = self.spawn(address, &env).await;
        self.others.push(Other { process, address, env });
    }

    async fn spawn(&self, listen: SocketAddr, env: &[(String, String)]) -> Child {
        let process = self.program(listen, env).spawn().unwrap();
        self.until("the program is ready", async || {
            let answer = self.http.get(format!("http://{listen}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        process
    }

    /// Starts the program once more with keys of its own, and expects that it refuses; returns what it said.
    pub(crate) async fn refused(&self, env: &[(&str, &str)]) -> String {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut command = self.program(free_address(), &env);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while process.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        let runs_on = process.try_wait().unwrap().is_none();
        process.kill().unwrap();
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!runs_on, "the program was not refused: {said}");
        assert!(!output.status.success(), "{said}");
        said
    }

    /// The program as it will be started, with short times.
    fn program(&self, listen: SocketAddr, env: &[(String, String)]) -> Command {
        let short = [
            ("AGENT__DEBOUNCE", "0s"),
            ("AGENT__DEBOUNCE_CAP", "0s"),
            ("QUEUE__LEASE", "1500ms"),
            ("QUEUE__RENEW", "300ms"),
            ("QUEUE__POLL", "100ms"),
            ("TWILIO__SEND_DEADLINE", "1500ms"),
            ("TWILIO__SEND_START_WITHIN", "1s"),
            ("TWILIO__IN_DOUBT_GRACE", "1500ms"),
            ("TWILIO__IN_DOUBT_SECOND_LOOK", "500ms"),
            ("DELIVERIES__CALLBACK_WAIT", "1s"),
            ("SERVER__SHUTDOWN_GRACE", "5s"),
            // A burst of webhooks is taken in on a busy machine, too.
            ("SERVER__WEBHOOK_TIMEOUT", "20s"),
        ];
        let mut command = match self.files {
            None => Command::new(env!("CARGO_BIN_EXE_cloudybot")),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\"")]);
                shell.arg(env!("CARGO_BIN_EXE_cloudybot"));
                shell
            }
        };
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("CLOUDYBOT") || name.starts_with("TWILIO"))
        {
            command.env_remove(name);
        }
        command.envs(short.map(|(name, value)| (format!("CLOUDYBOT__{name}"), value)));
        command
            .env("DATABASE_URL", &self.database_url)
            .env("CLOUDYBOT__SCHEDULES__DIRECTORY", self.schedules.path())
            .env("CLOUDYBOT_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("CLOUDYBOT_API_TOKEN", API_TOKEN)
            .env("CLOUDYBOT_SECRET_KEY", "of the hashes")
            .env("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
            .env("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
            .env("TWILIO_WHATSAPP_NUMBER", NUMBER)
            .env("TWILIO_API_BASE_URL", self.sandbox.base_url())
            .env("TWILIO_WEBHOOK_PUBLIC_URL", format!("http://{}", self.address))
            .env("CLOUDYBOT__SERVER__LISTEN", listen.to_string())
            .envs(self.env.iter().chain(env).map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if std::env::var_os("SHOW_LOGS").is_none() {
            let log = File::options().create(true).append(true).open(self.log.path()).unwrap();
            command.stderr(log);
        }
        command
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

    /// Runs the command line beside the program; its exit code and what it printed.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        self.command_with(&[], arguments).await
    }

    /// The same with keys of its own.
    pub(crate) async fn command_with(&self, env: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudybot"));
        command
            .args(arguments)
            .env("DATABASE_URL", &self.database_url)
            .env("CLOUDYBOT__SCHEDULES__DIRECTORY", self.schedules.path())
            .env("CLOUDYBOT_SECRET_KEY", "of the hashes")
            .envs(env.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Everything that the program has logged; nothing with `SHOW_LOGS`, which sends it to the terminal.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// What the kernel says of the process in one of its files.
    #[cfg(target_os = "linux")]
    pub(crate) fn kernels(&self, file: &str) -> String {
        let process = self.process.as_ref().unwrap().id();
        std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap()
    }

    /// The memory that it has now in KiB, as the kernel counts it.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = self.kernels("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM; returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        tokio::task::spawn_blocking(move || process.wait().unwrap().code()).await.unwrap()
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

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill();
        for Other { process, .. } in &mut self.others {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// What makes a program's clock wrong when it is loaded before everything else.
pub(crate) fn faketime() -> &'static str {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let found = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
        .expect("/usr/lib/*/faketime/libfaketime.so.1 is missing: install the package faketime");
    found.into_os_string().into_string().unwrap().leak()
}

/// A port that is free now. It lies below those that the kernel gives to outgoing connections, one of which could take it before the program does.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(16_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
