//! Scheduled jobs that are made due by hand.

use std::time::Duration;

use chrono::Utc;
use queue::job::{Enqueued, JobId, NewJob};
use queue::job_state::JobState;
use queue::run_now::RunNowError;

use crate::support::{Act, Bench, Deed};

async fn enqueued(bench: &Bench, job: NewJob) -> JobId {
    let Enqueued::New(id) = bench.queue.enqueue(job).await.unwrap() else { panic!("it is new") };
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_runs_once_however_many_people_want_it_now() {
    let bench = Bench::new().await;
    let in_an_hour = Utc::now() + Duration::from_secs(3600);
    let head = NewJob::of(&Act::new("head", Deed::Succeed)).lane("l").run_at(in_an_hour);
    let head = enqueued(&bench, head).await;
    let held = enqueued(&bench, NewJob::of(&Act::new("held", Deed::Succeed)).lane("l")).await;
    let workers = bench.work(2).await;
    let refused = bench.queue.run_now(held, "tester").await.unwrap_err();

    let callers = (0..8).map(|_| bench.queue.run_now(head, "tester"));
    let answers = futures::future::join_all(callers).await;
    bench.drained().await;

    let due: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(due.len(), 1, "{answers:?}");
    assert_eq!((due[0].id, due[0].was_due_at.timestamp()), (head, in_an_hour.timestamp()));
    assert!(refused.to_string().contains("held behind another job of its lane"), "{refused}");
    assert_eq!(bench.record.all(), ["head", "held"]);
    let row = "SELECT concat_ws(' | ', actor, action, target, outcome, before, after) FROM queue.audit WHERE after IS NOT NULL";
    let before = in_an_hour.format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(
        bench.text(row).await,
        format!("tester | run now | job {head} | due now | scheduled for {before} | waiting")
    );
    assert_eq!(
        bench.count("SELECT count(*) FROM queue.audit WHERE outcome LIKE 'refused: it is %'").await,
        8
    );
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_next_attempt_keeps_its_attempts() {
    let bench = Bench::new().await;
    let workers = bench.work(2).await;
    let job = enqueued(&bench, NewJob::of(&Act::new("busy", Deed::RetryAfterMs(3_600_000)))).await;
    bench
        .until("it has failed", || async {
            bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'scheduled' AND attempt = 1").await
                == 1
        })
        .await;

    bench.queue.run_now(job, "tester").await.unwrap();
    bench.drained().await;

    let shown = bench.queue.show(job).await.unwrap().unwrap();
    assert_eq!((shown.summary.state, shown.summary.failed_attempts), (JobState::Done, 1));
    assert_eq!(bench.record.all(), ["busy", "busy"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_any_other_state_is_left_alone_and_its_state_is_told() {
    let bench = Bench::new().await;
    let fill = "
        INSERT INTO queue.jobs (id, max_attempts, state, kind, pool, payload)
        VALUES (-1, 5, 'parked', 'act', 'test', '{}'), (-2, 5, 'waiting', 'act', 'test', '{}'), (-3, 5, 'running', 'act', 'test', '{}');
        INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, payload)
        VALUES (-4, now(), 1, 0, FALSE, 'act', 'test', '{}'), (-5, now(), 1, 0, TRUE, 'act', 'test', '{}');
        INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
        VALUES (-6, now(), 5, 5, 0, 0, 'act', 'test', 'no', '{}')";
    sqlx::raw_sql(fill).execute(&bench.pg).await.unwrap();
    let rows = "SELECT md5(string_agg(j::TEXT, ' ' ORDER BY j.id)) FROM queue.jobs j";
    let before = bench.text(rows).await;

    for (id, expected, remedy) in [
        (-1, JobState::Parked, "resume the kind"),
        (-2, JobState::Waiting, "it is due"),
        (-3, JobState::Running, "it runs"),
        (-4, JobState::Done, "it has ended"),
        (-5, JobState::Cancelled, "it has ended"),
        (-6, JobState::Dead, "retry it"),
    ] {
        let refused = bench.queue.run_now(JobId(id), "tester").await.unwrap_err();
        assert!(refused.to_string().contains(remedy), "{refused}");
        let RunNowError::NotScheduled { state, .. } = refused else { panic!("{refused}") };
        assert_eq!(state, expected);
    }
    let unknown = bench.queue.run_now(JobId(-7), "tester").await.unwrap_err();

    assert!(matches!(unknown, RunNowError::Unknown(JobId(-7))), "{unknown}");
    assert_eq!(bench.text(rows).await, before);
}
