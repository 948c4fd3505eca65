//! The administrators' pages, as a browser asks for them; what a browser does with them is in `pages`.

use reqwest::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

/// Who may act, and who may only look.
const TOKENS: &str = "dana:act:a-token-that-is-dana-s-own-0001,max:view:a-token-that-is-max-s-own-00001";
pub(crate) const DANA: &str = "a-token-that-is-dana-s-own-0001";
pub(crate) const MAX: &str = "a-token-that-is-max-s-own-00001";

/// A browser that is logged in.
pub(crate) struct Browser<'a> {
    app: &'a TestApp,
    http: Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    pub(crate) async fn log_in(app: &'a TestApp, token: &str) -> Self {
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        let form = [("token", token), ("next", "/admin/jobs")];
        let answer = http.post(app.url("/admin/login")).form(&form).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[LOCATION]),
            (303, &"/admin/jobs".parse().unwrap())
        );
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(token), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { app, http, cookie }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.app.url(path)).header(COOKIE, &self.cookie).send().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("onclick"), "{path}");
        page
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.http.post(self.app.url(path)).header(COOKIE, &self.cookie).form(form).send().await.unwrap()
    }

    /// What the page after an action says of it.
    pub(crate) async fn said(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status(), 303, "{path}: {}", answer.text().await.unwrap());
        let to = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        let said = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let cookies = format!("{}; {said}", self.cookie);
        let page = self.http.get(self.app.url(&to)).header(COOKIE, cookies).send().await.unwrap();
        let page = page.text().await.unwrap();
        let (_, said) = page.split_once("role=\"status\">").unwrap();
        said.split("</p>").next().unwrap().to_owned()
    }
}

pub(crate) async fn started() -> TestApp {
    TestApp::start_with(&[("CLOUDYBOT_ADMIN_TOKEN", TOKENS)]).await
}

/// Jobs that nobody can read; they die at once.
pub(crate) async fn dead_jobs(app: &TestApp, number: i64) {
    sqlx::query(
        "SELECT queue.enqueue(array_fill('close_slot'::TEXT, ARRAY[$1]), array_fill('upkeep'::TEXT, ARRAY[$1]), array_fill('{}'::JSONB, ARRAY[$1]),
             array_fill(0::SMALLINT, ARRAY[$1]), array_fill(NULL::TIMESTAMPTZ, ARRAY[$1]), array_fill(NULL::TEXT, ARRAY[$1]),
             array_fill(NULL::TEXT, ARRAY[$1]), array_fill(1::SMALLINT, ARRAY[$1]), array_fill(NULL::TEXT, ARRAY[$1]))",
    )
    .bind(i32::try_from(number).unwrap())
    .execute(&app.pg)
    .await
    .unwrap();
    app.until("they are dead", async || app.count("SELECT count(*) FROM queue.dead").await == Some(number))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_pages_until_its_owner_logs_out() {
    let app = started().await;
    let http = Client::builder().redirect(Policy::none()).build().unwrap();
    let stranger = http.get(app.url("/admin/jobs?state=dead")).send().await.unwrap();
    assert_eq!(stranger.status(), 303);
    assert_eq!(stranger.headers()[LOCATION], "/admin/login?next=%2Fadmin%2Fjobs%3Fstate%3Ddead");
    let form =
        http.get(app.url("/admin/login?next=//evil.example")).send().await.unwrap().text().await.unwrap();
    assert!(form.contains("name=\"next\" value=\"/admin\""), "{form}");
    let refused = http.post(app.url("/admin/login")).form(&[("token", "guessed")]).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.headers().get(SET_COOKIE).is_none());

    let browser = Browser::log_in(&app, DANA).await;
    for page in [
        "",
        "/jobs",
        "/groups",
        "/pauses",
        "/messages",
        "/turns",
        "/deliveries",
        "/in-doubt",
        "/schedules",
        "/people",
        "/alerts",
        "/audit",
    ] {
        assert!(browser.page(&format!("/admin{page}")).await.contains("dana"), "{page}");
    }
    assert_eq!(browser.post("/admin/logout", &[]).await.status(), 303);
    assert_eq!(browser.get("/admin").await.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_come_from_our_own_pages_alone() {
    let app = started().await;
    let browser = Browser::log_in(&app, DANA).await;
    let post = |name, value: &str| {
        let request = browser.http.post(app.url("/admin/pauses/pause")).header(COOKIE, &browser.cookie);
        let form = [("scope", "pool"), ("name", "replies"), ("reason", "mischief")];
        request.header(name, value).form(&form).send()
    };

    assert_eq!(post("sec-fetch-site", "cross-site").await.unwrap().status(), 403);
    assert_eq!(post(ORIGIN.as_str(), "https://evil.example").await.unwrap().status(), 403);
    assert_eq!(post(HOST.as_str(), "evil.example").await.unwrap().status(), 421);
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses").await, Some(0));
    assert_eq!(post("sec-fetch-site", "same-origin").await.unwrap().status(), 303);
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_cannot_act_in_a_browser_or_over_http() {
    let app = started().await;
    dead_jobs(&app, 1).await;
    let id = app.count("SELECT max(id) FROM queue.dead").await.unwrap();
    let browser = Browser::log_in(&app, MAX).await;

    let page = browser.page(&format!("/admin/jobs/{id}")).await;
    assert!(page.contains("max, who may only look") && !page.contains("/retry"), "{page}");
    let refused = browser.post(&format!("/admin/jobs/{id}/cancel"), &[]).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("may look and not act"));
    let path = format!("/admin/api/jobs/{id}/cancel");
    let over_http = app.call(Method::POST, &path, MAX, Value::Null).await;
    assert_eq!((over_http.0, &over_http.1["code"]), (403, &json!("view_only")));
    assert_eq!(app.call(Method::GET, "/admin/api/jobs", MAX, Value::Null).await.0, 200);
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(1));

    assert_eq!(app.call(Method::POST, &path, DANA, Value::Null).await.0, 200);
    let audit = browser.page("/admin/audit").await;
    assert!(audit.contains("dana") && audit.contains(&format!("job {id}")), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token() {
    let mut app = started().await;
    let cookie = Browser::log_in(&app, DANA).await.cookie;
    app.terminate().await;
    app.launch_with(&[("CLOUDYBOT_ADMIN_TOKEN", "dana:view:a-token-that-is-dana-s-new-0002")]).await;
    let http = Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = http.get(app.url("/admin")).header(COOKIE, cookie).send().await.unwrap();
    assert_eq!(answer.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_is_shown_as_text() {
    let app = started().await;
    let nasty = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\"'";
    let user = json!({ "plan": "pro", "attributes": { "name": nasty } });
    assert_eq!(app.product(Method::PUT, "/users/alice", user).await.0, 201);
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("Body", nasty), ("ProfileName", nasty)]).await;
    app.until("it is answered", async || app.said_to(PERSON).len() >= 2).await;
    sqlx::query("INSERT INTO queue.dead (created_at, attempt, max_attempts, crashes, priority, id, kind, pool, reason, payload)
                 VALUES (now(), 1, 1, 0, 0, 77777, $1, $1, $1, to_jsonb($1))")
        .bind(nasty)
        .execute(&app.pg)
        .await
        .unwrap();

    let browser = Browser::log_in(&app, DANA).await;
    let paths = [
        "",
        "/jobs",
        "/jobs/77777",
        "/groups",
        "/messages",
        "/people",
        "/person?user=alice",
        "/deliveries",
        "/turns",
    ];
    let message = app.count("SELECT max(id) FROM channel_messages").await.unwrap();
    let story = format!("/messages/{message}");
    let mut seen = 0;
    for path in paths.into_iter().chain([story.as_str()]) {
        let page = browser.page(&format!("/admin{path}")).await;
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{path}: {page}");
        seen += usize::from(page.contains("alert(1)"));
    }
    assert!(seen >= 4, "it was on {seen} pages");
    let by_link = browser.page("/admin/jobs?kind=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(by_link.contains("alert(1)") && !by_link.contains("<script>alert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_jobs_are_retried_by_their_cause_as_they_were_counted() {
    let app = started().await;
    dead_jobs(&app, 120).await;
    let browser = Browser::log_in(&app, DANA).await;

    let groups = browser.page("/admin/groups").await;
    let (_, path) = groups.split_once("action=\"/admin/jobs/all/cancel?").unwrap();
    let query = path.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let asked = browser.post(&format!("/admin/jobs/all/cancel?{query}"), &[]).await.text().await.unwrap();
    assert!(asked.contains("Cancel 120 jobs?"), "{asked}");
    let group = query.split("group=").nth(1).unwrap().split('&').next().unwrap();
    let form = |expected| [("action", "cancel"), ("expected", expected), ("state", "dead"), ("group", group)];

    let other = browser.post("/admin/jobs/all/do", &form("119")).await;
    assert_eq!(other.status(), 422);
    assert!(other.text().await.unwrap().contains("119 were confirmed, and 120 fit by now"));
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(120));
    assert_eq!(browser.said("/admin/jobs/all/do", &form("120")).await, "120 cancelled.");
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(0));
    let by = app.count("SELECT count(*) FROM queue.audit WHERE actor = 'dana' AND action = 'cancel'").await;
    assert_eq!(by, Some(120));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_made_and_ended_by_name_and_says_why() {
    let app = started().await;
    let browser = Browser::log_in(&app, DANA).await;
    let pause = [("scope", "pool"), ("name", "replies"), ("reason", "the gateway moves")];
    assert_eq!(browser.said("/admin/pauses/pause", &pause).await, "The pool replies is paused.");
    let page = browser.page("/admin/pauses").await;
    assert!(page.contains("the gateway moves") && page.contains("dana"), "{page}");
    let unknown = browser.post("/admin/pauses/pause", &[("scope", "pool"), ("name", "replys")]).await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("known are"));
    assert_eq!(browser.said("/admin/pauses/resume", &pause[..2]).await, "The pool replies goes on.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_open_is_told_of_changes() {
    let app = started().await;
    let browser = Browser::log_in(&app, DANA).await;
    let mut events = browser.get("/admin/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut read = String::new();
    // The first look tells how much was written so far; what is written then is told by another.
    for expected in 1..=2 {
        if expected == 2 {
            app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
        }
        while read.matches("event: changed").count() < expected {
            read.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()));
        }
    }
    let stranger = app.http.get(app.url("/admin/events")).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}
