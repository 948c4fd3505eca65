//! One person on the administrators' pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::console::{Browser, DANA, MAX, started};
use crate::support::{PERSON, TestApp};

async fn notified(app: &TestApp) -> Value {
    let text = json!({ "text": "Your export is ready." });
    app.product(Method::POST, "/users/alice/notifications", text).await.1["delivery"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_asks_for_it_is_opted_out_by_an_administrator_and_in_again_by_their_own_word_alone() {
    let app = started().await;
    assert_eq!(app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await.0, 201);
    let browser = Browser::log_in(&app, DANA).await;
    let looks_on = Browser::log_in(&app, MAX).await;
    let (page, path) = ("/admin/person?user=alice", "/admin/person/opt-out");
    let form = [("user", "alice")];
    let without_phone = browser.post(path, &form).await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;

    assert_eq!(without_phone.status(), 409);
    assert!(without_phone.text().await.unwrap().contains("no phone that could be opted out"));
    let seen = looks_on.page(page).await;
    assert!(seen.contains("They get them.") && !seen.contains(path), "{seen}");
    assert_eq!(looks_on.post(path, &form).await.status(), 403);
    assert!(browser.page(page).await.contains(path));
    assert_eq!(browser.said(path, &form).await, "They are opted out.");
    assert_eq!(browser.said(path, &form).await, "They were opted out already.");
    let seen = browser.page(page).await;
    assert!(seen.contains("They are opted out") && seen.contains("opted out by support"), "{seen}");
    assert!(seen.contains("Only they can change that") && !seen.contains(path), "{seen}");
    assert_eq!(notified(&app).await["reason"], "opted_out");
    let audit = "SELECT string_agg(concat_ws(' | ', actor, action, target, outcome, before, after), ', ' ORDER BY id) FROM queue.audit";
    assert_eq!(
        app.text(audit).await,
        "dana | opt out | user alice | opted out | not opted out | opted out, \
         dana | opt out | user alice | was opted out already | opted out | opted out"
    );

    app.inject(&[("From", PERSON), ("Body", "START")]).await;
    app.drained_well().await;
    assert!(browser.page(page).await.contains("They get them."));
}
