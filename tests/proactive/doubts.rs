//! Sends of which nobody knows whether they arrived, and what an administrator says of them.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};
use store::in_doubt::AdminVerdict;

use super::{USER, alice, delivery, ledger_is_right, notify, said, sends, text_of};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_verdict_ends_a_doubt() {
    let app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "10m")]).await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { drop_before: 1.0, ..Faults::default() });
    let arrived = notify(&app, json!({ "text": "One" })).await;
    let lost = notify(&app, json!({ "text": "Two" })).await;
    app.until("the first is in doubt", async || {
        app.admin(Method::GET, "/chunks/in-doubt", Value::Null).await.1["chunks"].as_array().unwrap().len()
            == 1
    })
    .await;
    let give = async |verdict: &str| {
        let chunk =
            app.admin(Method::GET, "/chunks/in-doubt", Value::Null).await.1["chunks"][0]["chunk"].clone();
        app.admin(Method::POST, &format!("/chunks/{chunk}/verdict"), json!({ "verdict": verdict })).await
    };

    assert_eq!(give("arrived").await, (200, json!({ "state": "sent" })));
    app.until("the second is in doubt", async || {
        app.admin(Method::GET, "/chunks/in-doubt", Value::Null).await.1["chunks"].as_array().unwrap().len()
            == 1
    })
    .await;
    app.sandbox.set_faults(Faults::default());
    assert_eq!(give("sendAgain").await.0, 200);
    app.drained_well().await;

    assert_eq!(said(&app).len(), 1);
    assert!(said(&app)[0].starts_with("Two"));
    assert_eq!(delivery(&app, &arrived["id"]).await["state"], "sent");
    assert!(["sent", "delivered"].contains(&delivery(&app, &lost["id"]).await["state"].as_str().unwrap()));
    assert_eq!(sends(&app).await["used"], 2);
    assert_eq!(app.admin(Method::POST, "/chunks/1/verdict", json!({ "verdict": "arrived" })).await.0, 409);
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_to_a_hidden_number_is_never_repeated_on_a_guess() {
    const HIDDEN: &str = "whatsapp:US.abcDEF123456";
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim(USER, HIDDEN).await;
    app.sandbox.set_faults(Faults { drop_before: 1.0, ..Faults::default() });

    let planned = notify(&app, json!({ "text": text_of(2) })).await;
    app.until("the doubt is told", async || {
        app.count("SELECT count(*) FROM channel_alerts WHERE cause = 'send_in_doubt'").await == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults::default());
    app.drained_well().await;

    let shown = delivery(&app, &planned["id"]).await;
    let states: Vec<&Value> =
        shown["chunks"].as_array().unwrap().iter().map(|chunk| &chunk["state"]).collect();
    assert_eq!(
        (states[0], &states[1..]),
        (&json!("sending"), &vec![&json!("planned"); states.len() - 1][..])
    );
    let chunk = app.admin(Method::GET, "/chunks/in-doubt", Value::Null).await.1["chunks"][0]["chunk"].clone();
    app.admin(Method::POST, &format!("/chunks/{chunk}/verdict"), json!({ "verdict": "sendAgain" })).await;
    app.drained_well().await;

    let said = app.said_to(HIDDEN);
    assert_eq!(said.len(), 1 + states.len(), "the confirmation, and each part once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_comes_while_twilio_is_asked_is_not_lost() {
    let app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__IN_DOUBT_SECOND_LOOK", "10m")]).await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { drop_before: 1.0, ..Faults::default() });
    let planned = notify(&app, json!({ "text": "One" })).await;
    app.until("its send is in doubt", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'sending'").await == Some(1)
    })
    .await;

    // The job has Twilio's list and waits for the delivery, which the verdict has locked.
    let mut verdict = app.pg.begin().await.unwrap();
    let chunk = store::ids::ChunkId(
        app.count("SELECT id FROM channel_chunks WHERE state = 'sending'").await.unwrap(),
    );
    store::chunks::lock(&mut verdict, chunk).await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    app.until("the job waits for the verdict", async || app.count(waits).await == Some(1)).await;
    app.sandbox.set_faults(Faults::default());
    assert!(
        store::in_doubt::give_verdict(&mut verdict, chunk, AdminVerdict::SendAgain, "somebody")
            .await
            .unwrap()
    );
    verdict.commit().await.unwrap();
    app.drained_well().await;

    assert_eq!(said(&app).len(), 1);
    assert!(["sent", "delivered"].contains(&delivery(&app, &planned["id"]).await["state"].as_str().unwrap()));
}
