//! What an outage of the agent has left unanswered is answered afterwards by `turns retry`, in order and once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::{APOLOGY, turns_of};
use crate::agent_outages::{OTHER, gateway_with, write};
use crate::gateway::{Gateway, Run};
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// Runs `turns retry` over everything; what it told.
async fn retry(app: &TestApp, gateway: &Gateway, more: &[&str]) -> Value {
    let arguments = [&["turns", "retry", "--since", "2026-01-01T00:00:00Z", "--json"][..], more].concat();
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__LOG__FILTER", "off")];
    let (well, told) = app.command_with(&env, &arguments).await;
    assert!(well, "{told}");
    serde_json::from_str(&told).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_of_an_outage_are_answered_after_all_in_order_and_once() {
    let (gateway, down) = gateway_with(Run::Refuse(401)).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    for (from, text) in [(PERSON, "one"), (OTHER, "two"), (PERSON, "three"), (PERSON, "four")] {
        write(&app, from, text).await;
    }
    // Somebody has one of them tried again already, and it is answered.
    down.store(false, Ordering::Relaxed);
    let dead = "SELECT id FROM queue.dead WHERE kind = 'answer' ORDER BY id DESC LIMIT 1";
    let last = app.count(dead).await.unwrap();
    assert!(app.command(&["jobs", "retry", &last.to_string()]).await.0);
    app.drained().await;
    let asked_before = gateway.chats().len();

    let dry = retry(&app, &gateway, &["--dry-run"]).await;
    let words = ["turns", "retry", "--since", "2026-01-01T00:00:00Z", "--dry-run"];
    let (_, words) = app.command_with(&[("OPENCLAW_BASE_URL", gateway.url.as_str())], &words).await;
    let asked_meanwhile = gateway.chats().len();
    let first = retry(&app, &gateway, &[]).await;
    app.drained_well().await;
    let second = retry(&app, &gateway, &[]).await;
    app.drained_well().await;

    assert_eq!((&dry["dryRun"], &dry["retried"], &dry["skipped"]), (&json!(true), &json!(3), &json!(1)));
    assert!(words.contains(" would be retried") && !words.contains("Z  retried"), "{words}");
    assert_eq!(asked_meanwhile, asked_before, "nothing is done in a dry run");
    assert_eq!((&first["retried"], &first["skipped"]), (&json!(3), &json!(1)), "{first}");
    let outcomes: Vec<&Value> =
        first["turns"].as_array().unwrap().iter().map(|turn| &turn["outcome"]).collect();
    assert_eq!(outcomes, ["retried", "retried", "retried", "skipped"]);
    assert_eq!((&second["retried"], &second["skipped"]), (&json!(0), &json!(4)), "{second}");
    assert_eq!(second["reasons"], json!([{ "reason": "it was answered already", "turns": 4 }]));
    let chats = gateway.chats();
    let of_person: Vec<&str> = chats[asked_before..]
        .iter()
        .filter(|chat| chat.user == chats[0].user)
        .map(|chat| chat.text.as_str())
        .collect();
    assert_eq!(of_person, ["one", "three"], "in their order, and each once");
    assert_eq!(app.said_to(PERSON), [APOLOGY, "Well.", "Well.", "Well."]);
    assert_eq!(app.said_to(OTHER), [APOLOGY, "Well."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_again_while_the_agent_takes_no_turns_unless_it_is_forced() {
    let (gateway, _) = gateway_with(Run::Refuse(401)).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    write(&app, PERSON, "Hello").await;
    let nowhere = format!("http://{}", crate::support::processes::free_address());
    let env = [("OPENCLAW_BASE_URL", nowhere.as_str())];
    let arguments = ["turns", "retry", "--since", "2026-01-01T00:00:00Z"];

    let (well, refused) = app.command_with(&env, &arguments).await;
    let turns_before = app.count("SELECT count(*) FROM channel_turns").await;
    let (forced_well, forced) = app.command_with(&env, &[&arguments[..], &["--force"]].concat()).await;
    app.drained().await;

    assert!(!well && refused.contains("--force"), "{refused}");
    assert_eq!(turns_before, Some(1));
    assert!(forced_well && forced.contains("1 retried, 0 skipped"), "{forced}");
    let turns = turns_of(&app, PERSON).await;
    let states: Vec<&Value> = turns.iter().map(|turn| &turn["noApology"]).collect();
    assert_eq!(states, [&json!("retried"), &Value::Null], "it failed once more, and nobody apologises twice");
    assert_eq!(app.said_to(PERSON), [APOLOGY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_made_good_over_http_once_the_agent_takes_turns() {
    let address = free_address();
    let down = Arc::new(AtomicBool::new(true));
    let open = || {
        let down = down.clone();
        Gateway::chatting_at(address, move |_, _| {
            if down.load(Ordering::Relaxed) { Run::Refuse(401) } else { Run::Say("Well.", Duration::ZERO) }
        })
    };
    let gateway = open().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    for (from, text) in [(PERSON, "one"), (OTHER, "two"), (PERSON, "three")] {
        write(&app, from, text).await;
    }
    let ask = async |body: Value| app.admin(Method::POST, "/turns/retry", body).await;
    let all = json!({ "since": "2026-01-01T00:00:00Z" });
    drop(gateway);
    app.until("nobody listens", async || app.http.get(format!("http://{address}")).send().await.is_err())
        .await;

    let refused = ask(all.clone()).await;
    let dry = ask(json!({ "since": "2026-01-01T00:00:00Z", "dryRun": true })).await.1;
    let turns_before = app.count("SELECT count(*) FROM channel_turns").await;
    let gateway = open().await;
    down.store(false, Ordering::Relaxed);
    let second = &dry["turns"][1];
    let rest = json!({ "since": second["failedAt"], "after": second["turn"] });
    let before = json!({ "since": "2026-01-01T00:00:00Z", "until": dry["turns"][0]["failedAt"] });
    let none = ask(before).await.1;
    let of_third = ask(rest).await.1;
    app.drained().await;
    let (_, of_all) = ask(all).await;
    app.drained_well().await;
    let at_a_terminal = retry(&app, &gateway, &["--dry-run"]).await;
    let (_, again) = ask(json!({ "since": "2026-01-01T00:00:00Z", "dryRun": true })).await;

    assert_eq!((refused.0, &refused.1["code"]), (409, &json!("agent_takes_no_turns")), "{}", refused.1);
    assert!(refused.1["detail"].as_str().unwrap().contains("\"force\": true"), "{}", refused.1);
    assert_eq!((&dry["dryRun"], &dry["retried"], &dry["next"]), (&json!(true), &json!(3), &Value::Null));
    assert_eq!(turns_before, Some(3));
    assert_eq!(none["turns"], json!([]));
    assert_eq!((&of_third["retried"], &of_third["skipped"]), (&json!(1), &json!(0)), "{of_third}");
    assert_eq!((&of_all["retried"], &of_all["skipped"]), (&json!(2), &json!(1)), "{of_all}");
    assert_eq!(app.said_to(PERSON), [APOLOGY, "Well.", "Well."]);
    assert_eq!(app.said_to(OTHER), [APOLOGY, "Well."]);
    let mut over_http = again;
    assert_eq!(over_http.as_object_mut().unwrap().remove("next"), Some(Value::Null));
    assert_eq!(over_http, at_a_terminal);
    let audit =
        "SELECT DISTINCT concat(actor, ': ', action) FROM queue.audit WHERE outcome LIKE 'retried as%'";
    assert_eq!(app.text(audit).await, "administrator: retry");
    for (body, names) in [
        (json!({}), "since"),
        (json!({ "since": "yesterday" }), "since"),
        (json!({ "since": "2026-01-01T00:00:00Z", "dry_run": true }), "dry_run"),
    ] {
        let (status, problem) = ask(body).await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(names), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_long_says_where_the_next_one_goes_on() {
    let (gateway, _) = gateway_with(Run::Refuse(500)).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__ATTEMPTS", "1")];
    let app = TestApp::start_with(&env).await;
    write(&app, PERSON, "one").await;
    write(&app, OTHER, "two").await;
    let dry = json!({ "since": "2026-01-01T00:00:00Z", "dryRun": true });
    let (_, all) = app.admin(Method::POST, "/turns/retry", dry.clone()).await;
    // The first one's conversation is held until the request has taken its time.
    let mut held = app.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM channel_conversations WHERE user_id = $1 FOR UPDATE")
        .bind(PERSON)
        .execute(&mut *held)
        .await
        .unwrap();
    let begun = std::time::Instant::now();

    let request = app.admin(Method::POST, "/turns/retry", dry);
    let release = async {
        app.until("it has taken its time", async || begun.elapsed() > Duration::from_secs(6)).await;
        held.rollback().await.unwrap();
    };
    let ((_, first), ()) = futures::future::join(request, release).await;
    let (status, second) = app.admin(Method::POST, "/turns/retry", first["next"].clone()).await;

    let turns = all["turns"].as_array().unwrap();
    assert_eq!((turns.len(), &all["next"]), (2, &Value::Null));
    assert_eq!(first["turns"], json!([turns[0]]), "{first}");
    assert_eq!(
        (&first["next"]["since"], &first["next"]["after"]),
        (&turns[0]["failedAt"], &turns[0]["turn"]),
        "{first}"
    );
    assert_eq!(status, 200, "{second}");
    assert_eq!((&second["turns"], &second["next"]), (&json!([turns[1]]), &Value::Null));
}
