//! Numbers that come with another WhatsApp id than their person's: they may have changed hands.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const OTHER: &str = "whatsapp:+15005550101";
const ALICE: &str = "whatsapp:US.alice1";
const STRANGER: &str = "whatsapp:US.stranger9";
const HINT: &str = "This number isn't linked";
const STOPPED: &str = "You're unsubscribed";

async fn writes(app: &TestApp, number: &str, id: &str, body: &str) {
    let status = app.inject(&[("From", number), ("ExternalUserId", id), ("Body", body)]).await;
    assert_eq!(status, Some(200));
    app.drained_well().await;
}

/// Alice has claimed the number, and her id is known.
async fn alice(app: &TestApp) {
    app.claim("alice", PERSON).await;
    writes(app, PERSON, ALICE, "Hello").await;
}

async fn notify(app: &TestApp, user: &str) -> Value {
    let path = format!("/users/{user}/notifications");
    let (status, answer) = app.product(Method::POST, &path, json!({ "text": "The news" })).await;
    assert_eq!(status, 202, "{answer}");
    answer["delivery"]["id"].clone()
}

async fn end_of(app: &TestApp, delivery: &Value) -> Value {
    let path = format!("/deliveries/{}", delivery.as_str().unwrap());
    let delivery = app.product(Method::GET, &path, Value::Null).await.1;
    json!([delivery["state"], delivery["reason"]])
}

fn last_begins(app: &TestApp, name: &str, begins: &str) -> bool {
    app.said_to(name).last().is_some_and(|said| said.starts_with(begins))
}

/// How the latest messages ended.
async fn outcomes(app: &TestApp) -> String {
    app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_with_another_id_is_a_strangers_to_whom_nothing_of_the_former_user_is_said() {
    let app = TestApp::start().await;
    alice(&app).await;
    let pool = json!({ "scope": "pool", "name": "proactive" });
    app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    let under_way = notify(&app, "alice").await;
    let before = app.said_to(PERSON).len();

    assert_eq!(
        app.inject(&[("From", PERSON), ("ExternalUserId", STRANGER), ("Body", "Who is this?")]).await,
        Some(200)
    );
    app.admin(Method::POST, "/jobs/resume", pool).await;
    app.drained_well().await;
    let later = notify(&app, "alice").await;
    app.drained_well().await;

    assert_eq!(outcomes(&app).await, "claim answered not_linked");
    let said = app.said_to(PERSON);
    assert!(said.len() == before + 1 && said[before].starts_with(HINT), "{said:?}");
    assert_eq!(app.said_to(ALICE), Vec::<String>::new());
    for delivery in [&under_way, &later] {
        assert_eq!(end_of(&app, delivery).await, json!(["blocked", "not_linked"]));
    }
    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    assert!(!thread.to_string().contains("Who is this?"), "{thread}");
    let user = app.user("alice").await;
    assert_eq!(user["whatsapp"]["unproven"], true);
    assert!(user["whatsapp"]["unprovenSince"].is_string(), "{user}");
    assert_eq!(user["usage"]["whatsappSends"]["reserved"], 0, "{user}");

    writes(&app, PERSON, STRANGER, "STOP").await;
    assert!(last_begins(&app, PERSON, STOPPED));
    assert_eq!(app.user("alice").await["optedOut"], false, "a stranger opts nobody else out");

    // Alice's new phone: a new number, and so a new id.
    let token = app.token("alice", Value::Null).await;
    writes(&app, OTHER, "whatsapp:US.alice2", &token).await;
    let user = app.user("alice").await;
    assert_eq!((&user["whatsapp"]["address"], &user["whatsapp"]["unproven"]), (&json!(OTHER), &json!(false)));
    let proven = notify(&app, "alice").await;
    app.drained_well().await;
    assert_eq!(end_of(&app, &proven).await, json!(["sent", null]));
    assert!(last_begins(&app, OTHER, "The news"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_under_way_when_the_number_changes_hands_reaches_nobody() {
    let app = TestApp::start().await;
    alice(&app).await;
    app.inject(&[("From", PERSON), ("ExternalUserId", ALICE), ("Body", "/slow 1000")]).await;
    let running = "SELECT count(*) FROM channel_turns WHERE state = 'running'";
    app.until("the agent works", async || app.count(running).await == Some(1)).await;

    writes(&app, PERSON, STRANGER, "Hello").await;

    assert_eq!(outcomes(&app).await, "claim answered answered not_linked");
    assert!(last_begins(&app, PERSON, HINT), "{:?}", app.said_to(PERSON));
    assert_eq!(app.said_to(PERSON).len(), 3);
    assert_eq!(app.said_to(ALICE), Vec::<String>::new());
    let ended = "SELECT state || ' ' || reason FROM channel_deliveries WHERE purpose = 'reply' ORDER BY created_at DESC LIMIT 1";
    assert_eq!(app.text(ended).await, "blocked not_linked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_forgets_the_new_id_of_whoever_was_let_through() {
    let app = TestApp::start().await;
    let people = people(&app, 6).await;
    for (number, id) in &people {
        writes(&app, number, id, "Hello").await;
    }
    let (number, id) = &people[5];
    assert!(last_begins(&app, number, "You said"));

    let user = number.replace('+', "%2B");
    let (erased, _) = app.product(Method::DELETE, &format!("/users/{user}"), Value::Null).await;

    assert_eq!(erased, 204);
    let names = app.text("SELECT string_agg(alias, ' ') FROM channel_address_aliases").await;
    assert!(!names.contains(number.as_str()) && !names.contains(id.as_str()), "{names}");
    assert!(names.contains(&people[4].1));
    // What waits for the operator's decision about an erased person is settled by the erasure.
    let (well, told) = app.command(&["users", "trust-new-ids", "--json", "--refuse"]).await;
    assert!(well && told.contains("\"heldBack\": 0"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_unproven_is_proven_by_a_token_from_either_side_alone() {
    let hidden = ["whatsapp:US.alice1", "whatsapp:US.alice1"];
    for [from, id] in [hidden, [PERSON, ALICE], [PERSON, STRANGER]] {
        let app = TestApp::start().await;
        alice(&app).await;
        writes(&app, PERSON, STRANGER, "Hello").await;

        // The old id alone is no new proof.
        writes(&app, ALICE, ALICE, "Hello").await;
        assert_eq!(outcomes(&app).await, "claim answered not_linked not_linked");
        let token = app.token("alice", Value::Null).await;
        writes(&app, from, id, &token).await;
        writes(&app, from, id, "Hello again").await;

        assert_eq!(
            outcomes(&app).await,
            "claim answered not_linked not_linked claim answered",
            "{from} {id}"
        );
        let user = app.user("alice").await;
        assert_eq!(
            (&user["whatsapp"]["unproven"], &user["whatsapp"]["address"]),
            (&json!(false), &json!(from))
        );
        assert_eq!(app.count("SELECT count(*) FROM channel_links WHERE ended_at IS NULL").await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_stays_with_the_number_and_with_its_former_holder() {
    let app = TestApp::start().await;
    alice(&app).await;
    writes(&app, PERSON, ALICE, "STOP").await;

    writes(&app, PERSON, STRANGER, "Hello").await;
    assert_eq!(app.user("alice").await["optedOut"], true);
    // START of the one says nothing about the other.
    writes(&app, PERSON, STRANGER, "START").await;

    assert_eq!(app.user("alice").await["optedOut"], true);
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_has_changed_hands_keeps_its_opt_out() {
    let app = TestApp::start().await;
    alice(&app).await;
    writes(&app, PERSON, ALICE, "STOP").await;
    writes(&app, PERSON, STRANGER, "Hello").await;
    // Linked in a way that settles no opt-out, as a claim does.
    sqlx::raw_sql(
        "INSERT INTO channel_users (id, plan) VALUES ('bob', 'pro');
         INSERT INTO channel_links (user_id, address_id) SELECT 'bob', address_id FROM channel_address_aliases WHERE alias = 'whatsapp:US.stranger9'",
    )
    .execute(&app.pg)
    .await
    .unwrap();

    let delivery = notify(&app, "bob").await;
    app.drained_well().await;

    assert_eq!(end_of(&app, &delivery).await, json!(["blocked", "opted_out"]));
    writes(&app, PERSON, STRANGER, "Hello").await;
    assert!(last_begins(&app, PERSON, "You said"), "{:?}", app.said_to(PERSON));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_a_person_are_kept_and_join_nobody() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    let also =
        [("ParentExternalUserId", "whatsapp:US.ENT.p1"), ("Username", "alice"), ("ProfileUsername", "alice")];

    for (number, id) in [(PERSON, "US.alice1"), (PERSON, ALICE), (OTHER, "whatsapp:US.bob1")] {
        let mut form = vec![("From", number), ("ExternalUserId", id), ("Body", "Hello")];
        form.extend(also);
        assert_eq!(app.inject(&form).await, Some(200));
        app.drained_well().await;
    }

    assert_eq!(outcomes(&app).await, "claim answered answered not_linked");
    assert_eq!(app.count("SELECT count(*) FROM channel_addresses").await, Some(2));
    let kept =
        "SELECT count(*) FROM channel_messages WHERE params ->> 'ParentExternalUserId' = 'whatsapp:US.ENT.p1'
                AND params ->> 'Username' = 'alice' AND params ->> 'ProfileUsername' = 'alice'";
    assert_eq!(app.count(kept).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_write_from_one_number_at_once_stay_two() {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")]).await;
    alice(&app).await;

    let wrote = join_all((0..60).map(|n| {
        let app = &app;
        let id = if n % 2 == 0 { ALICE } else { STRANGER };
        async move { app.inject(&[("From", PERSON), ("ExternalUserId", id), ("Body", id)]).await }
    }))
    .await;
    app.drained_well().await;

    assert!(wrote.iter().all(|status| *status == Some(200)), "{wrote:?}");
    assert_eq!(app.user("alice").await["whatsapp"]["unproven"], true);
    let of_one_each = "SELECT count(DISTINCT (address_id, params ->> 'ExternalUserId')) FROM channel_messages WHERE body LIKE 'whatsapp:US.%'";
    assert_eq!(app.count(of_one_each).await, Some(2));
    assert_eq!(
        app.count("SELECT count(*) FROM channel_address_aliases WHERE alias LIKE '%US.%'").await,
        Some(2)
    );
    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    assert!(!thread.to_string().contains(STRANGER), "{thread}");
}

/// Linked people with their numbers and ids, who have written.
async fn people(app: &TestApp, number: usize) -> Vec<(String, String)> {
    let people: Vec<(String, String)> =
        (0..number).map(|n| (format!("whatsapp:+150055502{n:02}"), format!("whatsapp:US.new{n}"))).collect();
    for (n, (phone, _)) in people.iter().enumerate() {
        app.link(phone).await;
        writes(app, phone, &format!("whatsapp:US.old{n}"), "Hello").await;
    }
    people
}

async fn unproven(app: &TestApp) -> Option<i64> {
    app.count("SELECT count(*) FROM channel_links WHERE unproven_since IS NOT NULL AND ended_at IS NULL")
        .await
}

const ALERTS: &str = "SELECT count(*) FROM channel_alerts WHERE cause = 'sender_moved'";

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_has_moved_changes_everybodys_id_and_holds_back_only_the_first() {
    let app = TestApp::start().await;
    let people = people(&app, 9).await;
    let moved = app
        .text("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        .await;
    assert!(app.command(&["check"]).await.1.contains("no move of the sender"));

    for (number, id) in &people[..8] {
        writes(&app, number, id, "Hello").await;
    }

    assert_eq!(unproven(&app).await, Some(5));
    assert_eq!(app.count(ALERTS).await, Some(1));
    for (place, (number, _)) in people[..8].iter().enumerate() {
        assert_eq!(last_begins(&app, number, HINT), place < 5, "{place}");
    }
    let (well, told) = app.command(&["check"]).await;
    assert!(!well && told.contains("8 linked people") && told.contains("trust-new-ids --since"), "{told}");

    let (well, told) = app.command(&["users", "trust-new-ids", "--json", "--since", &moved]).await;
    let expected = json!({ "provenAgain": 5, "confirmed": 3, "heldBack": 0, "claimedMeanwhile": 0 });
    assert!(well, "{told}");
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), expected);
    let (well, told) = app.command(&["users", "trust-new-ids", "--since", &moved]).await;
    assert!(well && told.contains("0"), "asked again, it changes nothing: {told}");

    assert_eq!(unproven(&app).await, Some(0));
    for (number, id) in &people {
        // By the number with the new id, and by the new id alone.
        writes(&app, number, id, "By number").await;
        writes(&app, id, id, "By id").await;
        assert!(last_begins(&app, number, "You said"), "{:?}", app.said_to(number));
        assert!(last_begins(&app, id, "You said"), "{:?}", app.said_to(id));
    }
    // A number that changes hands afterwards is held back as ever.
    writes(&app, &people[0].0, "whatsapp:US.another", "Hello").await;
    assert!(last_begins(&app, &people[0].0, HINT));
    assert_eq!((unproven(&app).await, app.count(ALERTS).await), (Some(1), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_sender_has_not_moved_everybody_with_another_id_is_held_back() {
    let app = TestApp::start().await;
    let (well, told) = app.command(&["users", "trust-new-ids", "--refuse"]).await;
    assert!(!well && told.contains("nothing to refuse"), "{told}");
    let people = people(&app, 7).await;
    for (number, id) in &people {
        writes(&app, number, id, "Hello").await;
    }
    assert_eq!(unproven(&app).await, Some(5));

    let (well, told) = app.command(&["users", "trust-new-ids", "--json", "--refuse"]).await;

    assert!(well && told.contains("\"heldBack\": 2"), "{told}");
    assert_eq!(unproven(&app).await, Some(7));
    let (number, id) = &people[6];
    writes(&app, number, id, "Hello").await;
    assert!(last_begins(&app, number, HINT));
    assert!(app.command(&["check"]).await.1.contains("no move of the sender"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_changed_ids_among_many_people_are_no_move() {
    let app = TestApp::start().await;
    let people = people(&app, 7).await;
    sqlx::raw_sql(
        "WITH more AS (INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM generate_series(1, 700) RETURNING id)
         INSERT INTO channel_messages (sid, address_id, body, params, outcome, outcome_at) SELECT 'SMmore' || id, id, '', '{}', 'silent', now() FROM more",
    )
    .execute(&app.pg)
    .await
    .unwrap();

    for (number, id) in &people {
        writes(&app, number, id, "Hello").await;
    }

    assert_eq!((unproven(&app).await, app.count(ALERTS).await), (Some(7), Some(0)));
}
