//! What an operator asks and does beside `status`: jobs and users by name, and what a wrong start says.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_there_is_not_is_called_so_and_a_cancel_by_filter_is_asked_for_first() {
    let app = TestApp::start().await;
    app.command(&["jobs", "pause", "pool", "inbound"]).await;
    app.write(PERSON, "Hello").await;

    for arguments in [["jobs", "cancel", "987654321"], ["jobs", "retry", "987654321"]] {
        let (done, said) = app.command(&arguments).await;
        assert!(!done && said.contains("no such job"), "{arguments:?}: {said}");
    }
    let (status, problem) = app.admin(Method::POST, "/jobs/987654321/cancel", Value::Null).await;
    let (asked, question) = app.command(&["jobs", "cancel", "--kind", "receive_message"]).await;
    let left = app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'receive_message'").await;
    let (done, said) = app.command(&["jobs", "cancel", "--kind", "receive_message", "--yes"]).await;

    assert_eq!(status, 404, "{problem}");
    assert!(!asked && question.contains("1 jobs fit") && question.contains("--yes"), "{question}");
    assert_eq!(left, Some(1));
    assert!(done && said.contains("1 cancelled"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_the_address_reads_what_it_is_and_twilio_reads_nothing() {
    let app = TestApp::start().await;

    let answer: Value = app.http.get(app.url("/")).send().await.unwrap().json().await.unwrap();
    let signed = app.http.get(app.url("/")).header("X-Twilio-Signature", "x").send().await.unwrap();

    assert_eq!(answer["description"], "/openapi.json");
    assert_eq!(signed.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_in_use_is_told_with_what_helps() {
    let app = TestApp::start().await;
    let address = app.address.to_string();

    let said = app.refused(&[("CLOUDYBOT__SERVER__LISTEN", &address)]).await;

    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_by_id_name_plan_and_number() {
    let app = TestApp::start().await;
    for (user, name) in [("anna", "Anne"), ("anton", "Toni"), ("berta", "ANNCHEN")] {
        let request = json!({ "plan": "pro", "attributes": { "name": name } });
        assert_eq!(app.product(Method::PUT, &format!("/users/{user}"), request).await.0, 201);
    }
    app.claim("anton", "whatsapp:+5491123456789").await;
    let found = async |query: &str| -> Vec<String> {
        let (status, page) = app.admin(Method::GET, &format!("/users{query}"), Value::Null).await;
        assert_eq!(status, 200, "{page}");
        page["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["user"].as_str().unwrap().to_owned())
            .collect()
    };

    assert_eq!(found("?id=an").await, ["anna", "anton"]);
    assert_eq!(found("?id=an&limit=1&after=anna").await, ["anton"]);
    assert_eq!(found("?name=Ann").await, ["berta", "anna"]);
    assert_eq!(found("?plan=pro&limit=2").await, ["anna", "anton"]);
    assert_eq!(found("?phone=%2B54%2011%202345-6789").await, ["anton"], "in another spelling");
    let (_, table) = app.command(&["users", "list", "--phone", "+54 9 11 2345 6789"]).await;
    let (status, problem) = app.admin(Method::GET, "/users?id=a&plan=pro", Value::Null).await;
    let (_, shown) = app.admin(Method::GET, "/users/anton", Value::Null).await;
    let (erased, question) = app.command(&["users", "erase", "berta"]).await;

    assert!(table.contains("anton") && table.contains("linked"), "{table}");
    assert_eq!(status, 422, "{problem}");
    assert_eq!(shown["user"], "anton");
    assert!(!erased && question.contains("--yes"), "{question}");
    assert_eq!(found("?id=berta").await, ["berta"]);
}
