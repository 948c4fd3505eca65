//! The parts of what left, over HTTP and at a terminal.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::{get, written_with};
use crate::support::{PERSON, TestApp};

const OTHER: &str = "whatsapp:+15005550101";

fn ids(list: &Value) -> Vec<i64> {
    list["chunks"].as_array().unwrap().iter().map(|chunk| chunk["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_found_by_person_state_code_and_time_with_what_the_code_means() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "Hello").await;
    app.write(OTHER, "Hello").await;
    app.until("the other reply has arrived", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'delivered'").await == Some(1)
    })
    .await;
    let (failed, well) = (json!(1), json!(2));

    let all = get(&app, "/chunks").await;
    let chunk = &all["chunks"][1];
    assert_eq!([&all["chunks"][0]["id"], &chunk["id"]], [&well, &failed], "{all}");
    assert_eq!((&chunk["user"], &chunk["to"]), (&json!(PERSON), &json!("whatsapp:+1500…0100")));
    assert_eq!((&chunk["state"], &chunk["purpose"]), (&json!("failed"), &json!("reply")));
    let error = &get(&app, &format!("/deliveries/{}", chunk["delivery"].as_str().unwrap())).await["chunks"]
        [0]["error"];
    assert_eq!((&chunk["error"], &error["code"]), (error, &json!(21211)));
    let planned = chunk["plannedAt"].as_str().unwrap();
    for (query, found) in [
        ("state=failed".to_owned(), vec![1]),
        ("state=delivered".to_owned(), vec![2]),
        ("state=planned".to_owned(), vec![]),
        ("errorCode=21211".to_owned(), vec![1]),
        ("errorCode=21211&state=delivered".to_owned(), vec![]),
        ("errorCode=63024".to_owned(), vec![]),
        (format!("user={PERSON}").replace('+', "%2B"), vec![1]),
        ("number=%2B1%20500%20555%200101".to_owned(), vec![2]),
        ("number=%2B15005550101&state=failed".to_owned(), vec![]),
        ("user=nobody".to_owned(), vec![]),
        (format!("until={planned}"), vec![]),
        (format!("since={planned}"), vec![2, 1]),
        (format!("since={planned}&state=failed"), vec![1]),
    ] {
        assert_eq!(ids(&get(&app, &format!("/chunks?{query}")).await), found, "{query}");
    }

    let first = get(&app, "/chunks?limit=1").await;
    let next = first["next"].as_str().unwrap();
    let second = get(&app, &format!("/chunks?limit=1&before={next}")).await;
    assert_eq!((ids(&first), ids(&second)), (vec![2], vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_lists_chunks_as_http_does() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "Hello").await;
    app.write(OTHER, "Hello").await;
    app.drained().await;

    let (_, failed) = app.command(&["chunks", "list", "--state", "failed"]).await;
    let (_, first) = app.command(&["chunks", "list", "--limit", "1"]).await;
    let next = first.split("--before ").nth(1).unwrap().trim();
    let (_, second) = app.command(&["chunks", "list", "--before", next, "--json"]).await;
    let (_, of_number) = app.command(&["chunks", "list", "--number", "+1 500 555 0100", "--json"]).await;

    assert!(failed.contains("21211: The number is none that can be written to."), "{failed}");
    assert_eq!(serde_json::from_str::<Value>(&second).unwrap(), get(&app, "/chunks?state=failed").await);
    assert_eq!(second, of_number);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_nobody_knows_is_refused_with_those_that_are_known() {
    let app = TestApp::start().await;

    for (query, status, names) in [
        ("phone=1", 400, "there are before, errorCode, limit, number, since, state, until, user"),
        ("state=lost", 422, "expired"),
        ("before=7", 422, "`next` of the page before"),
        ("number=alice", 422, "country"),
        ("user=alice&number=%2B15005550100", 422, "not both"),
        ("errorCode=0", 422, "errorCode"),
    ] {
        let (found, problem) = app.admin(Method::GET, &format!("/chunks?{query}"), Value::Null).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(found == status && detail.contains(names), "{query}: {found} {problem}");
    }
    let (well, told) = app.command(&["chunks", "list", "--phone", "1"]).await;
    assert!(!well && told.contains("--phone"), "{told}");
    let (well, told) = app.command(&["chunks", "list", "--state", "lost"]).await;
    assert!(!well && told.contains("expired"), "{told}");
}
