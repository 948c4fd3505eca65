//! A pooler in transaction mode between the program and its database: whatever a session remembers, the next transaction may be in another one.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use private_postgres::scratch_cluster::ScratchCluster;
use reqwest::Method;
use serde_json::json;

use crate::proactive::text_of;
use crate::support::forwarder::Forwarder;
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// PgBouncer, which ends with the test.
struct Pooler {
    process: Child,
    address: SocketAddr,
    _configuration: tempfile::TempDir,
}

impl Pooler {
    /// In transaction mode, with fewer sessions than the program has connections.
    async fn to(server: &Forwarder, cluster: &ScratchCluster) -> Self {
        Self::with(server, cluster, "pool_mode = transaction\nmax_prepared_statements = 500").await
    }

    /// The same with settings of the test's own.
    async fn with(server: &Forwarder, cluster: &ScratchCluster, settings: &str) -> Self {
        let program = std::env::var("PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
        let (address, options) = (free_address(), cluster.connect_options());
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        let configuration = tempfile::tempdir().unwrap();
        let file = configuration.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} dbname={database} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\ndefault_pool_size = 8\n{settings}\n{}",
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

    /// The address of the cluster's database behind it.
    fn url(&self, cluster: &ScratchCluster) -> String {
        let options = cluster.connect_options();
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        format!("postgres://{user}@{}/{database}", self.address)
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
    let url = pooler.url(&cluster);
    let direct =
        [("CLOUDYBOT__DATABASE__DIRECT_URL", cluster.url()), ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "100ms")];
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

const DIRECT_URL: &str = "CLOUDYBOT__DATABASE__DIRECT_URL";

/// What a start, a migration and a check say of a way to the database that all three refuse.
async fn refusals(app: &TestApp, url: &str, direct: &str) -> [String; 3] {
    let env = [("DATABASE_URL", url), (DIRECT_URL, direct)];
    let started = app.refused(&env).await;
    let (migrated, migration) = app.command_with(&env, &["migrate"]).await;
    let (right, check) = app.command_with(&env, &["check"]).await;
    assert!(!migrated && !right, "{migration} {check}");
    [started, migration, check]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer 1.21 or later, which .ci/run brings; run it with `PGBOUNCER=… cargo test --test integration -- --ignored through_a_pooler`"]
async fn what_is_missing_on_a_way_through_a_pooler_is_named_with_the_remedy() {
    let (app, cluster, other) =
        (TestApp::start().await, ScratchCluster::empty().await, ScratchCluster::empty().await);
    let server = Forwarder::to(&cluster.connect_options(), Duration::ZERO).await;
    let carrying = Pooler::to(&server, &cluster).await;
    let in_turns =
        "pool_mode = transaction\nmax_prepared_statements = 500\nserver_round_robin = 1\nmin_pool_size = 2";
    let in_turns = Pooler::with(&server, &cluster, in_turns).await;
    let forgetful = "pool_mode = transaction\nmax_prepared_statements = 0";
    let forgetful = Pooler::with(&server, &cluster, forgetful).await;
    let statements = Pooler::with(&server, &cluster, "pool_mode = statement").await;
    let [carrying, in_turns, forgetful, statements] =
        [carrying, in_turns, forgetful, statements].map(|pooler| (pooler.url(&cluster), pooler));
    let (server, direct_url) = (cluster.url(), "set database.direct_url to the address of the server itself");
    let prepared = "use PgBouncer 1.21 or later with max_prepared_statements above 0";

    for (url, direct, wanted) in [
        (&carrying.0, "", &[direct_url][..]),
        (&in_turns.0, "", &[direct_url]),
        (&forgetful.0, "", &[direct_url, prepared]),
        (&forgetful.0, server, &[prepared]),
        (&statements.0, server, &["pool_mode = transaction"]),
        (
            &carrying.0,
            &*carrying.0,
            &["database.direct_url goes through a pooler in transaction mode itself"],
        ),
        (&carrying.0, other.url(), &["database.direct_url leads to another database than database.url"]),
    ] {
        for said in refusals(&app, url, direct).await {
            assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{wanted:?}: {said}");
        }
    }
    let env = [("DATABASE_URL", &*carrying.0), (DIRECT_URL, server)];
    let (migrated, said) = app.command_with(&env, &["migrate"]).await;
    assert!(migrated, "{said}");
    let (_, said) = app.command_with(&env, &["check"]).await;
    assert!(
        said.contains("through a pooler in transaction mode, past which database.direct_url leads"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer 1.21 or later, which .ci/run brings; run it with `PGBOUNCER=… cargo test --test integration -- --ignored through_a_pooler`"]
async fn a_role_whose_sessions_cannot_be_pinned_through_a_pooler_is_refused_until_its_own_settings_are_right()
{
    let (app, cluster) = (TestApp::start().await, ScratchCluster::empty().await);
    let server = Forwarder::to(&cluster.connect_options(), Duration::ZERO).await;
    let owner = cluster.pool().await;
    let set = "ALTER DATABASE cloudybot_scratch SET default_transaction_isolation = 'repeatable read'";
    sqlx::query(set).execute(&owner).await.unwrap();
    let pooler = Pooler::to(&server, &cluster).await;

    let refusals = refusals(&app, &pooler.url(&cluster), cluster.url()).await;

    let remedy = "ALTER ROLE cloudybot_scratch IN DATABASE cloudybot_scratch SET default_transaction_isolation = 'read committed'";
    for said in refusals {
        assert!(said.contains(remedy), "{said}");
    }
    // A direct session is pinned, whatever the database is set to.
    assert!(app.command_with(&[("DATABASE_URL", cluster.url())], &["migrate"]).await.0);
    sqlx::query(remedy).execute(&owner).await.unwrap();
    let pooler = Pooler::to(&server, &cluster).await;
    let env = [("DATABASE_URL", &*pooler.url(&cluster)), (DIRECT_URL, cluster.url())];
    let (right, said) = app.command_with(&env, &["migrate"]).await;
    assert!(right, "{said}");
}
