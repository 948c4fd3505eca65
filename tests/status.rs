//! What an operator is told first, at a terminal and over HTTP: `status`, `check`, the workers and the pauses.

use std::time::{Duration, Instant};

use private_postgres::scratch_cluster::ScratchCluster;
use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::support::listener::{Listener, SECRET};
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// What `cloudybot status --json` says; its exit code.
async fn status(app: &TestApp) -> (Option<i32>, Value) {
    status_with(app, &[]).await
}

async fn status_with(app: &TestApp, env: &[(&str, &str)]) -> (Option<i32>, Value) {
    let (code, told) = app.exit_code(env, &["status", "--json"]).await;
    (code, serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}")))
}

/// The findings about something that need a person, each as a line.
fn needs(status: &Value, subject: &str) -> Vec<String> {
    let findings = status["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| {
            finding["subject"] == subject
                && ["now", "soon"].iter().any(|urgency| finding["urgency"] == *urgency)
        })
        .map(|finding| format!("{}: {} → {}", finding["urgency"], finding["text"], finding["remedy"]))
        .collect()
}

/// `check` and `status` say the same of this: a line that has all of these words.
async fn assert_told(app: &TestApp, env: &[(&str, &str)], subject: &str, words: &[&str]) {
    let (_, over_http) = app.admin(Method::GET, "/status", Value::Null).await;
    let (code, at_terminal) = status_with(app, env).await;
    let (checked, check) = app.exit_code(env, &["check", "--json"]).await;
    let check: Value = serde_json::from_str(&check).unwrap_or_else(|_| panic!("{check}"));

    assert_eq!((code, checked), (Some(1), Some(1)), "{at_terminal}");
    for told in [&over_http, &at_terminal, &check] {
        assert_eq!(told["needsPerson"], true, "{told}");
        let lines = needs(told, subject);
        assert!(
            lines.iter().any(|line| words.iter().all(|word| line.contains(word))),
            "{subject}: {lines:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_nothing_needs_a_person() {
    let app = TestApp::start().await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    let (code, told) = status(&app).await;
    let (checked, check) = app.exit_code(&[], &["check"]).await;
    let (_, over_http) = app.admin(Method::GET, "/status", Value::Null).await;

    assert_eq!((code, checked), (Some(0), Some(0)), "{told} {check}");
    assert_eq!((&told["needsPerson"], &over_http["needsPerson"]), (&json!(false), &json!(false)));
    let agent =
        told["findings"].as_array().unwrap().iter().find(|finding| finding["subject"] == "agent").unwrap();
    assert!(agent["seenAt"].is_string(), "nobody asked it now: {agent}");
    let (_, words) = app.exit_code(&[], &["status"]).await;
    assert!(words.contains("agent (last seen "), "{words}");
    let pools: Vec<&str> =
        told["pools"].as_array().unwrap().iter().map(|pool| pool["pool"].as_str().unwrap()).collect();
    assert_eq!(pools, ["inbound", "conversation", "prompts", "replies", "proactive", "callbacks", "upkeep"]);
    assert!(told["pools"].as_array().unwrap().iter().all(|pool| pool["processes"] == 1), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_twilio_refuses_is_told_of_with_its_reason_and_its_next_probe() {
    let app = TestApp::start().await;
    sqlx::raw_sql(
        "INSERT INTO queue.pauses (scope, name, paused_by, reason)
         SELECT 'pool', name, 'the sender''s probe', 'Twilio says 20003: Authenticate' FROM unnest(ARRAY['replies', 'proactive']) AS name;
         INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, unique_key, payload)
         VALUES (now() + interval '1 hour', 5, 'scheduled', 'probe_sender', 'upkeep', 'probe_sender', '{\"every_secs\": 3600}')",
    )
    .execute(&app.pg)
    .await
    .unwrap();

    assert_told(
        &app,
        &[],
        "sender",
        &["\"now\"", "Twilio says 20003: Authenticate", "cloudybot jobs probe", "one is tried by itself at"],
    )
    .await;
    let (_, check) = app.exit_code(&[], &["check"]).await;
    assert!(
        check.contains("note   twilio") && check.contains("sends have trouble: see \"sender\" above"),
        "{check}"
    );

    let (_, pauses) = app.admin(Method::GET, "/pauses", Value::Null).await;
    let pauses = pauses["pauses"].as_array().unwrap();
    assert_eq!(pauses.len(), 2);
    for pause in pauses {
        assert!(pause["nextProbeAt"].is_string() && pause["since"].is_string(), "{pause}");
        assert_eq!(pause["reason"], "Twilio says 20003: Authenticate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_is_told_of_with_who_paused_it_and_why() {
    let app = TestApp::start().await;

    let (paused, said) = app
        .command_with(&[("USER", "ada")], &["jobs", "pause", "pool", "inbound", "--reason", "a new model"])
        .await;
    let (_, pauses) = app.command(&["jobs", "pauses"]).await;

    assert!(paused, "{said}");
    assert!(["pool", "inbound", "ada", "a new model"].iter().all(|word| pauses.contains(word)), "{pauses}");
    assert_told(
        &app,
        &[],
        "pauses",
        &["inbound", "ada", "a new model", "cloudybot jobs resume pool inbound"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_there_is_can_be_paused() {
    let app = TestApp::start().await;

    for (scope, name, known) in
        [("pool", "foo", "proactive"), ("kind", "sing", "send_chunk"), ("pool", "", "inbound")]
    {
        let (paused, said) = app.command(&["jobs", "pause", scope, name]).await;
        assert!(!paused && said.contains(known), "{said}");
    }
    let (status, problem) =
        app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "foo" })).await;

    assert_eq!(status, 404, "{problem}");
    assert!(problem["known"].as_array().unwrap().contains(&json!("replies")), "{problem}");
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_told_of_by_cause_with_the_command_that_tries_them_again() {
    let app = TestApp::start().await;
    sqlx::raw_sql(
        "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         SELECT -n, now(), 3, 3, 0, 0, 'post_alert', 'upkeep', format('the webhook answered %s', 500 + n), '{\"alert\": 1}' FROM generate_series(1, 12) n",
    )
    .execute(&app.pg)
    .await
    .unwrap();

    let (_, groups) = app.admin(Method::GET, "/jobs/groups", Value::Null).await;
    let group = groups["groups"][0]["group"].as_str().unwrap().to_owned();
    let retry = format!("cloudybot jobs retry --group {group}");
    assert_told(&app, &[], "dead_jobs", &["12 dead post_alert jobs", "the webhook answered #", &retry]).await;
    let (_, table) = app.command(&["jobs", "groups"]).await;
    let (_, listed) = app.command(&["jobs", "list", "--group", &group, "--json"]).await;

    assert!(table.contains(&group) && table.contains("the webhook answered #"), "{table}");
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_do_not_arrive_are_told_of_with_twilios_code_and_need_a_person_by_the_alerts_rule() {
    let one = [("CLOUDYBOT__ALERTS__UNDELIVERED_LEAST", "1")];
    let app = TestApp::start_with(&one).await;
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.until("Twilio says that it failed", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'failed'").await == Some(1)
    })
    .await;

    assert_told(&app, &one, "undelivered", &["1 of 1 messages", "63024"]).await;
    let (_, told) = status(&app).await;
    assert_eq!(needs(&told, "undelivered"), [""; 0], "{told}");
    let undelivered = told["findings"].as_array().unwrap().iter();
    let undelivered: Vec<&Value> =
        undelivered.filter(|finding| finding["subject"] == "undelivered").collect();
    let text = undelivered[0]["text"].as_str().unwrap();
    assert!(text.starts_with("1 message to 1 person failed, at ") && text.contains("a few people"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_away_is_told_of_while_people_wait_and_check_asks_it() {
    let nowhere = format!("http://{}", free_address());
    let env = [("OPENCLAW_BASE_URL", nowhere.as_str())];
    let app = TestApp::start_with(&env).await;
    app.write(PERSON, "Hello").await;
    app.until("a call has failed", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running' AND ask_again_at IS NOT NULL")
            .await
            == Some(1)
    })
    .await;
    sqlx::raw_sql("UPDATE channel_turns SET started_at = started_at - interval '1 minute'")
        .execute(&app.pg)
        .await
        .unwrap();

    assert_told(&app, &env, "agent", &["\"now\""]).await;
    let (_, words) = app.exit_code(&env, &["status"]).await;
    assert!(words.contains(", last seen "), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_process_that_works_the_last_heartbeat_is_told() {
    let mut app = TestApp::start().await;
    app.kill();
    app.until("the lease is over", async || {
        app.count("SELECT count(*) FROM queue.workers WHERE lease_until > clock_timestamp()").await == Some(0)
    })
    .await;

    let (code, told) = status(&app).await;
    let (_, workers) = app.command(&["workers"]).await;

    assert_eq!(code, Some(1), "{told}");
    assert!(needs(&told, "workers").concat().contains("no process works"), "{told}");
    assert!(told["findings"][0]["text"].as_str().unwrap().contains("the last heartbeat came from"), "{told}");
    assert!(workers.contains("lost"), "{workers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_are_listed_with_their_pools_and_the_version_of_their_schedules() {
    let mut app = TestApp::start().await;
    app.launch_another().await;
    app.until("both fire schedules", async || {
        app.count("SELECT count(*) FROM channel_schedulers").await == Some(2)
    })
    .await;

    let (_, list) = app.admin(Method::GET, "/workers", Value::Null).await;
    let (well, table) = app.command(&["workers"]).await;

    let workers = list["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2, "{list}");
    for worker in workers {
        assert!(
            worker["alive"] == true && worker["processId"].is_u64() && worker["schedules"].is_string(),
            "{worker}"
        );
        assert_eq!(worker["version"], env!("CARGO_PKG_VERSION"));
        assert!(worker["kinds"].as_array().unwrap().contains(&json!("send_chunk")), "{worker}");
        let pools = worker["pools"].as_array().unwrap();
        assert!(pools.iter().any(|pool| pool["pool"] == "replies" && pool["running"] == 0), "{worker}");
    }
    assert!(well && table.lines().count() == 3, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_named_with_its_address_within_seconds() {
    let nowhere = free_address();
    let url = format!("postgres://somebody@{nowhere}/something");
    let env = [("DATABASE_URL", url.as_str())];
    let app = TestApp::start().await;

    for arguments in [
        &["jobs", "list"][..],
        &["users", "show", "ada"],
        &["schedules", "list"],
        &["workers"],
        &["status"],
        &["check"],
    ] {
        let begun = Instant::now();
        let (code, said) = app.exit_code(&env, arguments).await;

        // Without a limit it was thirty seconds; the rest is the machine's.
        assert!(begun.elapsed() < Duration::from_secs(25), "{arguments:?} took {:?}", begun.elapsed());
        assert!(said.contains(&nowhere.to_string()) && said.contains("refused"), "{arguments:?}: {said}");
        let expected = if ["status", "check"].contains(&arguments[0]) { 2 } else { 1 };
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_database_that_is_away_is_a_finding_and_one_that_is_read_only_too() {
    let cluster = ScratchCluster::empty().await;
    let app = TestApp::on_database(cluster.url().to_owned(), None, &[]).await;

    sqlx::raw_sql("ALTER SYSTEM SET default_transaction_read_only = on").execute(&app.pg).await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&app.pg).await.unwrap();
    app.until("the database is told to be read-only", async || {
        let (status, told) = app.admin(Method::GET, "/status", Value::Null).await;
        status == 200 && needs(&told, "database").concat().contains("read-only")
    })
    .await;
    cluster.stop().await;
    let (status, told) = app.admin(Method::GET, "/status", Value::Null).await;
    cluster.start_again().await;

    assert_eq!((status, &told["needsPerson"]), (200, &json!(true)), "{told}");
    assert!(needs(&told, "database").concat().contains("DATABASE_URL"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_only_looks_makes_no_database() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let env = [("DATABASE_URL", ""), ("CLOUDYBOT__DATABASE__DATA_DIRECTORY", data.to_str().unwrap())];

    for arguments in [&["jobs", "list"][..], &["status"], &["check"], &["workers"]] {
        let (code, said) = app.exit_code(&env, arguments).await;

        assert_ne!(code, Some(0), "{said}");
        assert!(
            said.contains("there is no database here") && said.contains(data.to_str().unwrap()),
            "{said}"
        );
    }
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_was_switched_off_is_told_of_and_a_wrong_file_needs_a_person() {
    let app = TestApp::start().await;
    app.write_schedule("morning", "cron = \"0 8 * * *\"\ntimezone = \"UTC\"\n[audience]\neveryone = true\n[content]\nmessage = \"Hello\"\n");
    app.until("it is loaded", async || app.command(&["schedules", "disable", "morning"]).await.0).await;

    let audit = app
        .text("SELECT string_agg(action || ' ' || target || ': ' || outcome, ', ') FROM queue.audit")
        .await;
    assert_eq!(audit, "disable schedule morning: switched off");
    let (code, told) = status(&app).await;
    app.write_schedule("evening", "cron = \"never\"\n");

    let findings = told["findings"].to_string();
    assert!(
        findings.contains("morning is off") && findings.contains("cloudybot schedules enable morning"),
        "{told}"
    );
    assert_eq!(code, Some(0), "it is meant: {told}");
    assert_told(&app, &[], "schedules", &["evening"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_a_finding_of_check() {
    let app = TestApp::start().await;

    let (code, told) = app.exit_code(&[("CLOUDYBOT__QUEUE__LEASE", "soon")], &["check", "--json"]).await;

    assert_eq!(code, Some(2), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["findings"][0]["subject"], "configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_out_who_is_posted_to_without_a_post() {
    let listener = Listener::start().await;
    let app = TestApp::start().await;
    let away = format!("http://{}/hook", free_address());
    let env = |url| {
        [
            ("CLOUDYBOT__CALLBACKS__URL", url),
            ("CLOUDYBOT__CALLBACKS__SECRET", SECRET),
            ("CLOUDYBOT__ALERTS__WEBHOOK_URL", url),
        ]
    };

    let (well, reached) = app.exit_code(&env(&listener.url), &["check"]).await;
    let (ill, lost) = app.exit_code(&env(&away), &["check"]).await;
    let (_, unset) = app.exit_code(&[], &["check"]).await;

    assert_eq!((well, ill), (Some(0), Some(1)), "{reached}\n{lost}");
    assert!(
        reached.contains("ok     callbacks") && reached.contains("nothing was posted on trial"),
        "{reached}"
    );
    assert!(listener.posts().is_empty());
    for (subject, key) in [("callbacks", "callbacks.url"), ("alert webhook", "alerts.webhook_url")] {
        assert!(lost.contains(&format!("SOON   {subject:<16} ")) && lost.contains(key), "{lost}");
        assert!(unset.contains(&format!("nobody is told: {key} is not set")), "{unset}");
    }
    assert!(!lost.contains("/hook"), "{lost}");
}
