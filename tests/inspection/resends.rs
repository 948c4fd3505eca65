//! Sending anew all that did not arrive and fits, at a terminal and over HTTP.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::written_with;
use crate::support::{PERSON, TestApp};

async fn three_refused_the_first_long_ago(app: &TestApp) {
    for said in ["one", "two", "three"] {
        written_with(app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, said).await;
    }
    let oldest = "UPDATE channel_deliveries SET created_at = now() - interval '2 days' WHERE id = (SELECT min(id::TEXT)::UUID FROM channel_deliveries)";
    sqlx::query(oldest).execute(&app.pg).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_failed_of_one_cause_is_sent_anew_once_and_only_what_is_of_the_last_day() {
    let app = TestApp::start().await;
    three_refused_the_first_long_ago(&app).await;
    let resend = async |more: &[&str]| app.command(&[&["deliveries", "resend"], more].concat()).await;

    let (without_a_filter, told) = resend(&["--yes"]).await;
    assert!(!without_a_filter && told.contains("say which deliveries"), "{told}");
    let (unasked, told) = resend(&["--error-code", "21211"]).await;
    assert!(!unasked && told.contains("2 deliveries since") && told.contains("--yes"), "{told}");
    let (counted, told) = resend(&["--error-code", "21211", "--dry-run"]).await;
    assert!(counted && told.contains("would be tried anew; nothing was sent"), "{told}");
    let (well, told) = resend(&["--error-code", "21211", "--yes"]).await;
    assert!(well && told.contains("2 resent, 0 refused"), "{told}");
    app.replies(PERSON, 2).await;
    app.drained().await;
    let (_, told) = resend(&["--error-code", "21211", "--yes"]).await;

    assert!(told.contains("0 resent, 0 refused"), "{told}");
    assert_eq!(app.said_to(PERSON), ["You said: two", "You said: three"]);
    let (_, list) = app.command(&["deliveries", "list", "--state", "undelivered"]).await;
    assert_eq!(list.matches("failed, resent").count(), 2, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_as_many_are_sent_anew_as_were_confirmed_or_none() {
    let app = TestApp::start().await;
    three_refused_the_first_long_ago(&app).await;
    let resend = async |body: Value| app.admin(Method::POST, "/deliveries/resend", body).await;
    let planned = "SELECT count(*) FROM channel_deliveries";

    let (seen, dry) = resend(json!({ "errorCode": 21211, "dryRun": true })).await;
    let (too_few, told) = resend(json!({ "errorCode": 21211, "expected": 1 })).await;
    let before = app.count(planned).await;
    let (first, one) = resend(json!({ "errorCode": 21211, "expected": 2, "limit": 1 })).await;
    let (changed, _) = resend(dry["next"].clone()).await;
    let (second, rest) = resend(one["next"].clone()).await;
    app.replies(PERSON, 2).await;
    app.drained().await;
    let (again, nothing) = resend(json!({ "errorCode": 21211 })).await;

    assert_eq!((seen, &dry["rest"], &dry["outcomes"]), (200, &json!(2), &json!([])), "{dry}");
    assert_eq!(dry["next"]["expected"], 2, "{dry}");
    assert_eq!((too_few, &told["code"], &told["fitting"]), (409, &json!("unexpected_number"), &json!(2)));
    assert_eq!(before, Some(3));
    assert_eq!((first, &one["resent"], &one["rest"]), (200, &json!(1), &json!(1)), "{one}");
    assert_eq!(changed, 409);
    assert_eq!((second, &rest["resent"], &rest["next"]), (200, &json!(1), &Value::Null), "{rest}");
    assert_eq!(rest["outcomes"][0]["outcome"], "resent", "{rest}");
    assert_eq!((again, &nothing["resent"], &nothing["rest"]), (200, &json!(0), &json!(0)), "{nothing}");
    assert_eq!(app.said_to(PERSON), ["You said: two", "You said: three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_sent_anew_is_refused_with_its_reason_and_counted() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "one").await;
    app.product(Method::DELETE, &format!("/users/{PERSON}/whatsapp"), Value::Null).await;
    let resend = async |body: Value| app.admin(Method::POST, "/deliveries/resend", body).await;

    let (status, refused) = resend(json!({ "state": "undelivered" })).await;

    assert_eq!((status, &refused["resent"], &refused["refused"]), (200, &json!(0), &json!(1)), "{refused}");
    assert_eq!(refused["reasons"][0]["reason"], refused["outcomes"][0]["detail"]);
    assert!(refused["outcomes"][0]["detail"].as_str().is_some_and(|why| why.contains("link")), "{refused}");
    for (body, names) in [
        (json!({}), "which deliveries"),
        (json!({ "expected": 0 }), "which deliveries"),
        (json!({ "state": "delivered" }), "did not arrive"),
        (json!({ "state": "lost" }), "undelivered"),
    ] {
        let (status, problem) = resend(body.clone()).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(names), "{body}: {problem}");
    }
}
