//! Whose gateway is asked: a user's own, the deployment's, or one that deployments share.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_have_a_gateway_of_their_own() {
    let shared = Gateway::chatting(|_, _| Run::Say("The shared one.", Duration::ZERO)).await;
    let own = Gateway::chatting(|_, _| Run::Say("Your own.", Duration::ZERO)).await;
    let allowed = format!("[\"{}\"]", own.url.strip_prefix("http://").unwrap());
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &shared.url),
        ("OPENCLAW_TOKEN", "of-all"),
        ("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", &allowed),
    ])
    .await;
    let put = async |user: &str, agent: Value| {
        app.product(Method::PUT, &format!("/users/{user}"), json!({ "agent": agent })).await
    };

    let (status, alice) =
        put("alice", json!({ "baseUrl": own.url, "token": "of-alice", "agentId": "work" })).await;
    put("bob", json!({ "agentId": "home", "model": "small" })).await;
    for user in ["alice", "bob", "carol"] {
        app.product(Method::PUT, &format!("/users/{user}"), json!({})).await;
        app.product(Method::POST, &format!("/users/{user}/messages"), json!({ "text": user })).await;
    }
    app.drained_well().await;
    let (_, moved) = put("alice", json!({ "baseUrl": shared.url })).await;
    let (_, without) = put("alice", Value::Null).await;
    let refused = [
        put("alice", json!({ "token": "x" })).await,
        put("alice", json!({ "baseUrl": "gateway" })).await,
        put("alice", json!({ "baseUrl": own.url, "agentId": "two words" })).await,
        put("alice", json!({ "url": own.url })).await,
    ];

    assert_eq!((status, &alice["agent"]["hasToken"]), (201, &json!(true)));
    assert!(!alice.to_string().contains("of-alice"));
    let asked = |gateway: &Gateway| -> Vec<(String, String, String)> {
        let chats = gateway.chats().into_iter();
        chats.map(|chat| (chat.text, chat.authorization.unwrap(), chat.model)).collect()
    };
    let three =
        |text: &str, token: &str, model: &str| (text.to_owned(), format!("Bearer {token}"), model.to_owned());
    assert_eq!(asked(&own), [three("alice", "of-alice", "openclaw/work")]);
    let mut of_shared = asked(&shared);
    of_shared.sort();
    assert_eq!(of_shared, [three("bob", "of-all", "openclaw/home"), three("carol", "of-all", "openclaw")]);
    assert!(gateway_channels(&shared).iter().all(|channel| channel == "dashboard"));
    assert_eq!(
        app.count("SELECT count(*) FROM channel_user_agents WHERE position('of-alice'::BYTEA IN token) > 0")
            .await,
        Some(0)
    );
    assert_eq!(moved["agent"]["hasToken"], false, "another gateway does not get the token");
    assert_eq!(without["agent"], Value::Null);
    for (status, problem) in refused {
        assert_eq!(status, 422, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_gateway_is_not_inside_unless_the_operator_says_so() {
    let inside = Gateway::chatting(|_, _| Run::Say("From inside.", Duration::ZERO)).await;
    let app = TestApp::start().await;
    let put = async |base_url: &str| {
        app.product(Method::PUT, "/users/alice", json!({ "agent": { "baseUrl": base_url } })).await
    };
    app.product(Method::PUT, "/users/alice", json!({})).await;

    for base_url in [
        &inside.url,
        &app.url("/admin/api"),
        "http://localhost:1",
        "http://169.254.169.254",
        "http://[::1]:1",
    ] {
        let (status, problem) = put(base_url).await;
        let detail = problem["detail"].as_str().unwrap_or_default();

        assert_eq!(status, 422, "{base_url}: {problem}");
        assert!(detail.contains("openclaw.allowed_hosts"), "{base_url}: {problem}");
    }
    // One that was given before there was a rule.
    sqlx::query("INSERT INTO channel_user_agents (user_id, base_url) VALUES ('alice', $1)")
        .bind(&inside.url)
        .execute(&app.pg)
        .await
        .unwrap();
    app.product(Method::POST, "/users/alice/messages", json!({ "text": "Hello" })).await;
    app.drained().await;

    assert!(inside.chats().is_empty(), "nobody asks it");
    let error = app.text("SELECT error FROM channel_turns").await;
    assert!(error.contains("openclaw.allowed_hosts"), "{error}");
}

fn gateway_channels(gateway: &Gateway) -> Vec<String> {
    gateway.chats().into_iter().filter_map(|chat| chat.channel).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deployments_on_one_gateway_never_share_a_session_and_a_restart_keeps_it() {
    let gateway = Gateway::chatting(|_, _| Run::Say("Hello.", Duration::ZERO)).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str())];
    let (mut one, other) = (TestApp::start_with(&env).await, TestApp::start_with(&env).await);

    for app in [&one, &other] {
        app.write(PERSON, "Hello").await;
        app.replies(PERSON, 1).await;
    }
    one.kill_one(usize::MAX).await;
    one.write(PERSON, "Hello again").await;
    one.replies(PERSON, 2).await;

    let sessions: Vec<String> = gateway.chats().into_iter().map(|chat| chat.user).collect();
    assert_ne!(sessions[0], sessions[1], "both have a conversation 1");
    assert_eq!(sessions[0], sessions[2]);
    assert!(
        sessions.iter().all(|session| *session == session.to_lowercase()),
        "gateways fold case: {sessions:?}"
    );
}
