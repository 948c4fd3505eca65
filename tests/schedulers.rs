//! Schedules when processes die, when their clocks are wrong, and when they have different files.

use crate::support::wrong_clock::WrongClock;
use crate::support::{PERSON, TestApp};

const NEVER: &str = "0 0 29 2 *";

fn says(cron: &str, message: &str) -> String {
    format!(
        "cron = \"{cron}\"\nmisfire = \"all\"\noverlap = \"wait\"\n[audience]\neveryone = true\n[content]\nmessage = \"{message}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_happens_once_by_the_present_file_though_a_clock_is_wrong_and_a_process_has_an_old_file() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms")]).await;
    app.link(PERSON).await;
    let old = tempfile::tempdir().unwrap();
    std::fs::write(old.path().join("often.toml"), says("*/2 * * * * *", "old")).unwrap();
    app.launch_another_with(&[("CLOUDYBOT__SCHEDULES__DIRECTORY", old.path().to_str().unwrap())]).await;
    app.until("the old file has fired", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(2)
    })
    .await;

    let wrong_clock = WrongClock::compile();
    app.launch_another_with(&wrong_clock.off_by("30")).await;
    app.write_schedule("often", &says("*/2 * * * * *", "new"));
    let of_new = "SELECT count(*) FROM channel_slots WHERE definition->'content'->>'message' = 'new'";
    app.until("the new file has fired", async || app.count(of_new).await >= Some(2)).await;
    let (_, listed) = app.command(&["schedules", "list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let mut versions: Vec<&str> = listed["schedules"][0]["processes"]
        .as_object()
        .unwrap()
        .values()
        .map(|has| has.as_str().unwrap())
        .collect();
    versions.sort_unstable();
    let so_far = app.count(of_new).await.unwrap();
    app.kill_one(usize::MAX).await;
    app.until("more slots have been", async || app.count(of_new).await >= Some(so_far + 3)).await;
    app.remove_schedule("often");
    app.until("the file is seen to be gone", async || {
        app.count("SELECT count(*) FROM channel_schedules WHERE removed_at IS NULL").await == Some(0)
    })
    .await;
    app.drained_well().await;

    assert_eq!(versions, ["differs", "same", "same"], "each process is seen with what it has");
    let slots = app.count("SELECT count(*) FROM channel_slots").await.unwrap();
    let span = "SELECT 1 + extract(epoch FROM max(moment) - min(moment))::BIGINT / 2 FROM channel_slots";
    assert_eq!(app.count(span).await, Some(slots), "no moment is missing, not at the edit either");
    let mixed = "SELECT count(*) FROM channel_slots old, channel_slots new
        WHERE old.definition->'content'->>'message' = 'old' AND new.definition->'content'->>'message' = 'new' AND old.moment > new.moment";
    assert_eq!(
        app.count(mixed).await,
        Some(0),
        "once the new file is there, the old one is not used any more"
    );
    assert_eq!(app.said_to(PERSON).len(), usize::try_from(slots).unwrap());
    let latest = "SELECT (1000 * max(extract(epoch FROM fired_at - moment)))::BIGINT FROM channel_slots WHERE id NOT IN
        (SELECT id FROM channel_slots ORDER BY fired_at - moment DESC LIMIT 2)";
    assert!(
        app.count(latest).await < Some(1000),
        "slots are on time, but for those that a dead process left behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_is_dealt_with_once_though_the_process_dies_in_the_middle() {
    const USERS: i64 = 10_000;
    let mut app = TestApp::start().await;
    for statement in [
        "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM generate_series(1, $1) n",
        "INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM generate_series(1, $1) n",
        "INSERT INTO channel_address_aliases (alias, address_id) SELECT format('whatsapp:+1%s', 2000000000 + n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_links (user_id, address_id) SELECT format('user-%s', n), n FROM generate_series(1, $1) n",
    ] {
        sqlx::query(statement).bind(USERS).execute(&app.pg).await.unwrap();
    }
    app.write_schedule("large", &says(NEVER, "Hello {{user.id}}"));
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["jobs", "pause", "pool", "proactive"]).await.0);
    assert!(app.command(&["schedules", "fire", "large"]).await.0);

    let mut seen_at_kills = Vec::new();
    for part in [1, 2, 3] {
        let dealt_with = async || app.count("SELECT count(*) FROM channel_slot_users").await.unwrap();
        app.until("a part is done", async || dealt_with().await > USERS * part / 4).await;
        app.kill();
        seen_at_kills.push(app.count("SELECT count(*) FROM channel_slot_users").await.unwrap());
        app.launch().await;
    }
    app.until("all of it is done", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'done'").await == Some(1)
    })
    .await;

    assert!(seen_at_kills.iter().any(|seen| *seen < USERS), "killed in the middle: {seen_at_kills:?}");
    for (count, expected) in [
        ("SELECT count(*) FROM channel_slot_users WHERE outcome = 'planned'", USERS),
        ("SELECT count(*) FROM channel_deliveries", USERS),
        ("SELECT count(DISTINCT user_id) FROM channel_deliveries", USERS),
        ("SELECT count(*) FROM channel_chunks WHERE has_footer AND meter_proactive", USERS),
        ("SELECT count(*) FROM channel_turns", USERS),
        ("SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk'", USERS),
        ("SELECT sum(reserved)::BIGINT FROM whatsapp_sends", USERS),
    ] {
        assert_eq!(app.count(count).await, Some(expected), "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_duties_whose_pages_overlap_end_both_though_each_holds_what_the_other_wants() {
    const USERS: i64 = 4000;
    let app = TestApp::start().await;
    sqlx::query(
        "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'max' FROM generate_series(1, $1) n",
    )
    .bind(USERS)
    .execute(&app.pg)
    .await
    .unwrap();
    let says = format!("cron = \"{NEVER}\"\n[audience]\nplan = \"max\"\n[content]\nmessage = \"Hello\"\n");
    for name in ["first", "second"] {
        app.write_schedule(name, &says);
    }
    app.until("they are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;
    assert!(app.command(&["jobs", "pause", "kind", "run_duty"]).await.0);
    for name in ["first", "second"] {
        assert!(app.command(&["schedules", "fire", name]).await.0);
    }

    // Its pages begin in the middle of the other's. Nobody has a phone, so their threads alone keep the two apart.
    let ahead = "UPDATE channel_slots SET last_user = (SELECT id FROM channel_users WHERE plan = 'max' ORDER BY id OFFSET 249 LIMIT 1) WHERE schedule = 'second'";
    sqlx::query(ahead).execute(&app.pg).await.unwrap();
    assert!(app.command(&["jobs", "resume", "kind", "run_duty"]).await.0);
    app.until("both are done", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'done'").await == Some(2)
    })
    .await;

    for (count, expected) in [
        ("SELECT count(*) FROM channel_slot_users WHERE outcome = 'blocked' AND reason = 'not_linked'", 7750),
        ("SELECT count(*) FROM channel_turns", 7750),
        ("SELECT sum(entries)::BIGINT FROM channel_conversations", 7750),
        ("SELECT count(*) FROM channel_conversations", USERS),
    ] {
        assert_eq!(app.count(count).await, Some(expected), "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_and_a_chat_never_run_beside_each_other() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let prompt = format!(
        "cron = \"{NEVER}\"\n[audience]\neveryone = true\n[content]\nprompt = \"/slow 700ms {{{{slot.date}}}}\"\n"
    );
    app.write_schedule("slow", &prompt);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    app.write(PERSON, "/slow 700ms one").await;
    app.until("the chat runs", async || app.count("SELECT count(*) FROM channel_turns").await == Some(1))
        .await;
    app.command(&["schedules", "fire", "slow"]).await;
    app.until("the prompt runs", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE slot_id IS NOT NULL").await == Some(1)
    })
    .await;
    app.write(PERSON, "two").await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON).len(), 3);
    let beside = "SELECT count(*) FROM channel_turns a JOIN channel_turns b ON a.id < b.id
        AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)";
    assert_eq!(app.count(beside).await, Some(0));
    assert_eq!(
        app.text("SELECT string_agg(coalesce(slot_id::TEXT, 'chat'), ' ' ORDER BY id) FROM channel_turns")
            .await,
        "chat 1 chat"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_of_three_parts_is_metered_on_each_and_says_stop_on_the_last() {
    let app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms")]).await;
    let people = [PERSON, "whatsapp:+15005580001"];
    for person in people {
        app.link(person).await;
    }
    let long: String = (0..70).map(|n| format!("Line {n} of what {{{{user.id}}}} should know. ")).collect();
    app.write_schedule("long", &says(NEVER, &long));
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    app.command(&["schedules", "fire", "long"]).await;
    app.drained_well().await;

    const FOOTER: &str = "Reply STOP to unsubscribe.";
    for person in people {
        let said = app.said_to(person);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("Line 0") && said[2].ends_with(FOOTER));
        assert!(!said[0].contains(FOOTER) && !said[1].contains(FOOTER));
        let user = app.user(person).await;
        assert_eq!(user["usage"]["whatsappSends"]["used"], 3, "{user}");
    }
    let flags = "SELECT string_agg(concat(index, ' ', meter_proactive, ' ', has_footer), ', ' ORDER BY index)
        FROM (SELECT DISTINCT index, meter_proactive, has_footer FROM channel_chunks) c";
    assert_eq!(app.text(flags).await, "0 t f, 1 t f, 2 t t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_erased_while_the_agent_works_holds_up_no_slot() {
    let app = TestApp::start().await;
    for user in ["alice", "bob"] {
        app.product(reqwest::Method::PUT, &format!("/users/{user}"), serde_json::json!({ "plan": "max" }))
            .await;
    }
    let asks =
        format!("cron = \"{NEVER}\"\n[audience]\nplan = \"max\"\n[content]\nprompt = \"/slow 1500 Hello\"\n");
    app.write_schedule("asks", &asks);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    assert!(app.command(&["schedules", "fire", "asks"]).await.0);
    app.until("the agent is asked", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running'").await == Some(2)
    })
    .await;
    assert_eq!(app.product(reqwest::Method::DELETE, "/users/alice", serde_json::Value::Null).await.0, 204);
    assert!(app.command(&["jobs", "pause", "pool", "prompts"]).await.0);
    app.drained().await;
    assert!(app.command(&["schedules", "fire", "asks"]).await.0);
    app.until("bob is to be asked", async || {
        app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'prompt_user'").await == Some(1)
    })
    .await;
    assert_eq!(app.product(reqwest::Method::DELETE, "/users/bob", serde_json::Value::Null).await.0, 204);
    assert!(app.command(&["jobs", "resume", "pool", "prompts"]).await.0);
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_slots WHERE state = 'done'").await, Some(2));
    let outcomes = "SELECT string_agg(concat_ws(' ', user_id, outcome, reason), ', ' ORDER BY slot_id, user_id) FROM channel_slot_users";
    assert_eq!(
        app.text(outcomes).await,
        "alice empty the user was erased, bob blocked not_linked, bob empty the user was erased"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_held_up_keeps_nobody_waiting_who_chats() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__AGENT__TIMEOUT", "2s")]).await;
    app.link(PERSON).await;
    let user = PERSON.replace('+', "%2B");
    app.write_schedule(
        "asks",
        &format!(
            "cron = \"{NEVER}\"\n[audience]\nuser = \"{PERSON}\"\n[content]\nprompt = \"/slow 1500 Hello\"\n"
        ),
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["schedules", "fire", "asks"]).await.0);
    app.until("the agent is asked", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running'").await == Some(1)
    })
    .await;

    // The process dies, and its pool is paused: nobody will end the prompt's turn.
    app.kill();
    assert!(app.command(&["jobs", "pause", "pool", "prompts"]).await.0);
    sqlx::query("UPDATE channel_agent_calls SET started_at = started_at - INTERVAL '1 minute'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.launch().await;
    app.write(PERSON, "Are you there?").await;
    app.replies(PERSON, 1).await;
    assert!(app.command(&["jobs", "resume", "pool", "prompts"]).await.0);
    app.drained_well().await;

    let (_, thread) =
        app.product(reqwest::Method::GET, &format!("/users/{user}/messages"), serde_json::Value::Null).await;
    let said: Vec<&str> =
        thread["messages"].as_array().unwrap().iter().map(|said| said["text"].as_str().unwrap()).collect();
    assert_eq!(said, ["Are you there?", "You said: Are you there?", "You said: /slow 1500 Hello"]);
}

/// Slots since now.
async fn fires_on(app: &TestApp) {
    let so_far = app.count("SELECT count(*) FROM channel_slots").await.unwrap();
    app.until("more slots have been", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(so_far + 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_last_goes_on_while_the_folder_cannot_be_read() {
    let mut app = TestApp::start().await;
    app.write_schedule("often", &says("* * * * * *", "on"));
    fires_on(&app).await;

    let alerts =
        "SELECT coalesce(sum(times), 0)::BIGINT FROM channel_alerts WHERE cause = 'schedules_unreadable'";
    for leaves_a_file in [true, false] {
        let told = app.count(alerts).await;
        app.take_schedules_away(leaves_a_file);
        app.until("there is an alert", async || app.count(alerts).await > told).await;
        fires_on(&app).await;
        if leaves_a_file {
            app.kill_one(usize::MAX).await;
            fires_on(&app).await;
        }
        let log = app.logged();
        app.bring_schedules_back();
        app.until("it is read again", async || app.logged()[log.len()..].contains("can be read again")).await;
    }

    fires_on(&app).await;
    assert_eq!(app.count("SELECT count(*) FROM channel_schedules WHERE removed_at IS NULL").await, Some(1));
}
