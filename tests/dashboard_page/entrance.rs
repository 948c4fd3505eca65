//! Who comes in, whom the page is for then, and what browsers may do with it.

use reqwest::header::{COOKIE, HOST, HeaderMap, LOCATION, ORIGIN};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Visit, client, cookies, kept, link};
use crate::compliance::production;
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// Under which a proxy leads to the page, for those who frame it.
const FRAMED: [(&str, &str); 2] = [
    ("CLOUDYBOT__DASHBOARD__URL", "https://chat.example.com"),
    ("CLOUDYBOT__DASHBOARD__EMBED_IN", r#"["https://app.example.com", "https://beta.example.com"]"#),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_the_page_once_and_its_code_is_kept_nowhere() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro", "attributes": { "name": "Alice A." } }))
        .await;
    let unknown = app.product(Method::POST, "/users/nobody/dashboard-link", Value::Null).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    let url = link(&app, "alice").await;
    let code = url.strip_prefix(&app.url("/dashboard?code=")).unwrap();
    let stored = "SELECT count(*) FROM channel_dashboard_codes WHERE encode(hash, 'escape') LIKE $1 OR user_id LIKE $1";
    let stored: i64 = sqlx::query_scalar(stored).bind(format!("%{code}%")).fetch_one(&app.pg).await.unwrap();
    assert_eq!(stored, 0);

    let ahead = client().get(&url).header("sec-purpose", "prefetch;prerender").send().await.unwrap();
    assert_eq!(ahead.status(), 503, "what is fetched ahead uses nothing up");
    let answer = client().get(&url).send().await.unwrap();
    let session = cookies(&answer);
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[LOCATION]),
        (303, &"/dashboard".parse().unwrap())
    );
    assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    assert_eq!(session.len(), 1);
    assert!(session[0].starts_with("dashboard=") && !session[0].contains(code), "{session:?}");
    assert!(session[0].ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{session:?}");
    let again = client().get(&url).send().await.unwrap();
    assert_eq!(again.status(), 303);
    let said = cookies(&again);
    assert!(said[0].starts_with("dashboard-said="), "{said:?}");
    let door = client().get(app.url("/dashboard")).header(COOKIE, kept(&said)).send().await.unwrap();
    assert_eq!(door.status(), 403);
    assert!(door.text().await.unwrap().contains("This link was opened before"));

    let visit = Visit { app: &app, http: client(), cookie: kept(&session) };
    assert!(visit.page().await.contains("Alice A."));
    assert_eq!(visit.get("/dashboard").await.headers()["referrer-policy"], "same-origin");
    assert_eq!(visit.post("/dashboard/leave", &[]).await.status(), 303);
    assert_eq!(visit.get("/dashboard").await.status(), 403);
    assert_eq!(visit.get("/dashboard/events").await.status(), 401);
    assert_eq!(visit.post("/dashboard/unlink", &[]).await.status(), 403);
    assert!(!app.logged().contains(code));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_sessions_end() {
    let app = TestApp::start().await;
    for user in ["alice", "bob"] {
        app.product(Method::PUT, &format!("/users/{user}"), json!({})).await;
    }
    let url = link(&app, "alice").await;
    let of_alice = Visit::begin(&app, "alice").await;
    let of_bob = Visit::begin(&app, "bob").await;
    let lasts = "SELECT round(extract(epoch FROM max(ends_at) - now()) / 10)::BIGINT * 10 FROM";
    let lasts: (i64, i64) = (
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{lasts} channel_dashboard_codes")))
            .fetch_one(&app.pg)
            .await
            .unwrap(),
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{lasts} channel_dashboard_sessions")))
            .fetch_one(&app.pg)
            .await
            .unwrap(),
    );
    assert!((240..=300).contains(&lasts.0) && (43_100..=43_200).contains(&lasts.1), "{lasts:?}");
    sqlx::query("UPDATE channel_dashboard_codes SET ends_at = now()").execute(&app.pg).await.unwrap();

    let late = client().get(url).send().await.unwrap();
    assert!(cookies(&late)[0].starts_with("dashboard-said="), "{:?}", cookies(&late));
    assert_eq!(app.product(Method::DELETE, "/users/bob", Value::Null).await.0, 204);
    assert_eq!(of_bob.get("/dashboard").await.status(), 403, "an erased user has no page");
    assert_eq!(of_alice.get("/dashboard").await.status(), 200);
    sqlx::query("UPDATE channel_dashboard_sessions SET ends_at = now()").execute(&app.pg).await.unwrap();
    assert_eq!(of_alice.get("/dashboard").await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_shows_and_changes_its_own_user_alone() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.product(Method::PUT, "/users/bob", json!({ "plan": "pro" })).await;
    app.product(Method::POST, "/users/alice/messages", json!({ "text": "a secret of alice" })).await;
    app.drained_well().await;
    let (alice, bob) = (Visit::begin(&app, "alice").await, Visit::begin(&app, "bob").await);

    let page = alice.page().await;
    assert!(page.contains("a secret of alice") && page.contains("Linked: +15005550100"), "{page}");
    for query in ["", "?user=alice", "?before=2", "?before=99"] {
        let answer = bob.get(&format!("/dashboard{query}")).await;
        assert_eq!(answer.status(), 200, "{query}");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("secret") && !page.contains("+15005550100"), "{query}: {page}");
    }
    let mut thread = bob.get("/dashboard/thread?after=0").await;
    bob.post("/dashboard/messages", &[("text", "from bob"), ("key", "1"), ("user", "alice")]).await;
    let mut read = String::new();
    while !read.contains("from bob") {
        read.push_str(&String::from_utf8_lossy(&thread.chunk().await.unwrap().unwrap()));
    }
    assert!(!read.contains("secret"), "{read}");
    bob.post("/dashboard/unlink", &[("user", "alice")]).await;
    assert!(app.user("alice").await["whatsapp"].is_object());
    assert!(!alice.page().await.contains("from bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_come_from_the_page_alone_and_requests_by_its_name() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    let visit = Visit::begin(&app, "alice").await;
    let post = |name, value: &str| {
        let request = visit.http.post(app.url("/dashboard/unlink")).header(COOKIE, &visit.cookie);
        request.header(name, value).form(&[("x", "y")]).send()
    };

    let refused = post("sec-fetch-site", "cross-site").await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("a page of another site"));
    assert_eq!(post("sec-fetch-site", "same-site").await.unwrap().status(), 403);
    assert_eq!(post(ORIGIN.as_str(), "https://evil.example").await.unwrap().status(), 403);
    assert_eq!(post(HOST.as_str(), "evil.example").await.unwrap().status(), 421);
    let misdirected =
        visit.http.get(app.url("/dashboard")).header(HOST, "evil.example").send().await.unwrap();
    assert_eq!(misdirected.status(), 421);
    assert!(app.user("alice").await["whatsapp"].is_object());
    assert_eq!(post("sec-fetch-site", "same-origin").await.unwrap().status(), 303);
    assert!(app.user("alice").await["whatsapp"].is_null());
    // Where nothing is a stand-in nobody chooses who they are.
    let entered = client().post(app.url("/dashboard/enter")).form(&[("user", "alice")]).send().await.unwrap();
    assert_eq!((entered.status().as_u16(), cookies(&entered)), (403, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_led_here_by_another_site_goes_on_from_a_page_of_ours() {
    let app = TestApp::start().await;
    let led =
        client().get(app.url("/dashboard")).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(led.status(), 200);
    assert!(led.text().await.unwrap().contains("content=\"0;url=/dashboard\""));
    let there =
        client().get(app.url("/dashboard")).header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(there.status(), 403, "and is not led in circles");
}

/// What an answer says of frames, and of cookies.
fn framing(headers: &HeaderMap) -> String {
    let policy = headers["content-security-policy"].to_str().unwrap();
    policy.split("; ").find(|part| part.starts_with("frame-ancestors")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_the_operator_names_may_frame_it_and_only_then_is_its_cookie_for_frames() {
    let app = TestApp::start_with(&FRAMED).await;
    app.product(Method::PUT, "/users/alice", json!({})).await;
    let url = link(&app, "alice").await;
    let path = url.strip_prefix("https://chat.example.com").unwrap();
    let by_proxy = |path: &str| client().get(app.url(path)).header(HOST, "chat.example.com");

    let answer = by_proxy(path).send().await.unwrap();
    let session = cookies(&answer);
    assert!(session[0].starts_with("__Host-dashboard="), "{session:?}");
    assert!(
        session[0].ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=None; Secure; Partitioned"),
        "{session:?}"
    );
    let page = by_proxy("/dashboard").header(COOKIE, kept(&session)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(framing(page.headers()), "frame-ancestors https://app.example.com https://beta.example.com");
    let plain = kept(&session).replace("__Host-", "");
    assert_eq!(by_proxy("/dashboard").header(COOKIE, plain).send().await.unwrap().status(), 403);
    let posted = client()
        .post(app.url("/dashboard/leave"))
        .header(HOST, "inside")
        .header(ORIGIN, "https://chat.example.com");
    assert_eq!(posted.send().await.unwrap().status(), 421, "an unknown Host is refused whatever the origin");

    let alone = TestApp::start_with(&[("CLOUDYBOT__DASHBOARD__URL", "https://chat.example.com")]).await;
    alone.product(Method::PUT, "/users/alice", json!({})).await;
    let url = link(&alone, "alice").await;
    let path = url.strip_prefix("https://chat.example.com").unwrap();
    let answer = client().get(alone.url(path)).header(HOST, "chat.example.com").send().await.unwrap();
    let session = cookies(&answer);
    assert!(
        session[0].starts_with("__Host-dashboard=") && session[0].ends_with("; SameSite=Strict; Secure"),
        "{session:?}"
    );
    let door = client().get(alone.url("/dashboard")).send().await.unwrap();
    assert_eq!(framing(door.headers()), "frame-ancestors 'none'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_without_a_dashboard_says_so_and_how_there_will_be_one() {
    let mut app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    let private = free_address().to_string();
    let mut env = production(&private);
    let base_url = app.sandbox.base_url();
    env.push(("TWILIO_API_BASE_URL", &base_url));
    let public = app.launch_another_with(&env).await.to_string();

    let answer = client()
        .post(format!("http://{private}/v1/users/alice/dashboard-link"))
        .bearer_auth("a long one for the product")
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap();
    let page = async |address: &str| {
        client().get(format!("http://{address}/dashboard")).send().await.unwrap().status()
    };

    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("no_dashboard")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("server.dashboard_listen") && detail.contains("dashboard.url"), "{detail}");
    assert_eq!((page(&private).await, page(&public).await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
}
