//! STOP and START.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const STOPPED: &str = "You're unsubscribed from scheduled and proactive messages. You can still chat here. Reply START to resume.";

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_recorded_before_its_webhook_is_answered_and_confirmed_before_all_that_waits() {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")]).await;
    let pool = json!({ "scope": "pool", "name": "conversation" });
    app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    let people: Vec<String> = (0..10).map(|n| format!("whatsapp:+150055503{n:02}")).collect();
    for person in people.iter().chain([&PERSON.to_owned()]) {
        app.link(person).await;
    }
    let others = (0..500).map(|n| {
        let from = if n % 2 == 0 { PERSON } else { &people[n % 10] };
        let app = &app;
        async move { app.inject(&[("From", from), ("Body", "Hello")]).await }
    });
    futures::future::join_all(others).await;

    assert_eq!(app.inject(&[("From", PERSON), ("Body", " Stop! ")]).await, Some(200));

    let recorded: (String, String, String) =
        sqlx::query_as("SELECT phone, user_id, keyword FROM whatsapp_proactive_opt_outs")
            .fetch_one(&app.pg)
            .await
            .unwrap();
    assert_eq!(recorded, ("+15005550100".to_owned(), PERSON.to_owned(), "STOP".to_owned()));
    app.replies(PERSON, 1).await;
    app.admin(Method::POST, "/jobs/resume", pool).await;
    app.drained_well().await;
    let said = app.said_to(PERSON);
    assert_eq!(said[0], STOPPED);
    assert!(said.len() > 1, "the agent still answers");
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome IS NULL").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_keyword_of_a_kind_is_silent() {
    let app = TestApp::start().await;

    for body in ["START", "start", "STOP", "unsubscribe", "Quit.", "START", "START"] {
        app.write(PERSON, body).await;
        app.drained_well().await;
    }

    let said: Vec<String> = app
        .said_to(PERSON)
        .iter()
        .map(|said| said.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(said, ["You're subscribed", "You're unsubscribed", "You're subscribed"]);
    let user = app.user(&PERSON.replace('+', "%2B")).await;
    let methods: Vec<&str> =
        user["consents"].as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["inbound_stop", "inbound_start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_that_twilio_has_answered_is_obeyed_in_silence() {
    let app = TestApp::start().await;
    app.link(PERSON).await;

    for (body, understood, opted_out) in [
        ("ARRET", "STOP", true),
        ("COMMENCER", "START", false),
        ("stop", "stop", true),
        ("AIDE", "HELP", true),
        ("Vas-y", "start", false),
        ("stop", "STOP", true),
        ("START", "START", false),
        ("STOP", "PAUSE", true),
    ] {
        app.inject(&[("From", PERSON), ("Body", body), ("OptOutType", understood)]).await;

        let rows = app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await;
        assert_eq!(rows, Some(i64::from(opted_out)), "{body} as {understood}");
    }
    app.drained_well().await;

    assert!(app.said_to(PERSON).is_empty());
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'keyword'").await, Some(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_is_obeyed_by_its_payload_and_signs_do_not_hide_a_keyword() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let opted_out = async || app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await;

    let button = [("Body", "No more of this"), ("ButtonText", "No more of this"), ("ButtonPayload", "STOP")];
    app.inject(&[&button[..], &[("From", PERSON)]].concat()).await;
    assert_eq!(opted_out().await, Some(1));
    app.inject(&[("From", PERSON), ("Body", "*START* ❤️")]).await;
    assert_eq!(opted_out().await, Some(0));
    app.inject(&[("From", PERSON), ("Body", "\"Stop\" 🛑")]).await;
    assert_eq!(opted_out().await, Some(1));
    let order = [("Body", "Cancel"), ("ButtonText", "Cancel"), ("ButtonPayload", "cancel_order_17")];
    app.inject(&[&order[..], &[("From", PERSON)]].concat()).await;
    app.drained_well().await;

    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "keyword keyword keyword answered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn revoke_and_optout_are_words_like_others_unless_the_operator_wants_more() {
    for body in ["REVOKE", "optout"] {
        let usual = TestApp::start().await;
        let strict = TestApp::start_with(&[("CLOUDYBOT__WHATSAPP__REVOKE_AND_OPTOUT", "true")]).await;
        for app in [&usual, &strict] {
            app.write(PERSON, body).await;
            app.drained_well().await;
        }

        assert_eq!(usual.said_to(PERSON), [format!("You said: {body}")]);
        assert_eq!(strict.said_to(PERSON), [STOPPED]);
        for (app, opted_out) in [(&usual, 0), (&strict, 1)] {
            let rows = app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await;
            assert_eq!(rows, Some(opted_out), "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_stop_is_recorded_and_confirmed_without_a_consent() {
    let app = TestApp::start().await;

    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON), [STOPPED]);
    assert_eq!(
        app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs WHERE user_id IS NULL").await,
        Some(1)
    );
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_consents").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_that_contain_keywords_go_to_the_agent_and_browser_phrases_do_not() {
    let app = TestApp::start().await;

    for body in ["stop please", "STOP 12345", "Stop browser", "browser stop", "stop session!"] {
        app.write(PERSON, body).await;
        app.drained_well().await;
    }

    let said = app.said_to(PERSON);
    assert!(said[0].contains("stop please") && said[1].contains("STOP 12345"), "{said:?}");
    assert_eq!(said[2..], ["No browser session is running."; 3]);
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn support_opts_a_person_out_and_start_lifts_it() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;

    let (first, _) = app.product(Method::PUT, "/users/alice/opt-out", Value::Null).await;
    let (second, _) = app.product(Method::PUT, "/users/alice/opt-out", Value::Null).await;
    assert_eq!((first, second), (204, 204));
    assert_eq!(app.user("alice").await["optedOut"], true);
    app.inject(&[("From", PERSON), ("Body", "START")]).await;

    let user = app.user("alice").await;
    assert_eq!(user["optedOut"], false);
    let methods: Vec<&str> =
        user["consents"].as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["claim_flow", "admin", "inbound_start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_outlives_the_link_and_a_new_claim_ends_it() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;

    app.product(Method::DELETE, "/users/alice/whatsapp", Value::Null).await;
    let unlinked = app.user("alice").await;
    app.claim("alice", PERSON).await;
    let linked = app.user("alice").await;

    assert_eq!((&unlinked["whatsapp"], &unlinked["optedOut"]), (&Value::Null, &json!(true)));
    assert_eq!(linked["optedOut"], false);
}

/// Opt-out and consents of one phone and two users, as the rules have them.
#[derive(Debug, Default)]
struct Model {
    opted_out: bool,
    linked: Option<&'static str>,
    consents: Vec<(&'static str, &'static str, &'static str)>,
}

impl Model {
    fn stop(&mut self) {
        if let (false, Some(user)) = (self.opted_out, self.linked) {
            self.consents.push((user, "inbound_stop", "revoked"));
        }
        self.opted_out = true;
    }

    fn start(&mut self) {
        if let (true, Some(user)) = (self.opted_out, self.linked) {
            self.consents.push((user, "inbound_start", "granted"));
        }
        self.opted_out = false;
    }

    fn claim(&mut self, user: &'static str, replaces: bool) {
        match self.linked {
            Some(other) if other != user && !replaces => return,
            Some(other) if other != user => self.consents.push((other, "claim_flow", "revoked")),
            _ => {}
        }
        self.linked = Some(user);
        self.consents.push((user, "claim_flow", "granted"));
        self.opted_out = false;
    }

    fn unlink(&mut self, user: &'static str) {
        if self.linked == Some(user) {
            self.consents.push((user, "admin", "revoked"));
            self.linked = None;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_order_of_stop_start_claim_and_unlink_the_record_is_the_models() {
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")]).await;
    let mut model = Model::default();
    let mut done = Vec::new();

    for _ in 0..60 {
        let user = if rng.random_bool(0.5) { "alice" } else { "bob" };
        let replaces = rng.random_bool(0.5);
        let step = rng.random_range(0..4);
        done.push((step, user, replaces));
        match step {
            0 => {
                app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
                model.stop();
            }
            1 => {
                app.inject(&[("From", PERSON), ("Body", "START")]).await;
                model.start();
            }
            2 => {
                let token = app.token(user, json!({ "replace": replaces })).await;
                app.inject(&[("From", PERSON), ("Body", &token)]).await;
                app.drained_well().await;
                model.claim(user, replaces);
            }
            _ => {
                app.product(Method::DELETE, &format!("/users/{user}/whatsapp"), Value::Null).await;
                model.unlink(user);
            }
        }

        let opted_out = app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await == Some(1);
        let consents: Vec<(String, String, String)> =
            sqlx::query_as("SELECT user_id, method, action FROM whatsapp_consents ORDER BY id")
                .fetch_all(&app.pg)
                .await
                .unwrap();
        let expected: Vec<(String, String, String)> =
            model.consents.iter().map(|row| (row.0.into(), row.1.into(), row.2.into())).collect();
        assert_eq!(opted_out, model.opted_out, "seed {seed}: {done:?}");
        assert_eq!(consents, expected, "seed {seed}: {done:?}");
        for user in ["alice", "bob"] {
            let linked = !app.user(user).await["whatsapp"].is_null();
            assert_eq!(linked, model.linked == Some(user), "seed {seed}: {done:?}");
        }
    }
}
