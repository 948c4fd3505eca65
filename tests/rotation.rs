//! `CLOUDYBOT_SECRET_KEY` changes: no STOP is forgotten.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const KEY: &str = "CLOUDYBOT_SECRET_KEY";
const HIDDEN: &str = "whatsapp:US.hidden1";

/// Three people who said STOP, one of whom hides the number and one of whom is erased, and a token of somebody's own gateway.
async fn stopped() -> TestApp {
    let app = TestApp::start_with(&[("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", "[\"127.0.0.1:9\"]")]).await;
    for (user, phone) in [("alice", PERSON), ("bob", HIDDEN), ("gone", "whatsapp:+15005550177")] {
        app.claim(user, phone).await;
        app.inject(&[("From", phone), ("Body", "STOP")]).await;
    }
    let own = json!({ "agent": { "baseUrl": "http://127.0.0.1:9", "token": "s3cret" } });
    assert_eq!(app.product(Method::PUT, "/users/bob", own).await.0, 200);
    app.drained_well().await;
    assert_eq!(app.product(Method::DELETE, "/users/gone", Value::Null).await.0, 204);
    app
}

/// Whether a notification to this user is kept from leaving by the STOP.
async fn is_stopped(app: &TestApp, user: &str) -> bool {
    let text = json!({ "text": "Build 17 failed." });
    let (status, answer) = app.product(Method::POST, &format!("/users/{user}/notifications"), text).await;
    assert_eq!(status, 202, "{answer}");
    answer["delivery"]["reason"] == "opted_out"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_lost_the_key_is_refused_and_told_how_to_rotate() {
    let mut app = stopped().await;
    app.terminate().await;

    let said = app.refused(&[(KEY, "another")]).await;
    let (checked, check) = app.command_with(&[(KEY, "another")], &["check"]).await;
    let (erased, _) = app.command_with(&[(KEY, "another")], &["users", "erase", "alice", "--yes"]).await;

    for said in [&said, &check] {
        assert!(said.contains("3 opt-outs, 7 consents and 1 sealed tokens hang on the key"), "{said}");
        assert!(said.contains("CLOUDYBOT_SECRET_KEY=new,former"), "{said}");
        assert!(!said.contains("another") && !said.contains("of the hashes"), "{said}");
    }
    assert!(!checked && !erased);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_every_stop_holds_and_what_has_its_number_hangs_on_the_new_key() {
    let mut app = stopped().await;
    app.terminate().await;

    app.launch_with(&[(KEY, "another,of the hashes")]).await;
    assert!(is_stopped(&app, "alice").await && is_stopped(&app, "bob").await);
    app.until("what can be is hashed anew", async || {
        app.count("SELECT count(*) FROM channel_secret_keys WHERE hashed_anew_at IS NOT NULL").await
            == Some(2)
    })
    .await;

    let rotated = [(KEY, "another,of the hashes")];
    let (_, listed) = app.command_with(&rotated, &["keys", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let counts = |place: usize| {
        let used = &listed[place];
        [&used["optOuts"], &used["consents"], &used["sealedTokens"]].map(|n| n.as_i64().unwrap())
    };
    assert_eq!(
        (counts(0), counts(1)),
        ([2, 4, 1], [1, 3, 0]),
        "only what was erased hangs on the former key"
    );
    let (first, last) = (&listed[1]["firstUsedAt"], &listed[1]["lastUsedAt"]);
    assert!(first.as_str() < last.as_str(), "{first} and {last}");
    assert!(is_stopped(&app, "alice").await && is_stopped(&app, "bob").await);
    let (checked, check) = app.command_with(&rotated, &["check"]).await;
    assert!(checked && check.contains("1 opt-outs, 3 consents and 0 sealed tokens"), "{check}");
    // Whoever was erased and comes back is known by the former key still.
    app.claim("gone2", "whatsapp:+15005550177").await;
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(2));
    app.terminate().await;
    app.refused(&[(KEY, "another")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_for_good_can_be_given_up_and_stops_with_a_number_still_hold() {
    let mut app = stopped().await;
    app.terminate().await;
    let lost = app.text("SELECT fingerprint FROM channel_secret_keys").await;

    let (done, said) = app.command_with(&[(KEY, "another")], &["keys", "give-up", &lost]).await;
    let (again, _) = app.command_with(&[(KEY, "another")], &["keys", "give-up", "0123456789abcdef"]).await;

    assert!(done && !again, "{said}");
    app.launch_with(&[(KEY, "another")]).await;
    assert!(is_stopped(&app, "alice").await);
}
