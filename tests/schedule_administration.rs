//! What administrators see and do of schedules: the same at a terminal and over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const NEW_YEAR: &str = "0 0 1 1 *";

fn schedule(rest: &str, content: &str) -> String {
    format!("cron = \"{NEW_YEAR}\"\n{rest}\n[audience]\neveryone = true\n[content]\n{content}\n")
}

/// Writes a file, and waits until the running scheduler says that it has it.
async fn load(app: &TestApp, name: &str, text: &str) {
    app.write_schedule(name, text);
    app.until("it is loaded", async || {
        let sql = "SELECT count(*) FROM channel_schedulers p JOIN channel_schedules s ON p.hashes ->> s.name = s.hash WHERE s.name = $1";
        let loaded: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(&app.pg).await.unwrap();
        loaded == 1
    })
    .await;
}

async fn get(app: &TestApp, path: &str) -> Value {
    let (status, answer) = app.admin(Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn post(app: &TestApp, path: &str, body: Value) -> Value {
    let (status, answer) = app.admin(Method::POST, path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// What the command line tells a program.
async fn told(app: &TestApp, arguments: &[&str]) -> Value {
    let quiet = [("CLOUDYBOT__LOG__FILTER", "off")];
    let (well, answer) = app.command_with(&quiet, &[arguments, &["--json"]].concat()).await;
    assert!(well, "{arguments:?}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_seen_tried_and_switched_over_http_as_at_a_terminal() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    load(&app, "morning", &schedule("timezone = \"Europe/Berlin\"", "message = \"Good morning\"")).await;

    let previewed = get(&app, "/schedules/morning/preview?slots=1&users=5").await;
    let fired = post(&app, "/schedules/morning/fire", Value::Null).await;
    let tried = post(&app, "/schedules/morning/test", json!({ "user": PERSON })).await;
    app.drained_well().await;
    app.until("both have arrived", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'delivered'").await == Some(2)
    })
    .await;
    let off = post(&app, "/schedules/morning/disable", json!({ "reason": "no more mornings" })).await;
    let listed_off = get(&app, "/schedules").await;
    let on = post(&app, "/schedules/morning/enable", Value::Null).await;
    let listed = get(&app, "/schedules?users=7").await;

    let audit: Vec<String> =
        sqlx::query_scalar("SELECT actor || ' ' || action || ' ' || target FROM queue.audit ORDER BY id")
            .fetch_all(&app.pg)
            .await
            .unwrap();
    assert_eq!(
        audit,
        [
            "administrator fire schedule morning",
            "administrator test schedule morning with one user",
            "administrator disable schedule morning",
            "administrator enable schedule morning"
        ]
    );
    let arguments = ["schedules", "preview", "morning", "--slots", "1", "--users", "5"];
    assert_eq!(previewed, told(&app, &arguments).await);
    assert_eq!(previewed["next"].as_array().unwrap().len(), 1);
    assert_eq!(
        previewed["rendered"],
        json!({ "for": PERSON, "chunks": ["Good morning\n\nReply STOP to unsubscribe."] })
    );
    let mut said = app.said_to(PERSON);
    said.sort();
    assert_eq!(
        said,
        ["Good morning\n\nReply STOP to unsubscribe.", "[Test] Good morning\n\nReply STOP to unsubscribe."]
    );
    assert_eq!((&fired["fired"], &tried["tested"]), (&json!("morning"), &json!("morning")));
    let slots = "SELECT string_agg(concat(id, CASE WHEN is_test THEN ' test' ELSE ' manual' END), ', ' ORDER BY id) FROM channel_slots";
    assert_eq!(app.text(slots).await, format!("{} manual, {} test", fired["slot"], tried["slot"]));
    let why = "switched off by administrator: no more mornings";
    let schedule_off = &listed_off["schedules"][0];
    assert_eq!((&schedule_off["enabled"], &schedule_off["disabledWhy"]), (&json!(false), &json!(why)));
    let since = schedule_off["switchedOff"]["since"].as_str().unwrap();
    let switched_off =
        json!({ "cause": "by_hand", "since": since, "by": "administrator", "reason": "no more mornings" });
    assert_eq!(schedule_off["switchedOff"], switched_off);
    assert_eq!(
        off,
        json!({ "schedule": "morning", "enabled": false, "disabledWhy": why, "switchedOff": switched_off })
    );
    assert_eq!(listed_off["schedules"][0]["next"], json!([]));
    assert_eq!(
        on,
        json!({ "schedule": "morning", "enabled": true, "disabledWhy": null, "switchedOff": null })
    );
    assert_eq!(listed, told(&app, &["schedules", "list", "--users", "7"]).await);
    assert_eq!(listed["schedules"][0]["file"], "same");
    assert_eq!(listed["schedules"][0]["last"].as_array().unwrap().len(), 2);
    assert_eq!(listed["findings"], told(&app, &["schedules", "check"]).await);
    assert_eq!(listed["findings"]["right"], json!(["morning"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_switches_a_schedule_on_is_told_what_else_keeps_it_off() {
    let app = TestApp::start().await;
    load(&app, "quiet", &schedule("enabled = false", "message = \"x\"")).await;
    load(&app, "past", &schedule("until = \"2020-01-01\"", "message = \"x\"")).await;
    let yet = |why: &str| format!("switched on by command, yet {why}, so it stays off");

    for (name, why) in [("quiet", "its file says enabled = false"), ("past", "it falls due no more")] {
        let right =
            json!({ "schedule": name, "enabled": false, "disabledWhy": yet(why), "switchedOff": null });
        assert_eq!(post(&app, &format!("/schedules/{name}/enable"), Value::Null).await, right);
        assert_eq!(told(&app, &["schedules", "enable", name]).await, right);
    }
    let (well, disabled) = app.command_with(&[("USER", "ada")], &["schedules", "disable", "quiet"]).await;

    assert!(well && disabled.contains("switched off by ada"), "{disabled}");
    assert_eq!(get(&app, "/schedules").await["schedules"][1]["disabledWhy"], "switched off by ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_is_told_as_wrong_with_all_its_errors() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    load(&app, "morning", &schedule("", "message = \"last good\"")).await;
    app.write_schedule("morning", &schedule("timezone = \"Mars\"\njitter = 3", "message = \"broken\""));
    app.write_schedule("never", "cron = 5");
    app.write_schedule(".#morning", "");
    app.write_schedule(
        "gold",
        &schedule("", "message = \"x\"").replace("everyone = true", "plan = \"gold\""),
    );

    app.until("the log tells of it", async || app.logged().contains(".#morning.toml is ignored")).await;
    let listed = get(&app, "/schedules").await;
    let (status, refused) = app.admin(Method::GET, "/schedules/morning/preview", Value::Null).await;
    let (of_plan, unknown_plan) = app.admin(Method::GET, "/schedules/gold/preview", Value::Null).await;
    let (_, at_a_terminal) = app.command(&["schedules", "list"]).await;
    let (previewed, told) = app.command(&["schedules", "preview", "morning"]).await;
    post(&app, "/schedules/morning/fire", Value::Null).await;
    app.drained_well().await;

    let morning = listed["schedules"].as_array().unwrap().iter().find(|row| row["schedule"] == "morning");
    let errors = morning.unwrap()["fileErrors"].as_array().unwrap();
    assert_eq!((&morning.unwrap()["file"], errors.len()), (&json!("wrong"), 2), "{listed}");
    assert!(errors[0].as_str().unwrap().starts_with("schedule morning, line 2: "), "{errors:?}");
    assert!(errors[1].as_str().unwrap().starts_with("schedule morning, line 3: jitter"), "{errors:?}");
    assert_eq!((status, &refused["code"], &refused["errors"]), (409, &json!("wrong_file"), &json!(errors)));
    assert_eq!(of_plan, 409);
    assert!(unknown_plan["detail"].as_str().unwrap().contains("there is no plan \"gold\""), "{unknown_plan}");
    let wrong = listed["findings"]["wrong"].to_string();
    assert!(wrong.contains("schedule never, line 1"), "a file that was never right is told: {wrong}");
    assert_eq!(
        listed["findings"]["warnings"],
        json!([".#morning.toml is ignored; a schedule is a file NAME.toml, not hidden"])
    );
    for error in errors {
        let error = error.as_str().unwrap();
        assert!(at_a_terminal.contains(&format!("wrong: {error}\n")), "{error}: {at_a_terminal}");
        assert!(!previewed && told.contains(error), "{told}");
    }
    assert!(at_a_terminal.contains("morning  file here: wrong"), "{at_a_terminal}");
    assert!(app.said_to(PERSON)[0].starts_with("last good"));
    let (_, told) = app.command(&["schedules", "check"]).await;
    assert!(told.contains("3 files must be mended"), "{told}");
    ["gold", "never"].into_iter().for_each(|name| app.remove_schedule(name));
    let (_, told) = app.command(&["schedules", "check"]).await;
    assert!(told.contains("1 file must be mended"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_a_prompt_as_the_agent_reads_it_and_a_template_with_its_variables() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let named = json!({ "attributes": { "name": "Zoë" } });
    app.product(Method::PUT, &format!("/users/{PERSON}"), named).await;
    let sid = format!("HX{}", "a".repeat(32));
    let template = format!(
        "[template]\ncontent_sid = \"{sid}\"\nvariables = {{ \"1\" = \"{{{{user.name|friend}}}}\" }}\n"
    );
    let question = "*Weather* for {{user.name|friend}}?";
    app.write_schedule("asks", &schedule("", &format!("prompt = \"{question}\"")));
    app.write_schedule("asks_by_template", &schedule("", &format!("prompt = \"{question}\"\n{template}")));
    app.write_schedule("says", &schedule("", &format!("message = \"Hello\"\n{template}")));
    let rendered = async |name: &str| {
        let previewed = get(&app, &format!("/schedules/{name}/preview")).await;
        assert_eq!(previewed, told(&app, &["schedules", "preview", name]).await);
        (previewed["rendered"].clone(), previewed["blocked"].clone())
    };

    let open = [rendered("asks").await, rendered("asks_by_template").await, rendered("says").await];
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    let closed = [rendered("asks").await, rendered("asks_by_template").await, rendered("says").await];

    let prompt = "*Weather* for Zoë?";
    let template = json!({ "contentSid": sid, "variables": { "1": "Zoë" } });
    let hello = ["Hello\n\nReply STOP to unsubscribe."];
    let window = json!({ "window": { "count": 1, "users": [PERSON] } });
    let by_template = json!({ "for": PERSON, "prompt": prompt, "template": template });
    assert_eq!(open[0], (json!({ "for": PERSON, "prompt": prompt }), json!({})));
    assert_eq!(open[1], (by_template.clone(), json!({})));
    assert_eq!(open[2], (json!({ "for": PERSON, "chunks": hello, "template": template }), json!({})));
    assert_eq!(closed[0], (json!({ "for": PERSON, "prompt": prompt }), window));
    assert_eq!(closed[1], (by_template, json!({})));
    assert_eq!(closed[2], (json!({ "for": PERSON, "template": template }), json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let app = TestApp::start().await;
    load(&app, "morning", &schedule("", "message = \"x\"")).await;
    load(&app, "news", &schedule("", "message = \"x\"")).await;
    let alice = json!({ "user": "alice" });
    let known = "there are morning, news";
    for (method, path, body, status, names) in [
        (Method::GET, "?users=0", Value::Null, 422, "users: 0 is less than 1"),
        (Method::GET, "?users=all", Value::Null, 400, "users"),
        (Method::GET, "?user=1", Value::Null, 400, "unknown parameter `user`"),
        (Method::GET, "/morning/preview?slots=0", Value::Null, 422, "slots: 0 is not between 1 and 1000"),
        (Method::GET, "/morning/preview?slots=1001", Value::Null, 422, "slots: 1001 is not between"),
        (Method::GET, "/morning/preview?users=-1", Value::Null, 422, "users: -1 is less than 1"),
        (Method::GET, "/morning/preview?slot=1", Value::Null, 400, "unknown parameter `slot`"),
        (Method::GET, "/evening/preview", Value::Null, 404, known),
        (Method::GET, "/..%2Fmorning/preview", Value::Null, 404, known),
        (Method::POST, "/evening/fire", Value::Null, 404, known),
        (Method::POST, "/..%2Fmorning/fire", Value::Null, 404, known),
        (Method::POST, "/evening/enable", Value::Null, 404, known),
        (Method::POST, "/evening/disable", Value::Null, 404, known),
        (Method::POST, "/evening/test", alice.clone(), 404, known),
        (Method::POST, "/%00/fire", Value::Null, 400, "name: the value holds a NUL"),
        (Method::POST, "/%00/disable", Value::Null, 400, "name"),
        (Method::POST, "/morning/test", alice, 404, "there is no user \"alice\""),
        (Method::POST, "/morning/test", json!({ "user": "\0" }), 422, "user: the value holds a NUL"),
        (Method::POST, "/morning/test", json!({ "usr": "alice" }), 422, "unknown field `usr`"),
        (Method::POST, "/morning/test", Value::Null, 415, "application/json"),
        (Method::GET, "/morning/fire", Value::Null, 405, "openapi"),
    ] {
        let (found, problem) = app.admin(method.clone(), &format!("/schedules{path}"), body).await;

        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(found, status, "{method} {path}: {problem}");
        assert!(detail.contains(names), "{method} {path}: {detail}");
        assert!(names != known || problem["known"] == json!(["morning", "news"]), "{problem}");
    }
    for (arguments, names) in [
        (&["schedules", "fire", "evening"][..], known),
        (&["schedules", "fire", "no name"], known),
        (&["schedules", "preview", "evening"], known),
        (&["schedules", "preview", "morning", "--slots", "1001"], "1..=1000"),
        (&["schedules", "test", "morning", "--user", "alice"], "there is no user \"alice\""),
    ] {
        let (well, said) = app.command(arguments).await;
        assert!(!well && said.contains(names), "{arguments:?}: {said}");
    }
    assert_eq!(app.count("SELECT count(*) FROM channel_slots").await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM channel_schedules WHERE enabled").await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_listed_fired_and_switched_while_the_folder_cannot_be_read() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    load(&app, "morning", &schedule("", "message = \"Good morning\"")).await;
    app.take_schedules_away(true);

    let listed = get(&app, "/schedules").await;
    let (status, previewed) = app.admin(Method::GET, "/schedules/morning/preview", Value::Null).await;
    let at_a_terminal = told(&app, &["schedules", "list"]).await;
    let (checked, _) = app.command(&["schedules", "check"]).await;
    let fired = told(&app, &["schedules", "fire", "morning"]).await;
    let off = told(&app, &["schedules", "disable", "morning"]).await;
    app.bring_schedules_back();
    app.drained_well().await;

    let errors = &listed["schedules"][0]["fileErrors"];
    assert!(errors[0].as_str().unwrap().starts_with("cannot read "), "{errors}");
    assert_eq!(
        (&listed["schedules"][0]["file"], &listed["findings"]["wrong"]),
        (&json!("wrong"), errors),
        "{listed}"
    );
    assert_eq!(at_a_terminal["schedules"], listed["schedules"]);
    assert_eq!((status, &previewed["detail"]), (409, &errors[0]));
    assert!(!checked && fired["slot"].is_i64() && off["enabled"] == false, "{fired} {off}");
    assert!(app.said_to(PERSON)[0].starts_with("Good morning"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_answers_is_described() {
    let app = TestApp::start().await;

    let description: Value =
        app.http.get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();

    let path = |path: &str| &description["paths"][format!("/admin/api/schedules{path}")];
    assert_eq!(path("")["get"]["operationId"], "listSchedules");
    let parameters = path("/{name}/preview")["get"]["parameters"].as_array().unwrap();
    let bounds = |name: &str| {
        let parameter = parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
        ["minimum", "maximum", "default"].map(|bound| parameter["schema"][bound].as_i64())
    };
    assert_eq!(bounds("slots"), [Some(1), Some(1000), Some(10)]);
    assert_eq!(bounds("users"), [Some(1), None, Some(10_000)]);
    for deed in ["fire", "test", "enable", "disable"] {
        assert!(path(&format!("/{{name}}/{deed}"))["post"].is_object(), "{deed}");
    }
    let schemas = &description["components"]["schemas"];
    let has_shape =
        |schema: &Value| ["type", "$ref", "oneOf", "allOf"].iter().any(|shape| schema[*shape] != Value::Null);
    for name in [
        "ScheduleList",
        "ListedSchedule",
        "PastSlot",
        "Upcoming",
        "ZoneRulesView",
        "Findings",
        "Preview",
        "BlockedUsers",
        "Rendered",
        "RenderedTemplate",
        "Fired",
        "Tested",
        "Switched",
        "TestRequest",
        "TurnRetryRequest",
        "RetriedTurns",
        "RetriedTurn",
        "SkippedTurns",
        "NextTurns",
    ] {
        let fields = schemas[name]["properties"].as_object().unwrap_or_else(|| panic!("{name}"));
        for (field, schema) in fields {
            assert!(has_shape(schema), "{name}.{field}: {schema}");
            let of_either = schema["oneOf"][0]["description"].is_string();
            assert!(schema["description"].is_string() || of_either, "{name}.{field}: {schema}");
        }
    }
    assert!(schemas["FileVersion"].to_string().contains("wrong"), "{}", schemas["FileVersion"]);
    assert_eq!(
        schemas["RenderedTemplate"]["properties"]["variables"]["additionalProperties"]["type"],
        "string"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_switched_while_a_slot_of_it_ends() {
    let app = TestApp::start().await;
    load(&app, "morning", &schedule("", "message = \"x\"")).await;
    let mut ending = app.pg.begin().await.unwrap();
    let share = "SELECT FROM channel_schedules WHERE name = 'morning' FOR KEY SHARE";
    sqlx::query(share).execute(&mut *ending).await.unwrap();

    let switching = app.admin(Method::POST, "/schedules/morning/disable", Value::Null);
    let ends = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        app.until("the switch waits for the slot", async || app.count(waiting).await == Some(1)).await;
        let end = "UPDATE channel_schedules SET failed_in_row = 0 WHERE name = 'morning'";
        sqlx::query(end).execute(&mut *ending).await.unwrap();
        ending.commit().await.unwrap();
    };
    let ((status, switched), ()) = futures::future::join(switching, ends).await;

    assert_eq!((status, &switched["enabled"]), (200, &json!(false)), "{switched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_only_to_as_many_people_as_were_confirmed() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    load(&app, "morning", &schedule("", "message = \"Good morning\"")).await;

    let (other, problem) = app.admin(Method::POST, "/schedules/morning/fire", json!({ "expected": 2 })).await;
    let (well, said) = app.command(&["schedules", "fire", "morning", "--expected", "7"]).await;
    let undone = app.count("SELECT count(*) FROM channel_slots").await;
    let fired = post(&app, "/schedules/morning/fire", json!({ "expected": 1 })).await;
    app.drained_well().await;

    assert_eq!((other, &problem["code"], &problem["fitting"]), (409, &json!("unexpected_number"), &json!(1)));
    assert!(!well && said.contains("it writes to 1 person now, and 7 were expected"), "{said}");
    assert_eq!(undone, Some(0), "nothing was done");
    assert!(fired["slot"].is_i64(), "{fired}");
    assert_eq!(app.count("SELECT count(*) FROM queue.audit WHERE action = 'fire'").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_checked_before_it_is_put_in_place() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    load(&app, "morning", &schedule("", "message = \"Good morning\"")).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("morning.toml");
    let path = path.to_str().unwrap();
    let check = async || {
        let (well, said) = app
            .command_with(&[("CLOUDYBOT__LOG__FILTER", "off")], &["schedules", "check", path, "--json"])
            .await;
        (well, said)
    };

    std::fs::write(path, schedule("", "message = \"Good day\"").replace(NEW_YEAR, "* * * * *")).unwrap();
    let (right, said) = check().await;
    let trial: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    std::fs::write(path, schedule("", "message = \"Good morning\"")).unwrap();
    let (_, same) = check().await;
    std::fs::write(path, schedule("", "mesage = \"Good day\"")).unwrap();
    let (wrong, told_wrong) = check().await;
    let (_, at_a_terminal) = app.command(&["schedules", "check", path]).await;

    assert!(right && !wrong, "{told_wrong}");
    assert_eq!((trial["next"].as_array().unwrap().len(), &trial["audience"]), (5, &json!(1)), "{trial}");
    assert!(trial["warnings"][0].as_str().unwrap().contains("it falls due 1440 times a day"), "{trial}");
    assert!(trial["replaces"].as_str().unwrap().starts_with("the version loaded at "), "{trial}");
    assert!(same.contains("the loaded version says the same"), "{same}");
    assert!(told_wrong.contains("mesage") && at_a_terminal.contains("must be mended"), "{told_wrong}");
    assert_eq!(
        app.text("SELECT definition #>> '{content,message}' FROM channel_schedules").await,
        "Good morning"
    );
    app.write_schedule("evening", "cron = 1");
    let (_, status) = app.admin(Method::GET, "/status", Value::Null).await;
    let remedies: Vec<&str> = status["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| finding["remedy"].as_str())
        .collect();
    assert!(remedies.iter().any(|remedy| remedy.contains("`cloudybot schedules check COPY`")), "{status}");
}
