//! What administrators see and do.

use std::time::Duration;

use queue::action_result::ActionResult;
use queue::attempt_end::AttemptEnd;
use queue::inspection::{JobAction, JobCriteria};
use queue::job::{Enqueued, JobId, NewJob};
use queue::job_state::JobState;
use queue::pauses::Scope;

use crate::support::{Act, Bench, Deed};

fn id(enqueued: Enqueued) -> JobId {
    let Enqueued::New(id) = enqueued else { panic!("it is new") };
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_with_every_attempt() {
    let bench = Bench::new().await;
    let workers = bench.work(2).await;
    let dead = id(bench.queue.enqueue(&Act::new("bad", Deed::Fail)).await.unwrap());
    bench.drained().await;

    let shown = bench.queue.show(dead).await.unwrap().unwrap();

    assert_eq!((shown.summary.state, shown.summary.reason.as_deref()), (JobState::Dead, Some("it failed")));
    assert_eq!(shown.rest.payload["name"], "bad");
    let outcomes: Vec<AttemptEnd> = shown.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptEnd::Failed, AttemptEnd::Failed, AttemptEnd::Dead]);
    assert!(
        shown
            .attempts
            .iter()
            .all(|attempt| attempt.worker_id.is_some() && attempt.started_at.unwrap() <= attempt.ended_at)
    );
    assert!(bench.queue.show(JobId(999_999)).await.unwrap().is_none());
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_retried_one_by_one_and_in_bulk_under_their_own_numbers() {
    let bench = Bench::new().await;
    let workers = bench.work(2).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(id(bench
            .queue
            .enqueue(NewJob::of(&Act::new(format!("{n}"), Deed::Abort)).lane("l"))
            .await
            .unwrap()));
    }
    bench.drained().await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 5);
    sqlx::query("UPDATE queue.dead SET payload = jsonb_set(payload, '{deed}', '\"Succeed\"')")
        .execute(&bench.pg)
        .await
        .unwrap();

    let one = bench.queue.act_on(JobAction::Retry, ids[0], "tester").await.unwrap();
    let rest = bench
        .act_on_fitting(
            JobAction::Retry,
            JobCriteria { kind: Some("act".into()), ..JobCriteria::default() },
            "tester",
        )
        .await;
    bench.drained().await;

    assert_eq!(one.outcome, ActionResult::Retried);
    assert_eq!(rest.len(), 4);
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 0);
    let shown = bench.queue.show(ids[0]).await.unwrap().unwrap();
    assert_eq!((shown.summary.state, shown.attempts.len()), (JobState::Done, 1));
    assert_eq!(bench.count("SELECT count(*) FROM queue.audit WHERE actor = 'tester' AND action = 'retry' AND outcome = 'retried'").await, 5);
    assert_eq!(
        bench.queue.act_on(JobAction::Retry, ids[0], "tester").await.unwrap().outcome,
        ActionResult::NotDead
    );
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_are_cancelled_at_once_and_their_lane_goes_on() {
    let bench = Bench::new().await;
    let far = chrono::Utc::now() + Duration::from_secs(3600);
    let head = id(bench
        .queue
        .enqueue(NewJob::of(&Act::new("head", Deed::Succeed)).lane("l").run_at(far))
        .await
        .unwrap());
    let held = id(bench.queue.enqueue(NewJob::of(&Act::new("held", Deed::Succeed)).lane("l")).await.unwrap());
    bench.queue.enqueue(NewJob::of(&Act::new("last", Deed::Succeed)).lane("l")).await.unwrap();
    let workers = bench.work(2).await;

    for job in [held, head] {
        assert_eq!(
            bench.queue.act_on(JobAction::Cancel, job, "tester").await.unwrap().outcome,
            ActionResult::Cancelled
        );
    }
    bench.drained().await;

    let mut all = bench.record.all();
    all.sort();
    assert_eq!(
        all,
        ["head is cancelled: cancelled by tester", "held is cancelled: cancelled by tester", "last"]
    );
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn an_attempt_ends_as_the_column_allows_and_in_no_other_way() {
    let bench = Bench::new().await;
    let allowed: String = sqlx::query_scalar(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'queue.attempts'::REGCLASS AND conname = 'attempts_outcome_check'",
    )
    .fetch_one(&bench.pg)
    .await
    .unwrap();

    let words: Vec<&str> = allowed.split('\'').skip(1).step_by(2).collect();

    assert_eq!(words, AttemptEnd::ALL.map(AttemptEnd::as_str));
    for end in AttemptEnd::ALL {
        assert_eq!(serde_json::to_value(end).unwrap(), end.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_asked_to_stop_through_the_same_door() {
    let bench = Bench::new().await;
    let workers = bench.work(2).await;
    let job = id(bench.queue.enqueue(&Act::new("long", Deed::Hang)).await.unwrap());
    bench.until("it runs", || async { bench.record.all().len() == 1 }).await;

    assert_eq!(
        bench.queue.act_on(JobAction::Cancel, job, "tester").await.unwrap().outcome,
        ActionResult::AskedToStop
    );
    bench.drained().await;

    assert_eq!(bench.queue.show(job).await.unwrap().unwrap().summary.state, JobState::Cancelled);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_and_a_paused_kind_wait_and_go_on() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    for (scope, name) in [(Scope::Pool, "test"), (Scope::Kind, "act")] {
        assert!(bench.queue.pause(scope, name, "tester", None).await.unwrap());
        assert!(!bench.queue.pause(scope, name, "tester", None).await.unwrap());
        let before = bench.record.all().len();
        for n in 0..3 {
            bench.queue.enqueue(&Act::new(format!("{name} {n}"), Deed::Succeed)).await.unwrap();
        }
        // Two looks of the poller later they would have run.
        bench
            .until("the poller has looked", || async {
                bench.queue.stats().await.unwrap().iter().any(|count| count.paused && count.jobs == 3)
            })
            .await;
        assert_eq!(bench.record.all().len(), before, "{name}");
        assert!(bench.queue.resume(scope, name, "tester").await.unwrap());
        bench.drained().await;
        assert_eq!(bench.record.all().len(), before + 3, "{name}");
    }
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_finds_what_is_due_behind_jobs_of_a_paused_kind() {
    let bench = Bench::new().await;
    bench.queue.pause(Scope::Kind, "paused", "tester", None).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('test', now() + interval '1 hour');
         INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
         SELECT 3, 'waiting', CASE WHEN n % 10 = 0 THEN 'act' ELSE 'paused' END, 'test', '{}' FROM generate_series(1, 100) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let claimed = bench
        .count("SELECT count(*) FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 4, 1)")
        .await;

    assert_eq!(claimed, 4);
    // Not only those that it met: a backlog of a paused kind is passed in stretches.
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'parked'").await, 90);
    assert_eq!(bench.count("SELECT count(DISTINCT claim) FROM queue.jobs WHERE state = 'running'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_by_every_filter() {
    let bench = Bench::new().await;
    let far = chrono::Utc::now() + Duration::from_secs(3600);
    bench.queue.enqueue(NewJob::of(&Act::new("a", Deed::Succeed)).lane("l")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("b", Deed::Succeed)).lane("l")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("c", Deed::Succeed)).run_at(far)).await.unwrap();
    let now = chrono::Utc::now();

    let number = async |filter: JobCriteria| bench.queue.list(&filter, 100).await.unwrap().jobs.len();

    assert_eq!(number(JobCriteria::default()).await, 3);
    assert_eq!(number(JobCriteria { state: Some(JobState::Held), ..JobCriteria::default() }).await, 1);
    assert_eq!(number(JobCriteria { state: Some(JobState::Scheduled), ..JobCriteria::default() }).await, 1);
    assert_eq!(number(JobCriteria { lane: Some("l".into()), ..JobCriteria::default() }).await, 2);
    assert_eq!(number(JobCriteria { pool: Some("other".into()), ..JobCriteria::default() }).await, 0);
    assert_eq!(
        number(JobCriteria { kind: Some("act".into()), until: Some(now), ..JobCriteria::default() }).await,
        3
    );
    assert_eq!(number(JobCriteria { since: Some(now), ..JobCriteria::default() }).await, 0);
    assert_eq!(bench.queue.list(&JobCriteria::default(), 2).await.unwrap().jobs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_history_the_newest_jobs_are_looked_through_and_the_page_says_so() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, payload)
         SELECT n, now(), 1, 0, FALSE, CASE WHEN n = 5 THEN 'rare' ELSE 'act' END, 'test', '{}' FROM generate_series(1, 20000) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let rare = JobCriteria { kind: Some("rare".into()), ..JobCriteria::default() };

    let page = bench.queue.list(&rare, 10).await.unwrap();
    let done = JobCriteria { state: Some(JobState::Done), ..rare };
    let first = bench.queue.list(&done, 10).await.unwrap();
    let second = bench.queue.list(&JobCriteria { before: first.next, ..done }, 10).await.unwrap();

    assert_eq!((page.jobs.len(), page.next, page.unread_before), (0, None, Some(JobId(5_001))));
    assert_eq!((first.jobs.len(), first.next), (0, Some(JobId(5_001))));
    assert_eq!(second.jobs.iter().map(|job| job.id.0).collect::<Vec<_>>(), [5]);
    assert_eq!((second.next, second.unread_before), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn among_many_live_jobs_a_kind_and_what_runs_are_found_and_what_was_not_looked_at_is_told() {
    let bench = Bench::new().await;
    // The oldest ones run and wait, as behind a backlog.
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (id, run_at, max_attempts, state, kind, pool, payload)
         SELECT n, now() + interval '1 day', 5, (CASE WHEN n = 7 THEN 'running' WHEN n <= 1000 THEN 'waiting' ELSE 'scheduled' END)::queue.state,
                CASE WHEN n = 5 THEN 'rare' ELSE 'act' END, CASE WHEN n = 9 THEN 'other' ELSE 'test' END, '{}'
         FROM generate_series(1, 20000) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let list = async |criteria: JobCriteria| {
        let list = bench.queue.list(&criteria, 10).await.unwrap();
        let ids: Vec<i64> = list.jobs.iter().map(|job| job.id.0).collect();
        (ids, list.next, list.unread_live_before)
    };
    let by_kind = JobCriteria { kind: Some("rare".into()), ..JobCriteria::default() };
    let running = JobCriteria { state: Some(JobState::Running), ..JobCriteria::default() };
    let by_pool = JobCriteria { pool: Some("other".into()), ..JobCriteria::default() };
    let waiting_there = JobCriteria { state: Some(JobState::Waiting), ..by_pool.clone() };

    let first = list(waiting_there.clone()).await;
    let second = list(JobCriteria { before: first.1, ..waiting_there }).await;

    assert_eq!(list(by_kind).await, (vec![5], None, None));
    assert_eq!(list(running).await, (vec![7], None, None));
    assert_eq!(
        list(by_pool).await,
        (vec![], None, Some(JobId(5_001))),
        "live and finished ones have no common next page"
    );
    assert_eq!(first, (vec![], Some(JobId(5_001)), Some(JobId(5_001))));
    assert_eq!(second, (vec![9], None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_pruned_by_age_and_dead_jobs_stay() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "CREATE TABLE queue.finished_20250101 PARTITION OF queue.finished FOR VALUES FROM ('2025-01-01') TO ('2025-01-02');
         INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         VALUES (1, '2025-01-01', 1, 1, 0, 0, 'act', 'test', 'old', '{}');
         INSERT INTO queue.attempts (job_id, attempt, outcome, ended_at) VALUES (1, 1, 'dead', '2025-01-01'), (2, 1, 'failed', '2025-01-01')",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let dropped = bench.count("SELECT queue.prune(14)::BIGINT").await;

    assert_eq!(dropped, 1);
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 1);
    assert_eq!(bench.count("SELECT job_id FROM queue.attempts").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_by_filter_goes_on_in_steps_to_its_end_and_says_what_is_left() {
    let bench = Bench::new().await;
    sqlx::query(
        "INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
         SELECT now() + interval '1 day', 5, 'scheduled', 'act', 'test', '{}' FROM generate_series(1, 1200)",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let filter = JobCriteria { kind: Some("act".into()), ..JobCriteria::default() };

    let mut bulk = bench.queue.bulk(JobAction::Cancel, filter.clone()).await.unwrap();
    let all = bench.queue.rest(&bulk).await.unwrap();
    let first = bench.queue.step(&mut bulk, "tester").await.unwrap();
    let rest = bench.queue.rest(&bulk).await.unwrap();
    // What comes later is not meant, or it would never end.
    let far = chrono::Utc::now() + Duration::from_secs(3600);
    bench.queue.enqueue(NewJob::of(&Act::new("later", Deed::Succeed)).run_at(far)).await.unwrap();
    let mut others = 0;
    loop {
        let step = bench.queue.step(&mut bulk, "tester").await.unwrap().len();
        if step == 0 {
            break;
        }
        others += step;
    }

    assert_eq!((all, first.len(), rest, others), (1200, 500, 700, 700));
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 1);
    let cancelled = JobCriteria { state: Some(JobState::Cancelled), ..filter.clone() };
    assert_eq!(bench.queue.list(&cancelled, 2000).await.unwrap().jobs.len(), 1200);
    assert_eq!(bench.queue.list(&filter, 2000).await.unwrap().jobs.len(), 1201);
    assert!(
        bench
            .queue
            .list(&JobCriteria { state: Some(JobState::Dead), ..filter }, 10)
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
}
