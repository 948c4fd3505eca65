//! Two cells: two senders, each with a database and a program of its own.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::description::Description;
use crate::support::{ADMIN_TOKEN, API_TOKEN, PATIENCE, PERSON, TestApp};

const EASTERN_NUMBER: &str = "whatsapp:+14155230000";
const OTHER_PERSON: &str = "whatsapp:+15005550200";

/// What a cell does with a user of another one, too.
const OF_ANY_CELL: [&str; 3] = ["moveUser", "takeUserBack", "eraseUser"];

async fn cells() -> (TestApp, TestApp) {
    (TestApp::start().await, TestApp::start_with(&[("TWILIO_WHATSAPP_NUMBER", EASTERN_NUMBER)]).await)
}

async fn move_to_east(west: &TestApp, user: &str) -> Value {
    let path = format!("/users/{user}/cell");
    let (status, moved) = west.admin(Method::PUT, &path, json!({ "cell": "east" })).await;
    assert_eq!(status, 200, "{moved}");
    moved
}

async fn texts_of(app: &TestApp, user: &str) -> Vec<String> {
    let (status, thread) = app.product(Method::GET, &format!("/users/{user}/messages"), Value::Null).await;
    assert_eq!(status, 200, "{thread}");
    let entries = thread["messages"].as_array().unwrap().iter();
    entries.map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_about_a_user_of_another_cell_names_that_cell() {
    let west = TestApp::start().await;
    move_to_east(&west, "bob").await;
    let description = Description::of(&west).await.unwrap();
    let mut asked = 0;

    for operation in description.operations().filter(|operation| operation.path.contains("{user}")) {
        let path = operation.path.replace("{user}", "bob");
        let token = if path.starts_with("/v1") { API_TOKEN } else { ADMIN_TOKEN };
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
        if OF_ANY_CELL.contains(&operation.id()) {
            continue;
        }
        let (status, problem) = west.call(method, &path, token, Value::Null).await;
        assert_eq!(status, 421, "{}: {problem}", operation.id());
        assert_eq!((&problem["code"], &problem["cell"]), (&json!("other_cell"), &json!("east")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("ask that cell"), "{problem}");
        asked += 1;
    }

    assert!(asked >= 10, "{asked}");
    let (done, said) = west.command(&["users", "show", "bob"]).await;
    assert!(!done && said.contains("belongs to the cell east"), "{said}");
    let (done, said) = west.command(&["users", "set-plan", "bob", "pro"]).await;
    assert!(!done && said.contains("belongs to the cell east"), "{said}");
    assert_eq!(west.count("SELECT count(*) FROM channel_users WHERE id = 'bob'").await, Some(0));
    assert_eq!(
        west.product(Method::GET, "/users/alice", Value::Null).await.0,
        404,
        "of her nobody said anything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cell_serves_its_own_people_and_a_user_moves_by_a_new_claim() {
    let (west, east) = cells().await;
    west.claim("alice", PERSON).await;
    east.claim("bob", OTHER_PERSON).await;
    west.inject(&[("From", PERSON), ("Body", "In the west")]).await;
    east.inject(&[("From", OTHER_PERSON), ("Body", "In the east")]).await;
    west.drained_well().await;
    east.drained_well().await;
    let token = west.token("alice", Value::Null).await;
    let waiting = json!({ "text": "Later", "waitForInbound": true });
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&west.pg)
        .await
        .unwrap();
    let (status, planned) = west.product(Method::POST, "/users/alice/notifications", waiting).await;
    assert_eq!((status, &planned["delivery"]["state"]), (202, &json!("waiting")), "{planned}");
    let said_in_the_west = texts_of(&west, "alice").await;
    let stream =
        west.http.get(west.url("/v1/users/alice/events")).bearer_auth(API_TOKEN).send().await.unwrap();

    let moved = move_to_east(&west, "alice").await;
    let again = move_to_east(&west, "alice").await;
    assert_eq!((&moved["unlinked"], &again["unlinked"]), (&json!(true), &json!(false)));
    assert_eq!(moved["since"], again["since"]);
    // The stream ends with what it had to tell.
    tokio::time::timeout(PATIENCE, stream.text()).await.expect("the stream goes on").unwrap();
    let put = east.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    assert_eq!(put.0, 201);
    // The token of the former cell is worth nothing there, and has never been anything in the other one.
    west.inject(&[("From", PERSON), ("Body", &token)]).await;
    west.drained_well().await;
    east.claim("alice", PERSON).await;
    let both = east.said_to(PERSON).len();
    east.inject(&[("From", PERSON), ("Body", "I have moved")]).await;
    west.inject(&[("From", PERSON), ("Body", "Am I still here?")]).await;
    east.replies(PERSON, both + 1).await;
    west.drained_well().await;
    east.drained_well().await;

    assert!(said_in_the_west.iter().any(|text| text == "In the west"), "{said_in_the_west:?}");
    let in_the_east = texts_of(&east, "alice").await;
    assert_eq!(in_the_east[0], "I have moved", "{in_the_east:?}");
    assert!(!in_the_east.iter().any(|text| text.contains("In the west")), "{in_the_east:?}");
    assert_eq!(texts_of(&east, "bob").await[0], "In the east");
    assert_eq!(
        west.text("SELECT outcome FROM channel_messages WHERE body = 'Am I still here?'").await,
        "not_linked"
    );
    assert_eq!(
        west.text("SELECT state || ' ' || reason FROM channel_deliveries WHERE purpose = 'notification'")
            .await,
        "blocked not_linked"
    );
    let kept = "SELECT string_agg(actor || ': ' || action || ' ' || target || ': ' || outcome, '; ' ORDER BY id) FROM queue.audit";
    assert_eq!(
        west.text(kept).await,
        "administrator: move user alice: in the cell east, unlinked here; administrator: move user alice: in the cell east"
    );
    let revoked = "SELECT string_agg(action || ' ' || text, '; ' ORDER BY id) FROM whatsapp_consents WHERE action = 'revoked'";
    assert_eq!(west.text(revoked).await, "revoked other_cell");
    assert_eq!(west.sandbox.sent_to(OTHER_PERSON).len(), 0);

    // What she left behind is erased, and she still belongs to the east.
    assert_eq!(west.product(Method::DELETE, "/users/alice", Value::Null).await.0, 204);
    assert_eq!(west.product(Method::GET, "/users/alice", Value::Null).await.0, 421);
    assert_eq!(east.product(Method::GET, "/users/alice", Value::Null).await.0, 200);
    assert_eq!(west.admin(Method::DELETE, "/users/alice/cell", Value::Null).await.0, 204);
    assert_eq!(west.admin(Method::DELETE, "/users/alice/cell", Value::Null).await.0, 404);
    assert_eq!(west.product(Method::GET, "/users/alice", Value::Null).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_has_moved_is_in_no_schedule_of_the_former_cell_until_taken_back() {
    let west = TestApp::start().await;
    for user in ["alice", "bob"] {
        west.product(Method::PUT, &format!("/users/{user}"), json!({ "plan": "pro" })).await;
    }
    let never = "cron = \"0 0 29 2 *\"\n[audience]\nplan = \"pro\"\n[content]\nmessage = \"News\"\n";
    west.write_schedule("news", never);
    west.until("it is loaded", async || {
        west.count("SELECT count(*) FROM channel_schedules").await == Some(1)
    })
    .await;
    assert!(west.command(&["users", "move", "alice", "east"]).await.0);

    west.admin(Method::POST, "/schedules/news/fire", Value::Null).await;
    west.drained_well().await;
    let (tested, problem) =
        west.admin(Method::POST, "/schedules/news/test", json!({ "user": "alice" })).await;
    let first = west.text("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM channel_slot_users").await;
    assert!(west.command(&["users", "take-back", "alice"]).await.0);
    west.admin(Method::POST, "/schedules/news/fire", Value::Null).await;
    west.drained_well().await;

    assert_eq!((tested, &problem["cell"]), (421, &json!("east")), "{problem}");
    assert_eq!(first, "bob");
    let all = "SELECT string_agg(user_id, ' ' ORDER BY slot_id, user_id) FROM channel_slot_users";
    assert_eq!(west.text(all).await, "bob alice bob");
    assert!(!west.command(&["users", "take-back", "alice"]).await.0, "nobody says that she is elsewhere");
}
