//! What becomes of a job by what its handler says, or fails to say.

use std::time::Duration;

use queue::job::{Job as _, NewJob};
use queue::pauses::Scope;

use crate::support::{Act, AfterAct, Bench, Deed};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_succeeds_runs_once_and_is_kept_in_the_history() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("one", Deed::Succeed)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["one"]);
    assert_eq!(
        bench
            .count("SELECT count(*) FROM queue.finished WHERE kind = 'act' AND attempt = 1 AND NOT cancelled")
            .await,
        1
    );
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_backs_off_and_is_dead_when_its_attempts_are_used_up() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("bad", Deed::Fail)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["bad", "bad", "bad", "bad is dead: it failed"]);
    assert_eq!(bench.text("SELECT string_agg(outcome || ':' || attempt || ':' || error, ' ' ORDER BY attempt) FROM queue.attempts").await,
        "failed:1:it failed failed:2:it failed dead:3:it failed");
    assert_eq!(
        bench
            .count(
                "SELECT count(*) FROM queue.attempts WHERE worker_id IS NOT NULL AND started_at <= ended_at"
            )
            .await,
        3
    );
    assert_eq!(bench.text("SELECT reason FROM queue.dead").await, "it failed");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_is_tried_as_often_as_its_own_kind_says() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;
    bench.queue.pause(Scope::Kind, AfterAct::KIND, "tester", None).await.unwrap();

    bench.queue.enqueue(&Act::new("bad", Deed::Abort)).await.unwrap();

    let follow_ups = "SELECT count(*) FROM queue.jobs WHERE kind = 'after_act'";
    bench.until("it is dead", || async { bench.count(follow_ups).await == 1 }).await;
    let most = bench.count("SELECT max_attempts::BIGINT FROM queue.jobs WHERE kind = 'after_act'").await;
    assert_eq!(most, i64::from(AfterAct::MAX_ATTEMPTS));
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_recovers_is_not_dead() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("shaky", Deed::SucceedAt(3))).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["shaky", "shaky", "shaky"]);
    assert_eq!(bench.count("SELECT attempt::BIGINT FROM queue.finished").await, 3);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_waits_as_long_as_it_was_told() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("later", Deed::RetryAfterMs(400))).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["later", "later"]);
    let waited_ms = bench
        .count("SELECT (extract(epoch FROM f.claimed_at - a.ended_at) * 1000)::BIGINT FROM queue.finished f JOIN queue.attempts a ON a.job_id = f.id")
        .await;
    assert!(waited_ms >= 395, "waited {waited_ms} ms");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snooze_costs_no_attempt() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("sleepy", Deed::SnoozeOnceMs(100))).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["sleepy", "sleepy"]);
    assert_eq!(bench.count("SELECT attempt::BIGINT FROM queue.finished").await, 1);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_that_is_kept_names_a_phone_number_or_shows_what_a_panic_quotes() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    for (name, deed) in [("number", Deed::AbortWithNumber), ("quote", Deed::PanicWithQuote)] {
        bench.queue.enqueue(&Act::new(name, deed)).await.unwrap();
    }
    bench.drained().await;

    let expected = "no such person: +…0100, chunk 12345678|panicked: not a plan: […]";
    for table in [
        "SELECT string_agg(reason, '|' ORDER BY reason) FROM queue.dead",
        "SELECT string_agg(DISTINCT error, '|' ORDER BY error) FROM queue.attempts",
    ] {
        assert_eq!(bench.text(table).await, expected, "{table}");
    }
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_ends_dead_with_its_reason_and_leaves_the_neighbours_alone() {
    let bench = Bench::new().await;
    for (name, deed) in [("aborts", Deed::Abort), ("panics", Deed::Panic)] {
        bench.queue.enqueue(&Act::new(name, deed)).await.unwrap();
    }
    sqlx::query("INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload) VALUES (3, 'waiting', 'act', 'test', '{\"name\": \"odd\"}')")
        .execute(&bench.pg)
        .await
        .unwrap();
    for n in 0..20 {
        bench.queue.enqueue(&Act::new(format!("neighbour {n}"), Deed::Succeed)).await.unwrap();
    }

    let workers = bench.work(32).await;
    bench.drained().await;

    let mut follow_ups: Vec<String> =
        bench.record.all().into_iter().filter(|line| line.contains("is dead")).collect();
    follow_ups.sort();
    assert_eq!(
        follow_ups,
        [
            "aborts is dead: no such thing",
            "odd is dead: undecodable payload: missing field `deed` at line 1 column 15",
            "panics is dead: panicked: it fell over"
        ]
    );
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE payload->>'name' LIKE 'neighbour%' AND attempt = 1 AND crashes = 0").await, 20);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_hangs_times_out_and_counts_an_attempt() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    bench.queue.enqueue(&Act::new("hangs", Deed::Hang)).await.unwrap();
    bench
        .until("the first attempt has timed out", || async {
            bench.count("SELECT count(*) FROM queue.attempts WHERE error = 'timed out after 4s' AND outcome = 'failed'").await == 1
        })
        .await;

    workers.stop(Duration::from_millis(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_job_runs_when_it_is_due_and_not_before() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    let due = chrono::Utc::now() + Duration::from_millis(700);
    bench.queue.enqueue(NewJob::of(&Act::new("future", Deed::Succeed)).run_at(due)).await.unwrap();
    bench.drained().await;

    let late_ms =
        bench.count("SELECT (extract(epoch FROM claimed_at) * 1000)::BIGINT FROM queue.finished").await
            - due.timestamp_millis();
    assert!(late_ms >= 0, "ran {late_ms} ms after it was due");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_has_no_other_attempt_however_this_one_ends() {
    for verdict in ["failed", "snoozed", "aborted", "handed_back", "cancelled"] {
        let bench = Bench::new().await;
        bench.queue.enqueue(&Act::new("quick", Deed::Succeed)).await.unwrap();
        // It runs, a person cancels it, and it ends before its process has heard of that.
        sqlx::raw_sql(
            "INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('one', now() + interval '1 h', '{act}');
             UPDATE queue.jobs SET state = 'running', worker_id = (SELECT id FROM queue.workers), claim = 7, claimed_at = now(), cancel_asked = TRUE",
        )
        .execute(&bench.pg)
        .await
        .unwrap();

        let ended: Option<String> =
            sqlx::query_scalar("SELECT queue.settle(id, 7, $1, 0, 'no luck') FROM queue.jobs")
                .bind(verdict)
                .fetch_one(&bench.pg)
                .await
                .unwrap();

        assert_eq!(ended.as_deref(), Some("cancelled"), "{verdict}");
        assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE kind = 'act'").await, 0, "{verdict}");
        assert_eq!(
            bench.count("SELECT count(*) FROM queue.finished WHERE cancelled AND kind = 'act'").await,
            1
        );
        assert_eq!(bench.text("SELECT outcome FROM queue.attempts").await, "cancelled", "{verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_that_a_person_cancels_stops_and_is_kept_as_cancelled() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;
    bench.queue.enqueue(&Act::new("long", Deed::Hang)).await.unwrap();
    bench.until("it runs", || async { bench.record.all().len() == 1 }).await;

    sqlx::query("UPDATE queue.jobs SET cancel_asked = TRUE").execute(&bench.pg).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE cancelled AND kind = 'act'").await, 1);
    let ends: Vec<String> =
        bench.record.all().into_iter().filter(|line| line.contains("is cancelled")).collect();
    assert_eq!(ends, ["long is cancelled: cancelled while it ran; it did not stop by itself"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}
