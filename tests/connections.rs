//! The addresses that it listens on, and clients that are slow, silent, many, or led there by a web page.

use std::time::{Duration, Instant};

use reqwest::header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::processes::free_address;
use crate::support::{ADMIN_TOKEN, API_TOKEN, PERSON, TestApp};

const PATH: &str = "/webhooks/whatsapp";

/// A webhook's request as it goes over the wire.
fn webhook(app: &TestApp, sid: &str) -> String {
    let form = [("MessageSid", sid), ("From", PERSON), ("Body", "Hello")];
    let body = format!("MessageSid={sid}&From=whatsapp%3A%2B15005550100&Body=Hello");
    let signature = app.sign(PATH, &form);
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: bot.example\r\nX-Twilio-Signature: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a webhook over a connection of its own; returns the status line and how long it took.
async fn post(app: &TestApp, sid: &str) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(webhook(app, sid).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.lines().next().unwrap_or_default().to_owned(), begun.elapsed())
}

/// Holds this many bodies and this many connections without a word, and posts webhooks meanwhile.
#[cfg(target_os = "linux")]
async fn flood(bodies: usize, silent: usize) {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let both = rustix::process::Rlimit { current: hard, maximum: hard };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, both).unwrap();
    let app = TestApp::start_with_files(1024, 1024, &[]).await;
    app.link(PERSON).await;
    post(&app, "SMfirst").await;
    let (_, bare) = post(&app, "SMbare").await;
    eprintln!("at first {} KiB", app.memory_kib());
    let held_back = format!(
        "POST {PATH} HTTP/1.1\r\nHost: bot.example\r\nContent-Length: 60000\r\n\r\n{}",
        "x".repeat(59_999)
    );

    let mut held = Vec::new();
    let mut worst = Duration::ZERO;
    for number in 0..bodies + silent {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        if number < bodies {
            // The server may have closed it for a newcomer by now.
            let _ = stream.write_all(held_back.as_bytes()).await;
        }
        held.push(stream);
        if number % (bodies / 10) == 0 || number + 1 == bodies + silent {
            let (status, took) = post(&app, &format!("SM{number}")).await;
            assert_eq!(status, "HTTP/1.1 200 OK", "beside {number} connections");
            worst = worst.max(took);
        }
    }
    let memory_kib = app.memory_kib();

    eprintln!("bare {bare:?}, worst {worst:?}, {memory_kib} KiB");
    assert!(worst < bare * 20 + Duration::from_secs(1), "{worst:?}, and {bare:?} without the others");
    assert!(memory_kib < 150 * 1024, "{memory_kib} KiB");
    drop(held);
    app.replies(PERSON, 1).await;
    app.drained_well().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hold_bodies_back_and_silent_ones_cost_no_webhook() {
    flood(1000, 1100).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "opens six thousand connections; run it with `cargo test --test integration -- --ignored bodies`"]
async fn thousands_of_clients_that_hold_bodies_back_cost_no_webhook() {
    flood(5000, 1100).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let app = TestApp::start_with_files(200, 600, &[]).await;

    let limits = app.kernels("limits");

    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().collect::<Vec<_>>(), ["600", "600", "files"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_and_administrators_have_an_address_of_their_own() {
    let (private, dashboard) = (free_address(), free_address());
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__SERVER__PRIVATE_LISTEN", &private.to_string()),
        ("CLOUDYBOT__SERVER__DASHBOARD_LISTEN", &dashboard.to_string()),
    ])
    .await;
    let ask = async |address, path: &str, token| {
        let request = app.http.get(format!("http://{address}{path}")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };

    for (path, token) in [("/v1/plans", API_TOKEN), ("/admin/api/jobs", ADMIN_TOKEN), ("/openapi.json", "")] {
        let asked = [app.address, dashboard, private].map(|address| ask(address, path, token));
        let [public, dashboard, private] = asked;

        assert_eq!((public.await, dashboard.await, private.await), (404, 404, 200), "{path}");
    }
    let asked = [app.address, dashboard, private].map(|address| ask(address, "/dashboard", ""));
    let [public, of_its_own, closed] = asked;
    assert_eq!((public.await, of_its_own.await, closed.await), (404, 403, 404));
    for address in [app.address, dashboard, private] {
        assert_eq!(ask(address, "/readyz", "").await, 200, "{address}");
    }
    assert_eq!(ask(private, PATH, "").await, 404);
    assert_eq!(app.write(PERSON, "Hello").await, Some(200));
    app.replies(PERSON, 1).await;
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_is_misdirected_except_for_webhooks() {
    let app = TestApp::start_with(&[("CLOUDYBOT__SERVER__ORIGINS", "[\"https://Admin.example\"]")]).await;
    let ask = async |path: &str, host: &str| {
        app.http.get(app.url(path)).bearer_auth(API_TOKEN).header(HOST, host).send().await.unwrap()
    };

    for (path, host, status) in [
        ("/v1/plans", "evil.example", 421),
        ("/admin/api/jobs", "evil.example:8080", 421),
        ("/openapi.json", "localhost.evil.example", 421),
        ("/nowhere", "evil.example", 421),
        ("/v1/plans", "admin.example", 200),
        ("/v1/plans", "localhost:1", 200),
        ("/nowhere", "localhost", 404),
        ("/readyz", "10.0.0.9", 200),
        (PATH, "evil.example", 405),
    ] {
        let answer = ask(path, host).await;

        assert_eq!(answer.status(), status, "{path} {host}");
        if !matches!(path, "/readyz" | PATH) {
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store", "{path} {host}");
            assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path} {host}");
        }
    }
    let described: Value = ask("/openapi.json", "localhost").await.json().await.unwrap();
    assert_eq!(described["servers"], Value::Null, "a description names no absolute server");
    assert!(post(&app, "SM1").await.0.ends_with("200 OK"));
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_begun_is_answered_after_sigterm() {
    let mut app = TestApp::start().await;
    app.link(PERSON).await;
    let request = webhook(&app, "SM1");
    let (first, rest) = request.split_at(request.len() - 5);
    let mut begun = TcpStream::connect(app.address).await.unwrap();
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    begun.write_all(first.as_bytes()).await.unwrap();
    // The head has come when a later request has been answered.
    assert!(post(&app, "SM2").await.0.ends_with("200 OK"));

    let stopping = tokio::spawn(async move { (app.terminate().await, app) });
    silent.read_to_end(&mut Vec::new()).await.unwrap();
    begun.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let (code, app) = stopping.await.unwrap();
    assert_eq!(code, Some(0));
    let stored = "SELECT count(*) FROM channel_messages WHERE sid = 'SM1'";
    assert_eq!(app.count(stored).await, Some(1));
}
