//! Operators' cron duties.

use serde_json::Value;

use crate::support::{PERSON, TestApp};

fn schedule(cron: &str, rest: &str, content: &str) -> String {
    format!("cron = \"{cron}\"\n{rest}\n[audience]\neveryone = true\n[content]\n{content}\n")
}

const NEVER: &str = "0 0 29 2 *";

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_happens_once_though_three_schedulers_run_and_one_is_killed() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms")]).await;
    let people = ["whatsapp:+15005580001", "whatsapp:+15005580002", "whatsapp:+15005580003"];
    for person in people {
        app.link(person).await;
    }
    app.launch_another().await;
    app.launch_another().await;
    app.write_schedule(
        "often",
        &schedule(
            "*/2 * * * * *",
            "misfire = \"all\"\noverlap = \"wait\"",
            "message = \"It is {{slot.time}}, {{user.id}}\"",
        ),
    );

    app.until("some slots have been", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(2)
    })
    .await;
    app.kill_one(0).await;
    app.kill_one(2).await;
    app.until("more slots have been", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(5)
    })
    .await;
    app.remove_schedule("often");
    app.until("the file is seen to be gone", async || {
        app.count("SELECT count(*) FROM channel_schedules WHERE removed_at IS NULL").await == Some(0)
    })
    .await;
    app.drained_well().await;

    let slots = app.count("SELECT count(*) FROM channel_slots").await.unwrap();
    let span = "SELECT 1 + extract(epoch FROM max(moment) - min(moment))::BIGINT / 2 FROM channel_slots";
    assert_eq!(app.count(span).await, Some(slots), "no moment between the first and the last is missing");
    assert_eq!(app.count("SELECT count(*) FROM channel_slots WHERE state = 'done'").await, Some(slots));
    for person in people {
        assert_eq!(app.said_to(person).len(), usize::try_from(slots).unwrap(), "{person}");
        assert!(app.said_to(person)[0].ends_with("Reply STOP to unsubscribe."));
    }
    assert_eq!(
        app.count("SELECT count(*) FROM channel_turns WHERE agent = 'schedule often'").await,
        Some(slots * 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered_by_the_agent_and_a_failing_agent_is_told_apart() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.write_schedule("good", &schedule(NEVER, "", "prompt = \"Weather for {{user.id}}?\""));
    app.write_schedule("bad", &schedule(NEVER, "", "prompt = \"/fail\""));
    app.until("both are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;

    assert!(app.command(&["schedules", "fire", "good"]).await.0);
    assert!(app.command(&["schedules", "fire", "bad"]).await.0);
    app.drained_well().await;

    let said = app.said_to(PERSON);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("Weather for") && said[0].ends_with("Reply STOP to unsubscribe."));
    assert_eq!(
        app.text("SELECT string_agg(concat(schedule, ' ', state, ' ', manual), ', ' ORDER BY schedule) FROM channel_slots").await,
        "bad failed t, good done t"
    );
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY outcome) FROM channel_slot_users").await,
        "agent_failed planned"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_keeps_the_last_good_version_and_the_others_go_on() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.write_schedule("one", &schedule(NEVER, "", "message = \"first\""));
    app.write_schedule("two", &schedule(NEVER, "", "message = \"other\""));
    app.until("both are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;

    app.write_schedule("one", "cron = \"* *\"");
    app.write_schedule("two", &schedule(NEVER, "", "message = \"edited\""));
    app.until("the edit is loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules WHERE definition->'content'->>'message' = 'edited'")
            .await
            == Some(1)
    })
    .await;
    app.command(&["schedules", "fire", "one"]).await;
    app.command(&["schedules", "fire", "two"]).await;
    app.drained_well().await;

    let mut said: Vec<String> =
        app.said_to(PERSON).iter().map(|said| said.lines().next().unwrap().to_owned()).collect();
    said.sort();
    assert_eq!(said, ["edited", "first"]);
    let (well, told) = app.command(&["schedules", "check"]).await;
    assert!(!well && told.contains("schedule one, line 1: ") && told.contains("missing field"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_that_nobody_knows_is_told_and_fails_the_slot() {
    let app = TestApp::start().await;
    app.write_schedule(
        "user",
        &schedule(NEVER, "", "message = \"x\"").replace("everyone = true", "user = \"nobody\""),
    );
    app.write_schedule(
        "plan",
        &schedule(NEVER, "", "message = \"x\"").replace("everyone = true", "plan = \"gold\""),
    );
    app.until("both are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;

    let (well, told) = app.command(&["schedules", "check"]).await;
    app.command(&["schedules", "fire", "user"]).await;
    app.command(&["schedules", "fire", "plan"]).await;
    app.drained_well().await;

    assert!(!well && told.contains("there is no plan \"gold\"; the plans are"), "{told}");
    assert_eq!(
        app.text("SELECT string_agg(concat(state, ' ', reason), ', ' ORDER BY schedule) FROM channel_slots")
            .await,
        "failed there is no plan \"gold\", failed there is no user \"nobody\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_on_the_plan_without_a_phone_has_the_words_and_the_record_says_why_no_message_went_out() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.product(reqwest::Method::PUT, "/users/unlinked", serde_json::json!({ "plan": "pro" })).await;
    app.write_schedule(
        "plan",
        &schedule(NEVER, "", "message = \"x\"").replace("everyone = true", "plan = \"Pro\""),
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    app.command(&["schedules", "fire", "plan"]).await;
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(2));
    assert_eq!(
        app.text("SELECT string_agg(concat_ws(' ', user_id, outcome, reason), ', ' ORDER BY outcome) FROM channel_slot_users").await,
        format!("unlinked blocked not_linked, {PERSON} planned")
    );
    let (_, listed) = app.command(&["schedules", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let last = &listed["schedules"][0]["last"][0];
    assert_eq!(
        (last["planned"].as_i64(), last["blocked"].as_i64(), last["sent"].as_i64()),
        (Some(1), Some(1), Some(1)),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_for_three_hours_is_made_good_as_the_rule_says() {
    let mut app = TestApp::start().await;
    app.link(PERSON).await;
    for (name, rule) in [("once", "once"), ("all", "all"), ("skip", "skip")] {
        let rest = format!("misfire = \"{rule}\"\nmisfire_grace = \"1h\"");
        app.write_schedule(name, &schedule("*/30 * * * *", &rest, &format!("message = \"{name}\"")));
    }
    app.until("all are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(3)
    })
    .await;
    app.kill();
    sqlx::raw_sql("UPDATE channel_schedules SET fired_until = now() - interval '3 hours'")
        .execute(&app.pg)
        .await
        .unwrap();

    app.launch().await;
    app.until("all is made good", async || {
        app.count("SELECT count(DISTINCT schedule) FROM channel_slots").await == Some(3)
    })
    .await;
    app.drained_well().await;

    let told = |schedule: &'static str| {
        let pg = app.pg.clone();
        async move {
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "SELECT state, count(*) FROM channel_slots WHERE schedule = $1 GROUP BY state ORDER BY state",
            )
            .bind(schedule)
            .fetch_all(&pg)
            .await
            .unwrap();
            rows
        }
    };
    assert_eq!(told("once").await, [("done".to_owned(), 1), ("skipped".to_owned(), 5)]);
    assert_eq!(told("all").await, [("done".to_owned(), 6)]);
    // A machine that starts on the very half hour is on time.
    let skipped = told("skip").await;
    assert!(skipped.iter().any(|(state, number)| state == "skipped" && *number >= 5), "{skipped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_tries_and_switches_schedules() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.write_schedule(
        "morning",
        &schedule("30 8 * * 1-5", "timezone = \"Europe/Berlin\"", "message = \"Good morning\""),
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    let (well, previewed) = app.command(&["schedules", "preview", "morning", "--json"]).await;
    let previewed: Value = serde_json::from_str(&previewed).unwrap();
    assert!(well);
    assert_eq!((previewed["audience"].as_i64(), previewed["next"].as_array().unwrap().len()), (Some(1), 10));
    assert!(previewed["next"][0]["local"].as_str().unwrap().contains("T08:30:00+0"), "{previewed}");
    assert_eq!(previewed["rendered"]["chunks"][0], "Good morning\n\nReply STOP to unsubscribe.");
    assert_eq!(previewed["blocked"], serde_json::json!({}));
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    let (_, blocked) = app.command(&["schedules", "preview", "morning", "--json"]).await;
    let blocked: Value = serde_json::from_str(&blocked).unwrap();
    assert_eq!(blocked["blocked"]["opted_out"], serde_json::json!({ "count": 1, "users": [PERSON] }));
    app.inject(&[("From", PERSON), ("Body", "START")]).await;
    app.drained_well().await;
    assert_eq!(app.said_to(PERSON).len(), 2, "a preview sends nothing");

    assert!(app.command(&["schedules", "disable", "morning"]).await.0);
    let (_, listed) = app.command(&["schedules", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["schedules"][0]["enabled"], &listed["schedules"][0]["file"]),
        (&Value::Bool(false), &"same".into())
    );
    assert!(app.command(&["schedules", "enable", "morning"]).await.0);
    assert!(app.command(&["schedules", "fire", "morning"]).await.0);
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON).len(), 3);
    assert!(!app.command(&["schedules", "fire", "evening"]).await.0);
    assert!(!app.command(&["schedules", "preview", "evening"]).await.0);
}

#[test]
fn the_examples_are_right_and_switched_off() {
    let folder = channel::schedules::schedule_file::read_folder("schedules".as_ref()).unwrap();

    assert_eq!((folder.schedules.len(), folder.errors), (4, vec![]));
    assert!(folder.schedules.iter().all(|schedule| !schedule.definition.enabled));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_of_a_part_of_the_audience_says_so() {
    let app = TestApp::start().await;
    for person in [PERSON, "whatsapp:+15005550101", "whatsapp:+15005550102"] {
        app.link(person).await;
    }
    app.write_schedule("news", &schedule("0 0 29 2 *", "", "message = \"It is on.\""));
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["schedules", "fire", "news"]).await.0);
    app.drained_well().await;
    sqlx::raw_sql("ANALYZE").execute(&app.pg).await.unwrap();
    let ask = async |arguments: &[&str]| -> Value {
        let (well, answer) = app.command(arguments).await;
        assert!(well, "{answer}");
        serde_json::from_str(&answer).unwrap()
    };

    let all = ask(&["schedules", "preview", "news", "--json", "--users", "3"]).await;
    let some = ask(&["schedules", "preview", "news", "--json", "--users", "2"]).await;
    let counted = ask(&["schedules", "list", "--json"]).await["schedules"][0]["last"][0].clone();
    let sampled =
        ask(&["schedules", "list", "--json", "--users", "2"]).await["schedules"][0]["last"][0].clone();
    let (_, told) = app.command(&["schedules", "list", "--users", "2"]).await;

    let seen = |preview: &Value| ["audience", "audienceAbout", "lookedAt"].map(|name| preview[name].as_i64());
    assert_eq!((seen(&all), seen(&some)), ([Some(3), None, Some(3)], [None, Some(3), Some(2)]));
    let of = |last: &Value| (last["planned"].as_i64(), last["countedFirst"].as_i64());
    assert_eq!((of(&counted), of(&sampled)), ((Some(3), None), (Some(2), Some(2))));
    assert!(told.contains("of the first 2 users"), "{told}");
}
