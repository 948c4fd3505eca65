//! What the page shows and changes.

use reqwest::Method;
use serde_json::{Value, json};

use super::Visit;
use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn what_people_and_operators_write_is_shown_as_text() {
    let app = TestApp::start().await;
    let nasty = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\"'";
    let user = json!({ "plan": "pro", "attributes": { "name": nasty } });
    assert_eq!(app.product(Method::PUT, "/users/alice", user).await.0, 201);
    app.write_schedule(
        "morning_briefing",
        "cron = \"30 8 * * *\"\n[audience]\nplan = \"pro\"\n[content]\nmessage = \"Hi {{user.name|}} <b>\"\n",
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    let visit = Visit::begin(&app, "alice").await;
    let answer = visit.post("/dashboard/messages", &[("text", nasty), ("key", "<script>")]).await;
    assert_eq!(answer.status(), 303);
    app.drained_well().await;
    let refused = visit.post("/dashboard/times", &[("timezone", nasty), ("from", ""), ("to", "")]).await;
    assert_eq!(refused.status(), 422);

    let page = visit.page().await;
    for (place, text) in [("page", page), ("refusal", refused.text().await.unwrap())] {
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{place}: {text}");
        assert!(
            text.contains("&#60;script&#62;alert(1)") || text.contains("&lt;script&gt;alert(1)"),
            "{place}: {text}"
        );
    }
    let mut thread = visit.get("/dashboard/thread?after=0").await;
    let mut read = String::new();
    while !read.contains("alert(1)") {
        read.push_str(&String::from_utf8_lossy(&thread.chunk().await.unwrap().unwrap()));
    }
    assert!(!read.contains("<script>alert"), "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_assistant_says_is_shown_with_its_signs_and_nothing_else_of_it_is_a_tag() {
    let app = TestApp::start().await;
    assert_eq!(app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await.0, 201);
    let visit = Visit::begin(&app, "alice").await;
    let text = "**sunny** and `a < b`, [here](javascript:alert(1)) or https://a.example/\"onclick=\"alert(2) <img src=x onerror=alert(3)>";
    assert_eq!(visit.post("/dashboard/messages", &[("text", text), ("key", "one")]).await.status(), 303);
    app.drained_well().await;

    let page = visit.page().await;
    let (mine, theirs) = page.split_once("<li class=\"theirs\"").unwrap();

    assert!(mine.contains("<p>**sunny** and"), "{mine}");
    assert!(theirs.contains("<strong>sunny</strong> and <code>a &lt; b</code>"), "{theirs}");
    assert!(
        theirs.contains("<a rel=\"noopener noreferrer\" target=\"_blank\" href=\"https://a.example/\">"),
        "{theirs}"
    );
    for never in ["href=\"javascript", "\"onclick", "<img"] {
        assert!(!page.contains(never), "{never}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_linked_by_the_code_on_the_page_and_let_go_again() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    let visit = Visit::begin(&app, "alice").await;
    assert!(visit.page().await.contains("No phone is linked."));

    let page = visit.follow("/dashboard/claim", &[]).await;
    let begin = page.find("LINK-").unwrap();
    let token = &page[begin..begin + 14];
    assert!(
        page.contains(&format!("https://wa.me/14155238886?text={token}")) && page.contains("<svg"),
        "{page}"
    );
    assert!(page.contains("By sending this code you link your number"), "{page}");
    assert!(!visit.page().await.contains(token), "without its cookie a browser does not have the code");
    app.inject(&[("From", PERSON), ("Body", token)]).await;
    app.drained_well().await;
    let page = visit.page().await;
    assert!(page.contains("Linked: +15005550100") && page.contains(">on</span>"), "{page}");

    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.drained_well().await;
    let page = visit.page().await;
    assert!(
        page.contains("You are unsubscribed") && page.contains("https://wa.me/14155238886?text=START"),
        "{page}"
    );
    let page = visit.follow("/dashboard/unlink", &[]).await;
    assert!(
        page.contains("The phone is not linked any more.") && page.contains("No phone is linked."),
        "{page}"
    );
    assert!(page.contains("Linking a phone starts them again."), "{page}");

    // Somebody else's phone moves only when the user says so.
    app.claim("bob", PERSON).await;
    let page = visit.follow("/dashboard/claim", &[]).await;
    let begin = page.find("LINK-").unwrap();
    app.inject(&[("From", PERSON), ("Body", &page[begin..begin + 14])]).await;
    app.drained_well().await;
    assert!(visit.page().await.contains("is linked to another account"));
    assert_eq!(visit.post("/dashboard/claim", &[]).await.status(), 409);
    let page = visit.follow("/dashboard/claim", &[("moves", "yes")]).await;
    let begin = page.find("LINK-").unwrap();
    app.inject(&[("From", PERSON), ("Body", &page[begin..begin + 14])]).await;
    app.drained_well().await;
    assert!(visit.page().await.contains("Linked: +15005550100"));
    assert!(app.user("bob").await["whatsapp"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_is_one_message_and_a_paused_assistant_gets_none() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({})).await;
    let visit = Visit::begin(&app, "alice").await;

    for _ in 0..2 {
        let form = [("text", "Hello\r\nthere"), ("key", "one")];
        assert_eq!(visit.post("/dashboard/messages", &form).await.status(), 303);
    }
    app.drained_well().await;
    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    let said = thread["messages"].as_array().unwrap();
    assert_eq!((said.len(), &said[0]["text"]), (2, &json!("Hello\nthere")), "{thread}");
    let other = visit.post("/dashboard/messages", &[("text", "other words"), ("key", "one")]).await;
    assert_eq!(other.status(), 409);
    assert_eq!(visit.post("/dashboard/messages", &[("text", "  "), ("key", "two")]).await.status(), 422);
    app.product(Method::PUT, "/users/alice", json!({ "paused": true })).await;
    let paused = visit.post("/dashboard/messages", &[("text", "Hello"), ("key", "three")]).await;
    assert_eq!(paused.status(), 409);
    assert!(paused.text().await.unwrap().contains("your assistant is paused"));
    assert!(visit.page().await.contains("Your assistant is paused"));
}

/// Messages of alice, numbered from 1.
const LONG_THREAD: &str = "
    INSERT INTO channel_messages (sid, conversation_id, channel, body, params, written_at, accepted_at, outcome, outcome_at)
    SELECT format('dashboard:long %s', n), c.id, 'dashboard', format('number %s.', n), '{}', now(), now(), 'silent', now()
    FROM channel_conversations c, generate_series(1, 120) n ORDER BY n";

#[tokio::test(flavor = "multi_thread")]
async fn a_long_thread_is_read_part_by_part() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    sqlx::raw_sql(LONG_THREAD).execute(&app.pg).await.unwrap();
    let visit = Visit::begin(&app, "alice").await;

    let mut path = "/dashboard".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = visit.get(&path).await.text().await.unwrap();
        let said = page.split("<p>number ").skip(1).map(|rest| rest.split('.').next().unwrap());
        let said: Vec<u32> = said.map(|number| number.parse().unwrap()).collect();
        seen.push((said[0], said[said.len() - 1], page.contains("data-stream=")));
        let Some((_, rest)) = page.split_once("/dashboard?before=") else { break };
        path = format!("/dashboard?before={}", rest.split('#').next().unwrap());
    }

    assert_eq!(seen, [(71, 120, true), (21, 70, false), (1, 20, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_usage_and_what_comes_next_are_told_in_words() {
    let app = TestApp::start_with(&[("CLOUDYBOT__PLANS__PRO__WHATSAPP_SENDS", "1")]).await;
    app.claim("alice", PERSON).await;
    app.product(Method::PUT, "/users/bob", json!({ "plan": "free" })).await;
    app.write_schedule(
        "morning_briefing",
        "cron = \"30 8 * * *\"\ntimezone = \"user\"\ndefault_timezone = \"UTC\"\n[audience]\nuser = \"alice\"\n[content]\nmessage = \"Good morning\"\n",
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    let (alice, bob) = (Visit::begin(&app, "alice").await, Visit::begin(&app, "bob").await);

    let page = alice.page().await;
    assert!(
        page.contains("Morning briefing") && page.contains("08:30 (UTC)") && page.contains("Good morning"),
        "{page}"
    );
    assert!(page.contains("0 of 1 WhatsApp updates used"), "{page}");
    assert!(page.contains("They come to WhatsApp, and into the chat here."), "{page}");
    assert!(bob.page().await.contains("WhatsApp updates are part of the paid plans"));
    assert!(bob.page().await.contains("No schedule will write to you."));
    let times = [("timezone", "Asia/Tokyo"), ("from", "22:00"), ("to", "09:00")];
    let page = alice.follow("/dashboard/times", &times).await;
    assert!(page.contains("Your times are saved.") && page.contains("09:00 (Asia/Tokyo)"), "{page}");
    assert!(page.contains("after your quiet hours"), "{page}");
    let known = app.user("alice").await;
    assert_eq!(
        (&known["timezone"], &known["quietHours"]),
        (&json!("Asia/Tokyo"), &json!({ "from": "22:00", "to": "09:00" }))
    );
    let half = alice.post("/dashboard/times", &[("timezone", ""), ("from", "22:00"), ("to", "")]).await;
    assert_eq!(half.status(), 422);
    app.product(Method::POST, "/users/alice/notifications", json!({ "text": "Build 17 failed." })).await;
    app.drained_well().await;
    let page = alice.page().await;
    assert!(page.contains("1 of 1 WhatsApp updates used") && page.contains("All are used up."), "{page}");
    assert!(page.contains("To WhatsApp they do not come: your plan&#39;s updates are used up."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_open_is_told_when_its_phone_is_linked() {
    let app = TestApp::start().await;
    let token = app.token("alice", Value::Null).await;
    let visit = Visit::begin(&app, "alice").await;
    let page = visit.page().await;
    let (_, rest) = page.split_once("data-live=\"").unwrap();
    let mut events = visit.get(rest.split('"').next().unwrap()).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");

    app.inject(&[("From", PERSON), ("Body", &token)]).await;

    let mut read = String::new();
    // An event without data would be none to a browser.
    while !read.contains("event: changed") || !read.contains("data: ") {
        read.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()));
    }
    assert!(visit.page().await.contains("Linked: +15005550100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_faster_than_people_do_nor_keeps_more_streams_open() {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_BURST", "3")]).await;
    app.product(Method::PUT, "/users/alice", json!({})).await;
    let visit = Visit::begin(&app, "alice").await;

    let mut answers = Vec::new();
    for key in ["one", "two", "three", "four"] {
        answers.push(
            visit.post("/dashboard/messages", &[("text", "Hello"), ("key", key)]).await.status().as_u16(),
        );
    }
    assert_eq!(answers, [303, 303, 303, 429]);
    app.drained_well().await;
    assert_eq!(app.count("SELECT count(*) FROM channel_messages").await, Some(3));

    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(visit.get("/dashboard/thread?after=0").await);
        streams.push(visit.get("/dashboard/events?seen=0").await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(visit.get("/dashboard/thread?after=0").await.status(), 429);
    drop(streams);
    app.until("a place is free", async || visit.get("/dashboard/events?seen=0").await.status() == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_session_is_over_tells_its_script_so_in_words() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({})).await;
    let visit = Visit::begin(&app, "alice").await;
    sqlx::raw_sql("DELETE FROM channel_dashboard_sessions").execute(&app.pg).await.unwrap();

    let form = [("text", "Hello"), ("key", "one")];
    let request = visit.http.post(app.url("/dashboard/messages")).header("cookie", &visit.cookie);
    let answer = request.header("accept", "text/plain").form(&form).send().await.unwrap();

    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().starts_with("You are signed out"));
    assert_eq!(visit.get("/dashboard/thread?after=0").await.status(), 401);
}
