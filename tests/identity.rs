//! Who is writing: users, claims, and what is known and forgotten of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const OTHER: &str = "whatsapp:+15005550101";
const LINKED: &str = "This number is now linked";
const REFUSED: &str = "That code isn't valid or has expired.";

/// The last thing that was said to a person begins like this.
fn last_begins(app: &TestApp, phone: &str, begins: &str) -> bool {
    app.said_to(phone).last().is_some_and(|said| said.starts_with(begins))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_sends_the_users_token_is_linked_and_may_chat() {
    let app = TestApp::start().await;
    let token = app.token("alice", Value::Null).await;

    app.inject(&[("From", PERSON), ("Body", &token.to_lowercase())]).await;
    app.drained_well().await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;

    let said = app.said_to(PERSON);
    assert!(said[0].starts_with(LINKED) && said[1].contains("Hello"), "{said:?}");
    let user = app.user("alice").await;
    assert_eq!(user["whatsapp"]["address"], PERSON);
    assert_eq!((&user["optedOut"], &user["claim"]["state"]), (&json!(false), &json!("redeemed")));
    let consents = user["consents"].as_array().unwrap();
    assert_eq!(consents.len(), 1, "a claim adds exactly one row");
    assert_eq!(
        (&consents[0]["phone"], &consents[0]["method"], &consents[0]["action"]),
        (&json!("+15005550100"), &json!("claim_flow"), &json!("granted"))
    );
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "claim answered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_nowhere_in_clear() {
    let app = TestApp::start().await;
    let token = app.token("alice", Value::Null).await;
    let symbols: String = token.chars().filter(char::is_ascii_alphanumeric).skip(4).collect();

    let tables = app.text("SELECT string_agg(t::TEXT, '') FROM channel_claim_tokens t").await;
    assert!(!tables.contains(&symbols));
    let spelled = token.to_lowercase().replacen('-', "", 1).replacen('-', " – ", 1);
    let sentence = format!("my code is {spelled}, right?");
    app.inject(&[("From", PERSON), ("Body", &sentence)]).await;
    app.product(Method::POST, "/users/alice/messages", json!({ "text": sentence })).await;
    app.drained_well().await;
    app.inject(&[("From", PERSON), ("Body", &token), ("ButtonText", &token)]).await;
    app.drained_well().await;
    app.inject(&[("From", OTHER), ("Body", &token)]).await;
    app.drained_well().await;

    let bodies = "SELECT string_agg(body, '|' ORDER BY id) FROM channel_messages";
    let redacted = "my code is link…, right?";
    assert_eq!(app.text(bodies).await, format!("{redacted}|{redacted}|LINK-…|LINK-…"));
    let messages = app.text("SELECT upper(string_agg(t::TEXT, '')) FROM channel_messages t").await;
    assert!(!messages.contains(&symbols[..4]) && !messages.contains(&symbols[4..]), "{messages}");
    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    assert!(thread.to_string().contains(redacted), "{thread}");
    let jobs = app.text("SELECT string_agg(t::TEXT, '') FROM queue.finished t").await;
    for text in [jobs, app.logged()] {
        assert!(!text.contains(&symbols) && !text.contains(&token));
        assert!(!text.contains("15005550100"), "a full number: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_phones_that_send_one_token_one_wins() {
    let app = TestApp::start().await;
    let token = app.token("alice", Value::Null).await;
    let (one, other) = ([("From", PERSON), ("Body", &*token)], [("From", OTHER), ("Body", &*token)]);

    tokio::join!(app.inject(&one), app.inject(&other));
    app.drained_well().await;

    let linked = [PERSON, OTHER].map(|phone| last_begins(&app, phone, LINKED));
    let refused = [PERSON, OTHER].map(|phone| last_begins(&app, phone, REFUSED));
    assert!(linked[0] != linked[1] && refused[0] != refused[1] && linked[0] != refused[0]);
    assert_eq!(app.count("SELECT count(*) FROM channel_links").await, Some(1));
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_consents").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_tokens_even_the_right_one_is_refused_from_that_phone_alone() {
    let app = TestApp::start().await;
    let token = app.token("alice", Value::Null).await;

    for wrong in
        ["LINK-AAAA-AAAA", "LINK-AAAA-AAAB", "LINK-AAAA-AAAC", "LINK-AAAA-AAAD", "LINK-AAAA-AAAE", &token]
    {
        app.inject(&[("From", PERSON), ("Body", wrong)]).await;
        app.drained_well().await;
    }
    assert_eq!(app.said_to(PERSON).iter().filter(|said| said.starts_with(REFUSED)).count(), 6);
    app.inject(&[("From", OTHER), ("Body", &token)]).await;
    app.drained_well().await;

    assert!(last_begins(&app, OTHER, LINKED));
    assert_eq!(app.user("alice").await["whatsapp"]["address"], OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_moves_to_another_user_only_when_that_is_asked_for() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;

    app.claim("bob", PERSON).await;
    assert!(last_begins(&app, PERSON, REFUSED));
    let bob = app.user("bob").await;
    assert_eq!((&bob["whatsapp"], &bob["claim"]["state"]), (&Value::Null, &json!("number_linked_elsewhere")));
    let (status, problem) = app.product(Method::POST, "/users/bob/whatsapp/claims", Value::Null).await;
    assert_eq!((status, &problem["code"]), (409, &json!("number_linked_elsewhere")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("\"replace\": true"));

    let token = app.token("bob", json!({ "replace": true })).await;
    app.inject(&[("From", PERSON), ("Body", &token)]).await;
    app.drained_well().await;

    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    assert_eq!((&alice["whatsapp"], &bob["whatsapp"]["address"]), (&Value::Null, &json!(PERSON)));
    let told: Vec<&Value> = alice["consents"].as_array().unwrap().iter().map(|row| &row["action"]).collect();
    assert_eq!(told, ["granted", "revoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_claims_another_phone_leaves_the_first() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.claim("alice", OTHER).await;

    assert_eq!(app.user("alice").await["whatsapp"]["address"], OTHER);
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;
    assert!(last_begins(&app, PERSON, "This number isn't linked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_token_links_nothing() {
    let app = TestApp::start().await;
    let first = app.token("alice", Value::Null).await;
    app.token("alice", Value::Null).await;

    app.inject(&[("From", PERSON), ("Body", &first)]).await;
    app.drained_well().await;

    assert!(last_begins(&app, PERSON, REFUSED));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claim_is_told_with_a_link_and_a_picture() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", Value::Null).await;

    let (status, claim) = app.product(Method::POST, "/users/alice/whatsapp/claims", Value::Null).await;

    let token = claim["token"].as_str().unwrap();
    assert_eq!(status, 201);
    assert_eq!(claim["link"], format!("https://wa.me/14155238886?text={token}"));
    assert!(claim["qrSvg"].as_str().unwrap().contains("<svg"));
    assert!(claim["consentText"].as_str().unwrap().contains("STOP"));
    assert!(claim["expiresAt"].as_str().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_one_hint_an_hour_and_no_agent() {
    let app = TestApp::start().await;

    for body in ["Hello", "Hello?", "stop browser", "One more", "and more", "and more"] {
        app.inject(&[("From", PERSON), ("Body", body)]).await;
        app.drained_well().await;
    }

    let said = app.said_to(PERSON);
    assert!(said.len() == 1 && said[0].starts_with("This number isn't linked"), "{said:?}");
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(0));
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "not_linked not_linked not_linked not_linked not_linked rate_limited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_whatsapp_refuses_claims_and_hints_once_a_day() {
    let app = TestApp::start_with(&[("CLOUDYBOT__PLANS__GROWTH__WHATSAPP", "false")]).await;
    app.claim("alice", PERSON).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "Growth" })).await;

    let (status, problem) = app.product(Method::POST, "/users/alice/whatsapp/claims", Value::Null).await;
    for body in ["Hello", "Hello?", "STOP"] {
        app.inject(&[("From", PERSON), ("Body", body)]).await;
        app.drained_well().await;
    }

    assert_eq!((status, &problem["code"]), (403, &json!("plan")), "{problem}");
    let said = app.said_to(PERSON);
    assert!(said[1].starts_with("Your CloudyBot plan doesn't include"), "{said:?}");
    assert!(said[2].starts_with("You're unsubscribed") && said.len() == 3, "{said:?}");
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "claim plan plan keyword"
    );
    let (_, usage) = app.product(Method::GET, "/users/alice/usage", Value::Null).await;
    let sends = &usage["whatsappSends"];
    assert_eq!((&sends["cap"], &sends["remaining"]), (&json!(0), &json!(0)), "nothing could be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_user_links_and_chats_and_has_nothing_to_be_sent() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", Value::Null).await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;

    assert!(app.said_to(PERSON)[1].contains("Hello"));
    let (_, usage) = app.product(Method::GET, "/users/alice/usage", Value::Null).await;
    assert_eq!(usage["plan"], "free");
    assert_eq!(
        usage["whatsappSends"],
        json!({ "used": 0, "reserved": 0, "credited": 0, "cap": 0, "remaining": 0 })
    );
    let (_, plans) = app.product(Method::GET, "/plans", Value::Null).await;
    assert_eq!((&plans["default"], &plans["plans"]["max"]["whatsappSends"]), (&json!("free"), &json!(500)));
    assert!(plans["plans"]["free"]["note"].as_str().unwrap().contains("paid plans"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_number_and_a_hidden_id_is_one_person_whichever_came_first() {
    const HIDDEN: &str = "whatsapp:US.abcDEF123456";
    for (first, then) in [(PERSON, HIDDEN), (HIDDEN, PERSON)] {
        let app = TestApp::start().await;
        app.claim("alice", first).await;

        // Both names in one webhook are the proof, then each is used alone.
        app.inject(&[("From", first), ("ExternalUserId", HIDDEN), ("Body", "one")]).await;
        app.inject(&[("From", PERSON), ("ExternalUserId", HIDDEN), ("Body", "two")]).await;
        app.drained_well().await;
        app.inject(&[("From", then), ("Body", "STOP")]).await;
        app.inject(&[("From", first), ("Body", "three")]).await;
        app.drained_well().await;

        assert_eq!(app.user("alice").await["optedOut"], true, "{first}");
        assert_eq!(
            app.count("SELECT count(*) FROM channel_addresses WHERE merged_into IS NULL").await,
            Some(1)
        );
        assert_eq!(app.count("SELECT count(*) FROM channel_links").await, Some(1));
        assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(1));
        assert_eq!(
            app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await,
            Some(3)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_is_unknown_and_the_opt_out_is_still_proven() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    for body in ["my secret", "STOP"] {
        app.inject(&[("From", PERSON), ("Body", body)]).await;
        app.drained_well().await;
    }

    let (erased, _) = app.product(Method::DELETE, "/users/alice", Value::Null).await;

    assert_eq!(erased, 204);
    assert_eq!(app.product(Method::GET, "/users/alice", Value::Null).await.0, 404);
    assert_eq!(app.product(Method::DELETE, "/users/alice", Value::Null).await.0, 404);
    let left = app.text("SELECT string_agg(t::TEXT, '') FROM channel_messages t").await;
    assert!(!left.contains("secret") && !left.contains("15005550100"), "{left}");
    let deliveries = app
        .text("SELECT string_agg(concat(c::TEXT, d::TEXT), '') FROM channel_chunks c, channel_deliveries d")
        .await;
    assert!(!deliveries.contains("secret") && !deliveries.contains("15005550100"), "{deliveries}");
    assert_eq!(
        app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs WHERE phone IS NULL AND user_id IS NULL")
            .await,
        Some(1)
    );
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_consents WHERE phone IS NULL").await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_thread_is_erased_to_its_end_though_the_process_dies_over_it() {
    let mut app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    sqlx::raw_sql(
        "ALTER TABLE channel_messages DISABLE TRIGGER USER;
         INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, accepted_at, outcome, outcome_at)
         SELECT format('SM%s', n), l.address_id, c.id, 'my secret', '{}', now(), 'answered', now()
         FROM channel_links l JOIN channel_conversations c ON c.user_id = l.user_id, generate_series(1, 15000) n;
         ALTER TABLE channel_messages ENABLE TRIGGER USER",
    )
    .execute(&app.pg)
    .await
    .unwrap();

    let (begun, _) = app.product(Method::DELETE, "/users/alice", Value::Null).await;
    app.kill();

    assert_eq!(begun, 202);
    let secrets = "SELECT count(*) FROM channel_messages WHERE body LIKE '%secret%'";
    assert_ne!(app.count(secrets).await, Some(0), "there was nothing left to go on with");
    app.launch().await;
    assert_eq!(app.product(Method::GET, "/users/alice", Value::Null).await.0, 404);
    assert_eq!(app.inject(&[("From", PERSON), ("Body", "who am I?")]).await, Some(200));
    app.until("all is erased", async || app.count("SELECT count(*) FROM channel_erasures").await == Some(0))
        .await;
    assert_eq!(app.count(secrets).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_product_that_makes_no_sense_is_refused_by_name() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "periodAnchor": 31, "paused": true })).await;
    let refused = [
        (Method::PUT, "/users/bob", json!({ "plan": "gold" }), 422, "the plans are free, growth, max, pro"),
        (Method::PUT, "/users/bob", json!({ "periodAnchor": 32 }), 422, "periodAnchor"),
        (Method::PUT, "/users/bob", json!({ "plam": "pro" }), 422, "plam"),
        (Method::PUT, "/users/bob", json!([]), 422, ""),
        (Method::PUT, "/users/%20", json!({}), 422, "user"),
        (Method::GET, "/users/bob", Value::Null, 404, "no such user"),
        (Method::GET, "/users/bob/usage", Value::Null, 404, "no such user"),
        (Method::POST, "/users/bob/whatsapp/claims", Value::Null, 404, "no such user"),
        (Method::PUT, "/users/bob/opt-out", Value::Null, 404, "no such user"),
        (Method::PUT, "/users/alice/opt-out", Value::Null, 409, "no phone"),
        (Method::PATCH, "/users/alice", Value::Null, 405, ""),
        (Method::GET, "/nothing", Value::Null, 404, "no such path"),
    ];

    for (method, path, body, status, names) in refused {
        let (found, problem) = app.product(method.clone(), path, body).await;

        assert_eq!(found, status, "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(names), "{method} {path}: {problem}");
    }
    assert_eq!(app.user("bob").await["status"], 404, "a refused request creates nobody");
    let alice = app.user("alice").await;
    assert_eq!((&alice["periodAnchor"], &alice["paused"]), (&json!(31), &json!(true)));
    assert_eq!(app.call(Method::GET, "/v1/plans", "of-administrators", Value::Null).await.0, 401);
    assert_eq!(app.call(Method::GET, "/admin/api/jobs", "of-the-product", Value::Null).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_agent_repeated_is_nowhere_in_clear_once_it_is_redeemed() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    let token = app.token("alice", json!({ "replace": true })).await;
    app.inject(&[("From", PERSON), ("Body", &format!("What is {token} for?"))]).await;
    app.drained_well().await;
    assert!(app.said_to(PERSON).iter().any(|said| said.contains(&token)), "the agent has not repeated it");
    app.until("it has arrived", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE state <> 'delivered'").await == Some(0)
    })
    .await;

    app.inject(&[("From", "whatsapp:+15005550177"), ("Body", &token)]).await;
    app.drained_well().await;

    let kept = app
        .text(
            "SELECT concat((SELECT string_agg(t::TEXT, '') FROM channel_turns t), (SELECT string_agg(d::TEXT, '') FROM channel_deliveries d),
                    (SELECT string_agg(c::TEXT, '') FROM channel_chunks c), (SELECT string_agg(m::TEXT, '') FROM channel_messages m))",
        )
        .await;
    assert!(kept.contains("What is ") && !kept.contains(&token[5..9]), "{kept}");
}
