//! What a person must look at is told when it begins, while it goes on, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use private_postgres::test_database::TestDatabase;
use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

use crate::gateway::{Gateway, Run};
use crate::support::forwarder::Forwarder;
use crate::support::listener::{Listener, SECRET};
use crate::support::{PERSON, SCHEMA, TestApp};

const EVERY_SECOND: (&str, &str) = ("CLOUDYBOT__BACKFILL__EVERY", "1s");
const REPEAT_SOON: (&str, &str) = ("CLOUDYBOT__ALERTS__REPEAT_EVERY", "2s");
const PAUSED_AT_ONCE: (&str, &str) = ("CLOUDYBOT__ALERTS__PAUSE_AFTER", "0s");

/// The program, whose upkeep comes every second, and the operator's service that it tells.
async fn told(env: &[(&str, &str)]) -> (TestApp, Listener) {
    let listener = Listener::start().await;
    let hook = [
        ("CLOUDYBOT__ALERTS__WEBHOOK_URL", listener.url.as_str()),
        ("CLOUDYBOT__ALERTS__WEBHOOK_SECRET", SECRET),
        EVERY_SECOND,
    ];
    let env: Vec<_> = hook.iter().chain(env).copied().collect();
    (TestApp::start_with(&env).await, listener)
}

async fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let (status, answer) = app.admin(Method::GET, &format!("/alerts{query}"), Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    answer["alerts"].as_array().unwrap().clone()
}

/// Pauses a kind that nobody uses here, or lets it go on.
async fn pause(app: &TestApp, action: &str) {
    let what = json!({ "scope": "kind", "name": "run_duty" });
    assert_eq!(app.admin(Method::POST, &format!("/jobs/{action}"), what).await.0, 200);
}

fn states(posts: &[Value]) -> Vec<&str> {
    posts.iter().map(|post| post["state"].as_str().unwrap()).collect()
}

/// Waits until the upkeep has looked so many times from now on.
async fn rounds(app: &TestApp, number: i64) {
    let rounds = "SELECT count(*) FROM queue.finished WHERE kind = 'upkeep'";
    let so_far = app.count(rounds).await.unwrap();
    app.until("the upkeep has looked", async || app.count(rounds).await >= Some(so_far + number)).await;
}

/// Waits until the open alerts of a cause are so many.
async fn open(app: &TestApp, cause: &str, number: usize) {
    let query = format!("?cause={cause}&state=open");
    app.until(&format!("{number} alerts {cause} are open"), async || list(app, &query).await.len() == number)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_posted_when_it_begins_while_it_goes_on_and_once_when_it_is_over() {
    let (app, listener) = told(&[REPEAT_SOON, PAUSED_AT_ONCE]).await;

    pause(&app, "pause").await;
    app.until("it was repeated", async || listener.of_cause("long_pause").len() >= 3).await;
    pause(&app, "resume").await;
    open(&app, "long_pause", 0).await;
    app.until("its end was told", async || {
        states(&listener.of_cause("long_pause")).last() == Some(&"resolved")
    })
    .await;
    rounds(&app, 2).await;

    let posts = listener.of_cause("long_pause");
    let (first, last) = (&posts[0], posts.last().unwrap());
    let told = states(&posts);
    assert_eq!((told[0], told[1]), ("raised", "repeated"));
    assert_eq!(told.iter().filter(|state| **state == "resolved").count(), 1, "{told:?}");
    assert!(posts[1]["text"].as_str().unwrap().contains("goes on since"), "{}", posts[1]);
    for post in [first, last] {
        assert!(post["id"].is_i64() && post["since"].is_string() && post["times"] == 1, "{post}");
        assert!(post["remedy"].as_str().unwrap().contains("`cloudybot jobs resume"), "{post}");
        assert!(post["detail"].as_str().unwrap().contains("run_duty"), "{post}");
    }
    assert_eq!(first["id"], last["id"], "one row");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_somebody_has_acknowledged_is_not_repeated_and_its_end_is_told() {
    let (app, listener) = told(&[REPEAT_SOON, PAUSED_AT_ONCE]).await;
    pause(&app, "pause").await;
    open(&app, "long_pause", 1).await;
    let id = list(&app, "").await[0]["id"].clone();

    let (said, shown) = app.command(&["alerts", "acknowledge", &id.to_string()]).await;
    assert!(said, "{shown}");
    rounds(&app, 1).await;
    let so_far = listener.of_cause("long_pause").len();
    rounds(&app, 5).await;
    let acknowledged = list(&app, "?state=acknowledged").await;
    assert_eq!(listener.of_cause("long_pause").len(), so_far);
    pause(&app, "resume").await;

    app.until("its end was told", async || {
        states(&listener.of_cause("long_pause")).last() == Some(&"resolved")
    })
    .await;
    assert_eq!(acknowledged[0]["id"], id);
    assert_eq!(list(&app, "").await, [Value::Null; 0]);
    assert_eq!(list(&app, "?all=true").await[0]["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_within_the_hour_is_the_same_alert_and_no_new_post() {
    let (app, listener) = told(&[PAUSED_AT_ONCE]).await;
    for _ in 0..2 {
        pause(&app, "pause").await;
        open(&app, "long_pause", 1).await;
        pause(&app, "resume").await;
        open(&app, "long_pause", 0).await;
    }
    rounds(&app, 2).await;

    let all = list(&app, "?all=true&cause=long_pause").await;

    assert_eq!((all.len(), &all[0]["times"]), (1, &json!(2)));
    assert_eq!(states(&listener.of_cause("long_pause")), ["raised", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_is_not_taken_is_repeated_under_its_id() {
    let (app, listener) = told(&[PAUSED_AT_ONCE]).await;
    listener.answer(500);
    pause(&app, "pause").await;
    app.until("it was refused", async || !listener.posts().is_empty()).await;

    listener.answer(200);
    app.until("it was taken", async || !listener.taken().is_empty()).await;

    let posts = listener.posts();
    assert_eq!(posts[0].id, posts.last().unwrap().id);
    assert_eq!(posts[0].body, posts.last().unwrap().body);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_die_are_an_alert_until_none_is_dead_and_each_death_is_news() {
    let (app, _listener) = told(&[]).await;
    let die = async || {
        sqlx::query(
            "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
             SELECT nextval('queue.job_ids'), now(), 5, 5, 0, 0, 'close_slot', 'upkeep', 'it broke', '{}'",
        )
        .execute(&app.pg)
        .await
        .unwrap();
    };
    die().await;
    open(&app, "dead_jobs", 1).await;
    let alert = list(&app, "").await[0].clone();
    let id = alert["id"].to_string();
    assert_eq!(app.admin(Method::POST, &format!("/alerts/{id}/acknowledge"), Value::Null).await.0, 204);
    rounds(&app, 2).await;
    assert_eq!(list(&app, "").await, [Value::Null; 0], "nothing has died since");

    die().await;
    open(&app, "dead_jobs", 1).await;
    let (shown, text) = app.command(&["alerts", "show", &id]).await;
    sqlx::query("DELETE FROM queue.dead").execute(&app.pg).await.unwrap();

    open(&app, "dead_jobs", 0).await;
    assert!(alert["detail"].as_str().unwrap().contains("1 close_slot"), "{alert}");
    assert!(shown && text.contains("2 close_slot") && text.contains("cloudybot jobs groups"), "{text}");
    assert_eq!(list(&app, "?state=closed&cause=dead_jobs").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_that_fail_are_an_alert_with_their_errors_until_they_are_past() {
    let few = [
        ("CLOUDYBOT__ALERTS__UNDELIVERED_LEAST", "2"),
        ("CLOUDYBOT__ALERTS__UNDELIVERED_PERCENT", "60"),
        ("CLOUDYBOT__ALERTS__UNDELIVERED_WITHIN", "20s"),
    ];
    let (app, listener) = told(&few).await;
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() });
    for number in 0..4 {
        app.write(&format!("whatsapp:+1500555010{number}"), "Hello").await;
    }

    open(&app, "undelivered", 1).await;
    app.sandbox.set_faults(Faults::default());
    for number in 0..4 {
        app.write(&format!("whatsapp:+1500555010{number}"), "And now?").await;
    }
    open(&app, "undelivered", 0).await;

    let told = listener.of_cause("undelivered");
    assert!(told[0]["detail"].as_str().unwrap().contains("with error 63024"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_well_again_leaves_no_alert_behind() {
    let (app, listener) = told(&[("CLOUDYBOT__TWILIO__PROBE_EVERY", "1s")]).await;
    let refused = Faults { refuse: 1.0, refuse_code: 20003, refuse_status: Some(401), ..Faults::default() };
    app.sandbox.set_faults(refused);
    app.write(PERSON, "Hello").await;
    open(&app, "sender_refused", 1).await;

    app.sandbox.set_faults(Faults::default());
    app.replies(PERSON, 1).await;

    open(&app, "sender_refused", 0).await;
    app.until("its end was told", async || {
        states(&listener.of_cause("sender_refused")).last() == Some(&"resolved")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_back_closes_its_alert_though_nobody_writes() {
    let down = Arc::new(AtomicBool::new(true));
    let switch = down.clone();
    let gateway = Gateway::chatting(move |_, _| {
        if switch.load(Ordering::Relaxed) { Run::LockedOut(1) } else { Run::Say("Well.", Duration::ZERO) }
    })
    .await;
    let budget = [("CLOUDYBOT__AGENT__TURN_BUDGET", "3s"), ("OPENCLAW_BASE_URL", gateway.url.as_str())];
    let (app, _listener) = told(&budget).await;
    app.write(PERSON, "Hello").await;
    open(&app, "agent_locked_out", 1).await;
    app.replies(PERSON, 1).await;

    down.store(false, Ordering::Relaxed);

    open(&app, "agent_locked_out", 0).await;
    assert_eq!(app.count("SELECT count(*) FROM channel_turns WHERE state = 'replied'").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_nobody_fires_is_an_alert_until_it_is_fired() {
    let (app, _listener) = told(&[("CLOUDYBOT__ALERTS__SLOTS_LATE_AFTER", "2s")]).await;
    let text = "cron = \"* * * * * *\"\nenabled = true\n[audience]\neveryone = true\n[content]\nmessage = \"Hello\"\n";
    app.write_schedule("often", text);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_slots").await >= Some(1))
        .await;

    // The process that loaded it last is gone, and the others have a former version.
    sqlx::query("UPDATE channel_schedules SET hash = 'x' || hash").execute(&app.pg).await.unwrap();
    open(&app, "slots_late", 1).await;
    let alert = list(&app, "?cause=slots_late").await[0].clone();
    sqlx::query("UPDATE channel_schedules SET hash = substr(hash, 2)").execute(&app.pg).await.unwrap();

    open(&app, "slots_late", 0).await;
    assert!(alert["detail"].as_str().unwrap().starts_with("often is due since"), "{alert}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lacks_a_key_on_which_rows_hang_is_an_alert() {
    let (mut app, _listener) = told(&[]).await;
    let other = app.launch_another_with(&[("CLOUDYBOT_SECRET_KEY", "another,of the hashes")]).await;
    let sid = "SM00000000000000000000000000000001";
    let form = [("MessageSid", sid), ("From", PERSON), ("Body", "STOP")];
    let path = "/webhooks/whatsapp";
    let signature = app.sign(path, &form);

    let url = format!("http://{other}{path}");
    let answer = app.http.post(url).form(&form).header("X-Twilio-Signature", signature).send().await.unwrap();

    assert_eq!(answer.status(), 200);
    open(&app, "secret_key", 1).await;
    let alert = list(&app, "?cause=secret_key").await[0].clone();
    assert!(alert["detail"].as_str().unwrap().contains("1 opt-outs"), "{alert}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_nobody_can_clear_up_is_an_alert_until_somebody_says_what_became_of_it() {
    let at_once =
        [("CLOUDYBOT__ALERTS__IN_DOUBT_AFTER", "1s"), ("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "600s")];
    let (app, _listener) = told(&at_once).await;
    app.sandbox.set_faults(Faults { drop_before: 1.0, ..Faults::default() });
    app.write(PERSON, "Hello").await;
    open(&app, "send_in_doubt", 1).await;

    let chunk = app.count("SELECT id FROM channel_chunks").await.unwrap().to_string();
    let (said, text) = app.command(&["chunks", "verdict", &chunk, "arrived"]).await;

    assert!(said, "{text}");
    open(&app, "send_in_doubt", 0).await;
}

/// The program on a database behind a forwarder, and who is told.
async fn behind(listener: &Listener) -> (TestApp, Forwarder, PgConnectOptions) {
    let database = TestDatabase::create(&SCHEMA).await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let forwarder = Forwarder::to(&options, Duration::ZERO).await;
    let env = [
        ("CLOUDYBOT__ALERTS__WEBHOOK_URL", listener.url.as_str()),
        ("CLOUDYBOT__ALERTS__WEBHOOK_SECRET", SECRET),
        ("CLOUDYBOT__ALERTS__DATABASE_AFTER", "1s"),
        REPEAT_SOON,
    ];
    let app = TestApp::on_database(forwarder.url(&options), Some(database), &env).await;
    (app, forwarder, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_from_memory_and_written_down_when_it_is_back() {
    let listener = Listener::start().await;
    let (app, forwarder, options) = behind(&listener).await;

    forwarder.cut();
    app.until("it is told twice", async || listener.of_cause("database_away").len() >= 2).await;
    forwarder.turn_to(&options);
    app.until("its end is told", async || {
        states(&listener.of_cause("database_away")).last() == Some(&"resolved")
    })
    .await;

    let told = listener.of_cause("database_away");
    assert_eq!(
        (&told[0]["state"], &told[0]["id"], &told[1]["state"]),
        (&json!("raised"), &Value::Null, &json!("repeated"))
    );
    let written = list(&app, "?all=true&cause=database_away").await;
    assert_eq!((written.len(), &written[0]["state"]), (1, &json!("closed")));
    assert!(written[0]["openedAt"].as_str() < written[0]["closedAt"].as_str(), "{written:?}");
    assert!(app.logged().contains("Alert, database_away"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_told_from_memory() {
    let listener = Listener::start().await;
    let (app, _forwarder, _) = behind(&listener).await;
    let set = async |setting: &'static str| {
        let mut conn = app.pg.acquire().await.unwrap();
        sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut *conn).await.unwrap();
        sqlx::raw_sql(setting).execute(&mut *conn).await.unwrap();
        let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'cloudybot'";
        sqlx::raw_sql(others).execute(&mut *conn).await.unwrap();
    };

    set("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$").await;
    app.until("it is told", async || !listener.of_cause("database_read_only").is_empty()).await;
    set("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = off', current_database()); END $$").await;

    app.until("its end is told", async || {
        states(&listener.of_cause("database_read_only")).last() == Some(&"resolved")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_listed_by_state_cause_and_time() {
    let (app, _listener) = told(&[PAUSED_AT_ONCE]).await;
    pause(&app, "pause").await;
    open(&app, "long_pause", 1).await;
    let id = list(&app, "").await[0]["id"].to_string();

    let (_, shown) = app.admin(Method::GET, &format!("/alerts/{id}"), Value::Null).await;
    let wrong = app.admin(Method::GET, "/alerts?state=shut", Value::Null).await.0;
    let later = list(&app, "?all=true&since=2099-01-01T00:00:00Z").await;
    let (_, none) = app.admin(Method::GET, "/alerts/999999", Value::Null).await;
    let (listed, table) = app.command(&["alerts", "list"]).await;
    let (_, as_json) = app.command(&["alerts", "list", "--all", "--json"]).await;

    assert_eq!((&shown["state"], &shown["cause"]), (&json!("open"), &json!("long_pause")));
    for words in ["means", "remedy", "ends"] {
        assert!(shown[words].as_str().is_some_and(|words| !words.is_empty()), "{words}: {shown}");
    }
    assert!(matches!(wrong, 400 | 422), "{wrong}");
    assert_eq!((later.len(), &none["status"]), (0, &json!(404)));
    assert!(listed && table.contains("long_pause") && table.contains("cloudybot jobs resume"), "{table}");
    let as_json: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(as_json[0]["id"].to_string(), id);
}
