//! A pooler in transaction mode between the program and its database: whatever a session remembers, the next transaction may be in another one.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use private_postgres::scratch_cluster::ScratchCluster;
use reqwest::Method;
use serde_json::json;

use crate::proactive::text_of;
use crate::support::forwarder::Forwarder;
use crate::support::{PERSON, TestApp, free_address};

/// PgBouncer, which ends with the test.
struct Pooler {
    process: Child,
    address: SocketAddr,
    _configuration: tempfile::TempDir,
}

impl Pooler {
    /// In transaction mode, with fewer sessions than the program has connections.
    async fn to(server: &Forwarder, cluster: &ScratchCluster) -> Self {
        let program = std::env::var("PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
        let (address, options) = (free_address(), cluster.connect_options());
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        let configuration = tempfile::tempdir().unwrap();
        let file = configuration.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} dbname={database} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_prepared_statements = 500\n\
             default_pool_size = 8\nignore_startup_parameters = extra_float_digits\n{}",
            server.port(),
            address.port(),
            // It refuses to run as root.
            if rustix::process::getuid().is_root() { "user = nobody\n" } else { "" },
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(&program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{program} cannot be started: {error}; set PGBOUNCER to 1.21 or later")
        });
        let pooler = Self { process, address, _configuration: configuration };
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return pooler;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{program} does not listen");
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer 1.21 or later, which .ci/run brings; run it with `PGBOUNCER=… cargo test --test integration -- --ignored through_a_pooler`"]
async fn through_a_pooler_in_transaction_mode_all_goes_on() {
    let cluster = ScratchCluster::empty().await;
    let server = Forwarder::to(&cluster.connect_options(), Duration::ZERO).await;
    let pooler = Pooler::to(&server, &cluster).await;
    let options = cluster.connect_options();
    let url = format!(
        "postgres://{}@{}/{}",
        options.get_username(),
        pooler.address,
        options.get_database().unwrap()
    );
    let direct = [
        ("CLOUDYBOT__DATABASE__DIRECT_URL", cluster.url()),
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY_MS", "100"),
    ];
    let mut app = TestApp::on_database(url, None, &direct).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;

    // Chats of many people at once, a notification of three parts, a duty, a crash, and STOP.
    let people: Vec<String> = (0..20).map(|number| format!("whatsapp:+1500558{number:04}")).collect();
    for round in 0..3 {
        let writing = people.iter().map(|person| {
            let (app, body) = (&app, format!("Round {round}"));
            async move { app.write(person, &body).await }
        });
        let answers = futures::future::join_all(writing).await;
        assert!(answers.iter().all(|answer| *answer == Some(200)), "{answers:?}");
        if round == 1 {
            app.kill();
            app.launch().await;
        }
    }
    let notify = async |text: String| {
        app.product(Method::POST, "/users/alice/notifications", json!({ "text": text })).await.1["delivery"]
            .clone()
    };
    assert_eq!(notify(text_of(3)).await["state"], "open");
    app.write_schedule(
        "often",
        "cron = \"* * * * * *\"\n[audience]\nuser = \"alice\"\n[content]\nmessage = \"A slot\"\n",
    );
    app.until("a slot came", async || app.said_to(PERSON).iter().any(|said| said.contains("A slot"))).await;
    app.remove_schedule("often");
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    assert_eq!(notify("Hello".to_owned()).await["reason"], "opted_out");
    app.drained_well().await;

    for person in &people {
        let said = app.said_to(person).join("\n");
        for round in 0..3 {
            assert_eq!(said.matches(&format!("Round {round}")).count(), 1, "{person}: {said}");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM channel_double_sends").await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(0));
}
