//! The database goes away and comes back.

use std::time::{Duration, Instant};

use private_postgres::scratch_cluster::ScratchCluster;

use crate::support::forwarder::Forwarder;
use crate::support::{PERSON, SHIPPED_TIMEOUT, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_a_webhook_is_refused_in_time_and_the_service_goes_on_by_itself_afterwards() {
    let cluster = ScratchCluster::empty().await;
    let app = TestApp::on_database(cluster.url().to_owned(), None, &[SHIPPED_TIMEOUT]).await;
    app.write(PERSON, "before").await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    cluster.stop().await;
    let form = [("MessageSid", "SMaway"), ("From", PERSON), ("Body", "while away")];
    let begun = Instant::now();
    let answer = app.post("/webhooks/whatsapp", &form, Some(&app.sign("/webhooks/whatsapp", &form))).await;
    let took = begun.elapsed();
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    cluster.start_again().await;

    assert_eq!(answer.status(), 503);
    assert!(took < Duration::from_secs(10), "Twilio waits for 15 seconds, retries included, not {took:?}");
    assert_eq!(ready.status(), 503);
    app.until("it is ready again", async || {
        app.http.get(app.url("/readyz")).send().await.unwrap().status() == 200
    })
    .await;
    assert_eq!(app.write(PERSON, "after").await, Some(200));
    let replies = app.replies(PERSON, 2).await;
    app.drained_well().await;
    assert_eq!(replies[1].body, "You said: after");
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE sid = 'SMaway'").await, Some(0));
}

/// From here on the database has no room for any turn's end; how often that was met is counted, whatever is rolled back.
async fn fill_the_disk(app: &TestApp) {
    let full = "CREATE SEQUENCE full_disk;
        CREATE FUNCTION full_disk() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            PERFORM nextval('full_disk');
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON channel_turns FOR EACH ROW WHEN (NEW.state <> 'running') EXECUTE FUNCTION full_disk()";
    sqlx::raw_sql(full).execute(&app.pg).await.unwrap();
}

async fn make_room(app: &TestApp) {
    sqlx::raw_sql("DROP TRIGGER full_disk ON channel_turns").execute(&app.pg).await.unwrap();
}

/// How many runs of the agent there were, and what was said.
async fn answered_once(app: &TestApp, reply: &str) {
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    assert_eq!(app.said_to(PERSON), [reply]);
    assert_eq!(
        app.count("SELECT count(*) FROM channel_agent_calls").await,
        Some(1),
        "the agent was called again"
    );
    assert_eq!(app.count("SELECT count(*) FROM channel_turns WHERE in_hand IS NOT NULL").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_hand_is_stored_when_there_is_room_again_and_the_agent_is_not_asked_twice() {
    let app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "2")]).await;
    fill_the_disk(&app).await;

    app.write(PERSON, "Hello").await;
    // Oftener than the agent would be called, and an apology would be due.
    app.until("storing has failed often", async || {
        app.count("SELECT last_value FROM full_disk").await >= Some(4)
    })
    .await;
    make_room(&app).await;

    answered_once(&app, "You said: Hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_hand_outlives_its_process_and_is_stored_by_another() {
    let mut app = TestApp::start().await;
    fill_the_disk(&app).await;

    app.write(PERSON, "Hello").await;
    app.until("the answer is kept with its turn", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE in_hand = 'You said: Hello'").await == Some(1)
    })
    .await;
    app.kill();
    make_room(&app).await;
    app.launch().await;

    answered_once(&app, "You said: Hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_while_the_database_is_away_is_stored_when_it_is_back() {
    let cluster = ScratchCluster::empty().await;
    let app = TestApp::on_database(cluster.url().to_owned(), None, &[SHIPPED_TIMEOUT]).await;
    app.write(PERSON, "/slow 300").await;
    app.until("the agent works", async || app.count("SELECT count(*) FROM channel_turns").await == Some(1))
        .await;

    cluster.stop().await;
    app.until("the lease is lost, and with it the attempt", async || app.logged().contains("Lost the lease"))
        .await;
    cluster.start_again().await;

    answered_once(&app, "You said: /slow 300").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_once_for_each_cause_and_then_counted() {
    let cluster = ScratchCluster::empty().await;
    let mut app = TestApp::on_database(cluster.url().to_owned(), None, &[SHIPPED_TIMEOUT]).await;
    app.write(PERSON, "before").await;
    app.drained_well().await;

    cluster.stop().await;
    let refused = (0..90).map(|number| {
        let app = &app;
        async move {
            let sid = format!("SMaway{number}");
            let form = [("MessageSid", &*sid), ("From", PERSON), ("Body", "while away")];
            let signature = app.sign("/webhooks/whatsapp", &form);
            app.post("/webhooks/whatsapp", &form, Some(&signature)).await.status()
        }
    });
    let refused = futures::future::join_all(refused).await;
    cluster.start_again().await;
    app.until("it is ready again", async || {
        app.http.get(app.url("/readyz")).send().await.unwrap().status() == 200
    })
    .await;
    app.terminate().await;

    assert!(refused.iter().all(|status| *status == 503));
    let log = app.logged();
    let trouble: Vec<&str> =
        log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    let of_webhooks: Vec<&&str> =
        trouble.iter().filter(|line| line.contains("Could not store message SM")).collect();
    assert!((1..=6).contains(&of_webhooks.len()), "{of_webhooks:#?}");
    let counted: usize = of_webhooks
        .iter()
        .map(|line| line.split(" more in ").next().and_then(|start| start.split_whitespace().last()))
        .map(|number| number.and_then(|number| number.parse().ok()).unwrap_or(1))
        .sum();
    assert_eq!(counted, 90, "{of_webhooks:#?}");
    assert!(trouble.len() <= 60, "{} lines: {trouble:#?}", trouble.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pooler_would_break_goes_to_the_server_itself() {
    let cluster = ScratchCluster::empty().await;
    let pooler = Forwarder::to(&cluster.connect_options(), Duration::ZERO).await;
    let direct = [("CLOUDYBOT__DATABASE__DIRECT_URL", cluster.url())];
    let app = TestApp::on_database(pooler.url(&cluster.connect_options()), None, &direct).await;
    let pg = sqlx::PgPool::connect_with(cluster.connect_options()).await.unwrap();
    let listener = "SELECT pid FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'";
    let before: i32 = sqlx::query_scalar(listener).fetch_one(&pg).await.unwrap();

    pooler.cut();
    pooler.turn_to(&cluster.connect_options());
    app.until("webhooks are taken in again", async || app.write(PERSON, "Hello").await == Some(200)).await;
    app.drained_well().await;

    let after: i32 = sqlx::query_scalar(listener).fetch_one(&pg).await.unwrap();
    assert_eq!(before, after, "the listening connection was none of those that were cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_hold_every_connection_make_no_process_unready() {
    let app = TestApp::start_with(&[("CLOUDYBOT__DATABASE__WORKER_CONNECTIONS", "1")]).await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    let mut locked = app.pg.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM channel_conversations FOR UPDATE").execute(&mut *locked).await.unwrap();

    assert_eq!(app.write(PERSON, "Are you there?").await, Some(200));
    app.until("a handler waits in the database", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        app.count(waiting).await >= Some(1)
    })
    .await;
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    locked.rollback().await.unwrap();

    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().starts_with("ready\nreceiver: ok\n"));
    app.replies(PERSON, 2).await;
    app.drained_well().await;
}
