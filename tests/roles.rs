//! Processes that do a part of the service each: what each answers, how it stops, and that one after the other may be restarted under load.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::Hmac;
use private_postgres::scratch_cluster::ScratchCluster;
use reqwest::Method;
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::net::UnixDatagram;

use crate::support::balancer::Balancer;
use crate::support::requests::signature;
use crate::support::{ADMIN_TOKEN, API_TOKEN, AUTH_TOKEN, PERSON, SHIPPED_TIMEOUT, TestApp};

const PATH: &str = "/webhooks/whatsapp";

const ROLES: &str = "CLOUDYBOT__SERVER__ROLES";

/// Fires every second, for nobody.
const OFTEN: &str = "cron = \"* * * * * *\"\nmisfire = \"all\"\noverlap = \"wait\"\n[audience]\nplan = \"max\"\n[content]\nmessage = \"tick\"\n";

/// The status of `/readyz` and what it says.
async fn readiness(app: &TestApp, process: SocketAddr, path: &str) -> (u16, String) {
    let answer = app.http.get(format!("http://{process}/readyz{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_with_a_role_each_are_the_service() {
    let mut app = TestApp::start_with(&[(ROLES, r#"["receiver"]"#)]).await;
    let workers = app.launch_another_with(&[(ROLES, r#"["workers"]"#)]).await;
    let scheduler = app.launch_another_with(&[(ROLES, r#"["scheduler"]"#)]).await;
    let console = app.launch_another_with(&[(ROLES, r#"["console"]"#)]).await;
    app.write_schedule("often", OFTEN);

    assert_eq!(app.write(PERSON, "Hello").await, Some(200));
    app.replies(PERSON, 1).await;
    app.until("a schedule has fired", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(1)
    })
    .await;
    app.remove_schedule("often");

    let ask = async |process: SocketAddr, path: &str, token: &str| {
        let request = app.http.get(format!("http://{process}{path}")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    for process in [app.address, workers, scheduler, console] {
        let expected = if process == console { 200 } else { 404 };
        assert_eq!(ask(process, "/v1/plans", API_TOKEN).await, expected);
        assert_eq!(ask(process, "/openapi.json", "").await, expected);
        let webhooks = if process == app.address { 405 } else { 404 };
        assert_eq!(ask(process, PATH, "").await, webhooks);
        assert_eq!(ask(process, "/healthz", "").await, 200);
    }
    for (process, role) in
        [(app.address, "receiver"), (workers, "workers"), (scheduler, "scheduler"), (console, "console")]
    {
        assert_eq!(readiness(&app, process, "").await, (200, format!("ready\n{role}: ok\n")));
        assert_eq!(readiness(&app, process, &format!("/{role}")).await, (200, "ready\n".to_owned()));
        let (status, said) = readiness(&app, process, "/nothing").await;
        assert_eq!((status, said), (404, format!("the roles of this process are {role}\n")));
    }
    let list = app.http.get(format!("http://{console}/admin/api/workers")).bearer_auth(ADMIN_TOKEN);
    let list: Value = list.send().await.unwrap().json().await.unwrap();
    let (_, table) = app.command(&["workers"]).await;
    let mut roles: Vec<&Value> =
        list["workers"].as_array().unwrap().iter().map(|process| &process["roles"]).collect();
    roles.sort_by_key(|roles| roles.to_string());
    assert_eq!(json!(roles), json!([["console"], ["receiver"], ["scheduler"], ["workers"]]), "{table}");
    assert!(table.lines().count() == 5 && table.contains("  scheduler  "), "{table}");
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_says_what_ails_it_while_the_database_is_away() {
    let cluster = ScratchCluster::empty().await;
    let mut app = TestApp::on_database(cluster.url().to_owned(), None, &[SHIPPED_TIMEOUT]).await;
    let apart = app.launch_another_with(&[(ROLES, r#"["workers", "scheduler"]"#)]).await;
    app.write(PERSON, "before").await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    cluster.stop().await;
    app.until("the lease is over, and the schedules were looked after in vain", async || {
        let (_, said) = readiness(&app, apart, "").await;
        said.contains("workers: the lease") && said.contains("scheduler: could not look")
    })
    .await;
    let (receiver, of_receiver) = readiness(&app, app.address, "").await;
    let (of_workers, _) = readiness(&app, apart, "").await;
    cluster.start_again().await;

    assert_eq!((receiver, of_workers), (503, 503));
    assert!(of_receiver.starts_with("the database does not answer\n"), "{of_receiver}");
    assert!(of_receiver.contains("\nreceiver: the database does not answer\n"), "{of_receiver}");
    for process in [app.address, apart] {
        app.until("it is ready again", async || {
            let (status, said) = readiness(&app, process, "").await;
            status == 200 && said.lines().skip(1).all(|line| line.ends_with(": ok"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_says_so_first_and_takes_in_what_comes_meanwhile() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__SERVER__DRAIN", "3s")]).await;
    app.link(PERSON).await;
    let post = async |sid: &str| {
        let form = [("MessageSid", sid), ("From", PERSON), ("Body", sid)];
        app.post(PATH, &form, Some(&app.sign(PATH, &form))).await
    };
    let before = post("SMbefore").await;

    let begun = Instant::now();
    app.ask_to_stop();
    app.until("that is told", async || readiness(&app, app.address, "").await.0 == 503).await;
    let (_, said) = readiness(&app, app.address, "/receiver").await;
    let meanwhile = post("SMmeanwhile").await;
    let took = begun.elapsed();
    let code = app.stopped().await;
    let whole = begun.elapsed();

    assert_eq!((before.status().as_u16(), meanwhile.status().as_u16()), (200, 200), "after {took:?}");
    assert!(before.headers().get("connection").is_none());
    assert_eq!(meanwhile.headers()["connection"], "close");
    assert_eq!(said, "this process stops\n");
    assert_eq!(code, Some(0));
    assert!(whole >= Duration::from_secs(3), "{whole:?}");
    app.launch().await;
    app.drained_well().await;
    let said = app.said_to(PERSON).concat();
    assert!(said.contains("SMbefore") && said.contains("SMmeanwhile"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_the_start_of_the_stop_and_in_between_that_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let told = async || {
        let mut buffer = [0; 500];
        let length = manager.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };

    let env = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let mut app = TestApp::start_with(&env).await;
    let start = told().await;
    let well = [told().await, told().await, told().await];
    app.ask_to_stop();
    let mut stop = told().await;
    while stop.trim() == "WATCHDOG=1" {
        stop = told().await;
    }
    let code = app.stopped().await;

    assert!(start.contains("READY=1") && start.contains("receiver, workers, scheduler, console"), "{start}");
    assert_eq!(well.map(|told| told.trim().to_owned()), ["WATCHDOG=1"; 3]);
    assert!(stop.contains("STOPPING=1"), "{stop}");
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_unknown_is_refused_with_those_that_are_known() {
    let app = TestApp::start().await;

    let of_setting = app.refused(&[(ROLES, r#"["receiver", "web"]"#)]).await;
    let nothing = app.refused(&[(ROLES, "[]")]).await;
    let (of_line, on_line) = app.command(&["run", "--only", "receiver,web"]).await;

    let known = "the roles are receiver, workers, scheduler, console";
    assert!(
        of_setting.contains("server.roles: \"web\" is no role") && of_setting.contains(known),
        "{of_setting}"
    );
    assert!(nothing.contains("server.roles: no role is named") && nothing.contains(known), "{nothing}");
    assert!(!of_line && on_line.contains("--only") && on_line.contains(known), "{on_line}");
}

/// What is posted in a second.
const PER_SEC: u32 = 100;

/// The phone of a person.
fn phone(number: u32) -> String {
    format!("whatsapp:+1500555{:04}", 1000 + number % 40)
}

/// Restarts every process but one of each role, and then that one, so many times, while webhooks come.
async fn restart_all(rounds: usize) {
    let mut balancer = Balancer::listen().await;
    let public_url = format!("http://{}", balancer.address());
    let mut app = TestApp::start_with(&[
        (ROLES, r#"["console"]"#),
        ("TWILIO_WEBHOOK_PUBLIC_URL", &public_url),
        // As the program is shipped.
        ("CLOUDYBOT__SERVER__DRAIN", "5s"),
        ("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"),
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms"),
        ("CLOUDYBOT__TWILIO__SENDER_PER_SEC", "1000"),
    ])
    .await;
    let mut halves = [Vec::new(), Vec::new()];
    for half in &mut halves {
        for roles in [r#"["receiver"]"#, r#"["workers"]"#, r#"["scheduler", "console"]"#] {
            half.push(app.launch_another_with(&[(ROLES, roles)]).await);
        }
        balancer.add(half[0]);
    }
    for number in 0..40 {
        app.link(&phone(number)).await;
    }
    app.write_schedule("often", OFTEN);
    app.until("both receivers are behind the balancer", async || balancer.ready() == 2).await;

    let (over, is_over) = tokio::sync::watch::channel(());
    // Who keeps connections for longer than a process drains may come as it closes them.
    let http =
        reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2)).build().unwrap();
    let load = tokio::spawn(load(http, public_url, is_over));
    for _ in 0..rounds {
        for half in &halves {
            assert_eq!(app.restart_others(half).await, [Some(0); 3]);
            app.until("both receivers are behind the balancer", async || balancer.ready() == 2).await;
        }
    }
    drop(over);
    let (posted, failed, slowest) = load.await.unwrap();
    app.remove_schedule("often");
    let patience = Duration::from_secs(300);
    app.until_within(patience, "every job has ended", async || {
        app.count("SELECT count(*) FROM queue.jobs").await == Some(0)
    })
    .await;

    eprintln!("{posted} webhooks, the slowest {slowest:?}");
    assert_eq!(failed, [""; 0], "of {posted}");
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(0), "jobs died");
    assert_eq!(app.count("SELECT count(*) FROM channel_messages").await, Some(i64::from(posted)));
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome <> 'answered'").await, Some(0));
    let mut said: Vec<String> =
        (0..40).flat_map(|number| app.said_to(&phone(number))).flat_map(|reply| words(&reply)).collect();
    said.sort_unstable();
    let mut expected: Vec<String> = (0..posted).map(|number| format!("message{number}")).collect();
    expected.sort_unstable();
    assert!(said == expected, "{} words were said for {} messages", said.len(), expected.len());
    let gaps =
        "SELECT extract(epoch FROM max(moment) - min(moment))::BIGINT + 1 - count(*) FROM channel_slots";
    assert_eq!(app.count(gaps).await, Some(0), "each moment of the schedule is there once");
}

/// What was echoed.
fn words(reply: &str) -> Vec<String> {
    reply.split_whitespace().filter(|word| word.starts_with("message")).map(str::to_owned).collect()
}

/// Posts webhooks at an even pace until it is over, each once. Returns how many, which failed, and how long the slowest took.
async fn load(
    http: reqwest::Client,
    url: String,
    is_over: tokio::sync::watch::Receiver<()>,
) -> (u32, Vec<String>, Duration) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PER_SEC);
    let mut posts = tokio::task::JoinSet::new();
    let mut posted = 0;
    while is_over.has_changed().is_ok() {
        pace.tick().await;
        posts.spawn(post(http.clone(), url.clone(), posted));
        posted += 1;
    }
    let (mut failed, mut slowest) = (Vec::new(), Duration::ZERO);
    while let Some(post) = posts.join_next().await {
        let (trouble, took) = post.unwrap();
        failed.extend(trouble);
        slowest = slowest.max(took);
    }
    (posted, failed, slowest)
}

async fn post(http: reqwest::Client, url: String, number: u32) -> (Option<String>, Duration) {
    let (sid, from, body) = (format!("SM{number:032}"), phone(number), format!("message{number}"));
    let form = [("MessageSid", &*sid), ("From", &*from), ("Body", &*body)];
    let url = format!("{url}{PATH}");
    let request = http.request(Method::POST, &url).form(&form);
    let request = request.header("X-Twilio-Signature", signature::<Hmac<Sha1>>(AUTH_TOKEN, &url, &form));
    let begun = Instant::now();
    let trouble = match request.send().await {
        Ok(answer) if answer.status() == 200 => None,
        Ok(answer) => Some(format!("{sid}: {}", answer.status())),
        Err(error) => Some(format!("{sid}: {error:?}")),
    };
    (trouble, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_every_role_under_load_loses_no_webhook_and_does_nothing_twice() {
    restart_all(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes five minutes; run it with `cargo test --test integration -- --ignored ten_rolling_restarts`"]
async fn ten_rolling_restarts_under_load_lose_no_webhook_and_do_nothing_twice() {
    restart_all(10).await;
}
