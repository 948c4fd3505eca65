//! Each fault, as the client meets it.

use std::time::{Duration, Instant};

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::account::{Account, PATIENCE, bodies, error};

#[tokio::test]
async fn a_rate_limited_create_is_told_when_to_come_back_and_not_taken_in() {
    let faults = Faults { rate_limited: 1.0, retry_after_secs: Some(7), ..Faults::default() };
    let account = Account::misbehaving(faults).await;

    let response = account.creating(&[("Body", "hi")]).send().await.unwrap();

    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(error(response).await, (429, 20429));
    assert_eq!(listed(&account).await, 0);
}

#[tokio::test]
async fn a_500_says_nothing_about_whether_the_message_was_taken_in() {
    for (faults, taken_in) in [
        (Faults { error_before: 1.0, ..Faults::default() }, 0),
        (Faults { error_after: 1.0, ..Faults::default() }, 1),
    ] {
        let account = Account::misbehaving(faults).await;

        let response = account.creating(&[("Body", "hi")]).send().await.unwrap();

        assert_eq!(error(response).await, (500, 20500));
        assert_eq!(listed(&account).await, taken_in);
    }
}

#[tokio::test]
async fn a_closed_connection_says_nothing_about_whether_the_message_was_taken_in() {
    for (faults, taken_in) in [
        (Faults { drop_before: 1.0, ..Faults::default() }, 0),
        (Faults { drop_after: 1.0, ..Faults::default() }, 1),
    ] {
        let account = Account::misbehaving(faults).await;

        let failed = account.creating(&[("Body", "hi")]).send().await.unwrap_err();

        assert!(failed.is_request() && !failed.is_connect() && !failed.is_timeout(), "{failed:?}");
        assert_eq!(listed(&account).await, taken_in);
    }
}

#[tokio::test]
async fn a_late_message_is_taken_in_though_its_client_gave_up() {
    let faults = Faults { accept_late: 1.0, accept_late_ms: 3000, ..Faults::default() };
    let account = Account::misbehaving(faults).await;

    let given_up = account.creating(&[("Body", "hi")]).timeout(Duration::from_millis(1500)).send().await;

    assert!(given_up.unwrap_err().is_timeout());
    assert_eq!(listed(&account).await, 0);
    assert!(account.sandbox.wait_until(PATIENCE, |messages| messages.len() == 1).await);
}

#[tokio::test]
async fn a_delayed_create_is_answered_later() {
    let account = Account::misbehaving(Faults { delay_ms: 100, ..Faults::default() }).await;
    let begun = Instant::now();

    account.create(&[("Body", "hi")]).await;

    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_refusal_has_the_wanted_code_and_status() {
    let faults = Faults { refuse: 1.0, refuse_code: 21610, ..Faults::default() };
    let account = Account::misbehaving(faults.clone()).await;

    let usual = account.creating(&[("Body", "hi")]).send().await.unwrap();
    account.sandbox.set_faults(Faults { refuse_code: 20403, refuse_status: Some(403), ..faults });
    let other = account.creating(&[("Body", "hi")]).send().await.unwrap();

    assert_eq!(error(usual).await, (400, 21610));
    assert_eq!(error(other).await, (403, 20403));
    assert_eq!(listed(&account).await, 0);
}

#[tokio::test]
async fn a_message_can_fail_after_it_was_taken_in() {
    let faults = Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() };
    let account = Account::misbehaving(faults).await;

    account.create(&[("Body", "hi")]).await;

    account.wait_for_status("undelivered").await;
    assert_eq!(account.sandbox.messages()[0].error_code, Some(63024));
}

#[tokio::test]
async fn faults_are_set_and_taken_back_over_http() {
    let account = Account::open().await;

    let set = put(&account, json!({"rate_limited": 1.0})).await;
    let limited = account.creating(&[("Body", "hi")]).send().await.unwrap();
    let taken_back = account.request(Method::DELETE, "/sandbox/faults").send().await.unwrap();

    assert_eq!((set, limited.status().as_u16(), taken_back.status().as_u16()), (200, 429, 204));
    account.create(&[("Body", "hi")]).await;
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused_and_change_nothing() {
    let account = Account::open().await;

    assert_eq!(put(&account, json!({"drop_after": 1.5})).await, 400);
    assert_eq!(put(&account, json!({"callback_lost": -0.1})).await, 400);
    assert_eq!(put(&account, json!({"refuse": 1, "refuse_status": 200})).await, 400);
    assert_eq!(put(&account, json!({"media_error": 2})).await, 400);
    assert_eq!(put(&account, json!({"typing_error": -1})).await, 400);
    assert_eq!(put(&account, json!({"media_redirect": "elsewhere"})).await, 400);
    assert_eq!(put(&account, json!({"drop_afterwards": 1})).await, 422);

    let response = account.request(Method::GET, "/sandbox/faults").send().await.unwrap();
    let faults: Faults = response.json().await.unwrap();
    assert_eq!(faults, Faults::default());
}

async fn put(account: &Account, faults: Value) -> u16 {
    let request = account.request(Method::PUT, "/sandbox/faults").json(&faults);
    request.send().await.unwrap().status().as_u16()
}

async fn listed(account: &Account) -> usize {
    let list: Value = account.get("/Messages.json").await.json().await.unwrap();
    bodies(&list).len()
}
