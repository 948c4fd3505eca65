//! `/metrics`: what is counted is there, and the alert rules and the dashboard speak of what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use regex::Regex;

use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

const ALERTS: &str = include_str!("../src/service/packaging/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../src/service/packaging/prometheus/grafana.json");
const HANDBOOK: &str = include_str!("../src/HANDBOOK.md");

/// The samples of a scrape, each by its name with its labels.
async fn scrape(app: &TestApp, base: &str) -> BTreeMap<String, f64> {
    let answer = app.http.get(format!("{base}/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let page = answer.text().await.unwrap();
    assert!(page.ends_with("# EOF\n"), "{page}");
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Waits until the figures of the whole database say so.
async fn until(
    app: &TestApp,
    base: &str,
    what: &str,
    is_so: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    app.until(what, async || is_so(&scrape(app, base).await)).await;
    scrape(app, base).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_counted() {
    let private = free_address();
    let app = TestApp::start_with(&[("CLOUDYBOT__SERVER__PRIVATE_LISTEN", &private.to_string())]).await;
    let base = format!("http://{private}");
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    app.post("/webhooks/whatsapp", &[("MessageSid", "SMforged")], Some("forged")).await;
    app.drained_well().await;

    let of_database = |samples: &BTreeMap<String, f64>| {
        samples.get("cloudybot_chunks_last_hour{state=\"delivered\"}") == Some(&1.0)
    };
    let samples = until(&app, &base, "the figures of the database have the reply", of_database).await;
    let public = app.http.get(app.url("/metrics")).send().await.unwrap().status();

    for (name, value) in [
        ("cloudybot_webhooks_total{hook=\"message\",outcome=\"stored\"}", 1.0),
        ("cloudybot_webhooks_total{hook=\"message\",outcome=\"forbidden\"}", 1.0),
        ("cloudybot_webhook_seconds_count{hook=\"message\"}", 2.0),
        ("cloudybot_jobs_total{kind=\"send_chunk\",outcome=\"done\"}", 1.0),
        ("cloudybot_attempts_total{kind=\"receive_message\",outcome=\"done\"}", 1.0),
        ("cloudybot_attempts_total{kind=\"receive_message\",outcome=\"dead\"}", 0.0),
        ("cloudybot_sends_total{class=\"reply\",outcome=\"accepted\"}", 1.0),
        ("cloudybot_send_seconds_count", 1.0),
        ("cloudybot_agent_calls_total{outcome=\"answered\"}", 1.0),
        ("cloudybot_blocks_total{reason=\"window\"}", 0.0),
        ("cloudybot_lease_held", 1.0),
        ("cloudybot_queue_waiting_jobs{pool=\"replies\"}", 0.0),
        ("cloudybot_queue_processes{pool=\"replies\"}", 1.0),
        ("cloudybot_queue_concurrency{pool=\"replies\"}", 32.0),
        ("cloudybot_sent_this_month{kind=\"reply\"}", 1.0),
        ("cloudybot_in_doubt_sends", 0.0),
        ("cloudybot_chunks_to_be_sent{state=\"planned\"}", 0.0),
        ("cloudybot_chunks_to_be_sent{state=\"sending\"}", 0.0),
        ("cloudybot_connections_allowed{pool=\"receiver\"}", 8.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
    }
    let kinds = |metric: &str| {
        let of_metric = samples.keys().filter_map(|name| name.strip_prefix(metric)?.strip_prefix("{kind=\""));
        of_metric.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<BTreeSet<String>>()
    };
    let dead =
        kinds("cloudybot_dead_jobs").into_iter().filter(|kind| kind != "other").collect::<BTreeSet<_>>();
    assert_eq!(dead, kinds("cloudybot_attempts_total"), "every kind has a line of its own");
    assert!(samples["cloudybot_clock_lead_seconds"].abs() < 1.0);
    assert!(samples["cloudybot_connections_open{pool=\"queue\"}"] >= 1.0);
    assert_eq!(public, 404, "the internet sees none of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_to_be_sent_are_counted_by_state() {
    let app = TestApp::start().await;
    assert!(app.command(&["jobs", "pause", "pool", "replies"]).await.0);
    let people = [PERSON, "whatsapp:+15005550101", "whatsapp:+15005550102"];
    for person in people {
        app.write(person, "Hello").await;
    }
    app.until("three replies are planned", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'planned'").await == Some(3)
    })
    .await;

    let planned = "cloudybot_chunks_to_be_sent{state=\"planned\"}";
    until(&app, &app.url(""), "the three are shown", |samples| samples.get(planned) == Some(&3.0)).await;
    assert!(app.command(&["jobs", "resume", "pool", "replies"]).await.0);
    for person in people {
        app.replies(person, 1).await;
    }
    until(&app, &app.url(""), "none is left", |samples| samples.get(planned) == Some(&0.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_one_reads_the_figures_and_all_show_them() {
    let mut app = TestApp::start().await;
    let another = app.launch_another_with(&[("CLOUDYBOT__SERVER__ROLES", "[\"receiver\"]")]).await;
    let bases = [app.url(""), format!("http://{another}")];
    let has_figures = |samples: &BTreeMap<String, f64>| samples.contains_key("cloudybot_queue_overdue_jobs");
    for base in &bases {
        until(&app, base, "it shows figures", has_figures).await;
    }
    let read = "SELECT (extract(epoch FROM read_at) * 1000)::BIGINT FROM channel_gauges";
    let first = app.count(read).await.unwrap();

    app.until("they were read anew", async || app.count(read).await > Some(first)).await;
    let second = app.count(read).await.unwrap();

    assert!(second - first >= 14_000, "read again after {} ms", second - first);
    let of_another = scrape(&app, &bases[1]).await;
    assert!(
        of_another.contains_key("cloudybot_process{version=\"0.1.0\",roles=\"receiver\"}"),
        "{of_another:#?}"
    );
    assert!(!of_another.contains_key("cloudybot_lease_held"), "it has no workers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_is_quick_and_waits_for_nobody() {
    let app = TestApp::start().await;
    let base = app.url("");
    until(&app, &base, "it shows figures", |samples| samples.contains_key("cloudybot_queue_overdue_jobs"))
        .await;
    let mut locked = app.pg.begin().await.unwrap();
    sqlx::raw_sql("LOCK channel_gauges, queue.jobs, channel_chunks").execute(&mut *locked).await.unwrap();

    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        scrape(&app, &base).await;
        took.push(begun.elapsed());
    }
    locked.rollback().await.unwrap();

    took.sort_unstable();
    eprintln!("fastest {:?}, median {:?}, slowest {:?}", took[0], took[25], took[49]);
    // What a busy machine adds is not the scrape's own.
    assert!(took[0] <= Duration::from_millis(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_dashboard_name_metrics_that_are_there_and_runbooks_that_are_written() {
    let app = TestApp::start().await;
    let base = app.url("");
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    let shown = until(&app, &base, "it shows figures", |samples| {
        samples.contains_key("cloudybot_queue_overdue_jobs")
    })
    .await;
    let shown: BTreeSet<&str> = shown.keys().map(|name| name.split('{').next().unwrap()).collect();

    let name = Regex::new(r"cloudybot_[a-z_]+").unwrap();
    let rules = ALERTS.lines().filter(|line| line.trim_start().starts_with("expr:"));
    let of_rules: BTreeSet<&str> =
        rules.flat_map(|line| name.find_iter(line).map(|found| found.as_str())).collect();
    let panels: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = panels["panels"].to_string();
    let of_panels: BTreeSet<&str> = name.find_iter(&panels).map(|found| found.as_str()).collect();

    assert!(of_rules.len() >= 15 && of_panels.len() >= 20, "{of_rules:?} {of_panels:?}");
    for named in of_rules.union(&of_panels) {
        assert!(shown.contains(named), "{named} is none of {shown:?}");
    }
    let headings: BTreeSet<&str> = HANDBOOK.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let runbooks: Vec<&str> =
        ALERTS.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
    assert_eq!(runbooks.len(), ALERTS.matches("- alert: ").count());
    for runbook in &runbooks {
        assert!(headings.contains(runbook), "src/HANDBOOK.md says nothing of {runbook:?}");
    }
    let named: BTreeSet<&str> = runbooks.into_iter().collect();
    assert_eq!(headings, named, "each entry is there for a rule");
}
