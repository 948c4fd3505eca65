//! Lanes: one at a time, in the order of commits.

use std::time::Duration;

use queue::job::NewJob;

use crate::support::{Act, Bench, Deed};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_lane_run_in_order_though_there_is_much_room_and_many_workers() {
    let bench = Bench::new().await;
    let both = (bench.work(8).await, bench.work(8).await);

    for n in 0..40 {
        bench.queue.enqueue(NewJob::of(&Act::new(format!("{n}"), Deed::Succeed)).lane("l")).await.unwrap();
    }
    bench.drained().await;

    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(bench.record.all(), expected);
    both.0.stop(Duration::from_secs(1)).await.unwrap();
    both.1.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_backs_off_holds_back_its_own_lane_only() {
    let bench = Bench::new().await;
    bench.queue.enqueue(NewJob::of(&Act::new("slow", Deed::RetryAfterMs(600))).lane("a")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("behind", Deed::Succeed)).lane("a")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("beside", Deed::Succeed)).lane("b")).await.unwrap();

    let workers = bench.work(8).await;
    bench.drained().await;

    let all = bench.record.all();
    let place = |name: &str| all.iter().position(|line| line == name).unwrap();
    assert!(place("beside") < place("behind"), "{all:?}");
    assert_eq!(all.iter().filter(|line| *line == "slow").count(), 2);
    assert_eq!(all.last().map(String::as_str), Some("behind"));
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_job_of_a_lane_gets_another_time_with_its_transaction_unless_it_failed() {
    let bench = Bench::new().await;
    let now = chrono::Utc::now();
    let (hour, day) = (now + Duration::from_secs(3600), now + Duration::from_secs(86_400));
    for (name, lane) in [("first", "a"), ("behind", "a"), ("other", "b")] {
        let job = NewJob::of(&Act::new(name, Deed::Succeed)).lane(lane).run_at(hour);
        bench.queue.enqueue(job).await.unwrap();
    }
    sqlx::query("UPDATE queue.jobs SET attempt = 1 WHERE lane = 'b'").execute(&bench.pg).await.unwrap();
    let moved = async |lane: &str, kind: &str, to, commits: bool| {
        let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
        let moved = tx.move_head(lane, kind, to).await.unwrap();
        if commits {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        moved
    };
    let moved_to_day = "SELECT count(*) FROM queue.jobs WHERE run_at > now() + interval '2 hours'";

    assert!(!moved("a", "another", day, true).await && !moved("no such lane", "act", day, true).await);
    assert!(!moved("b", "act", day, true).await, "a backoff is its own");
    assert!(moved("a", "act", day, false).await);
    assert_eq!(bench.count(moved_to_day).await, 0, "it was rolled back");
    assert!(moved("a", "act", day, true).await);
    assert_eq!(bench.count(moved_to_day).await, 1, "the job behind keeps its time");
    assert!(moved("a", "act", now, true).await);
    let workers = bench.work(4).await;
    bench.until("it has run", || async { bench.record.all() == ["first"] }).await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_lets_its_lane_go_on() {
    let bench = Bench::new().await;
    bench.queue.enqueue(NewJob::of(&Act::new("dies", Deed::Abort)).lane("l")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("next", Deed::Succeed)).lane("l")).await.unwrap();

    let workers = bench.work(8).await;
    bench.drained().await;

    assert!(bench.record.all().contains(&"next".to_owned()));
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// Each round, two transactions enqueue into one lane and commit in either order; whoever commits first runs first.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_runs_in_the_order_of_commits() {
    let bench = Bench::new().await;
    let busy = chrono::Utc::now() + Duration::from_secs(3600);
    let mut expected = Vec::new();

    for round in 0..30 {
        let lane = format!("lane {}", round % 3);
        if round < 3 {
            // Some rounds meet an empty lane, the others one with a head that waits.
            bench
                .queue
                .enqueue(
                    NewJob::of(&Act::new("head", Deed::Succeed)).lane(&lane).run_at(busy).unique_key(&lane),
                )
                .await
                .unwrap();
        }
        let mut first = bench.queue.begin(&bench.pg).await.unwrap();
        first.enqueue(NewJob::of(&Act::new(format!("{round} a"), Deed::Succeed)).lane(&lane)).await.unwrap();
        let other = {
            let (queue, pg, lane) = (bench.queue.clone(), bench.pg.clone(), lane.clone());
            tokio::spawn(async move {
                let mut second = queue.begin(&pg).await.unwrap();
                second
                    .enqueue(NewJob::of(&Act::new(format!("{round} b"), Deed::Succeed)).lane(&lane))
                    .await
                    .unwrap();
                second.commit().await.unwrap();
            })
        };
        let rolls_back = round % 4 == 3;
        if rolls_back {
            first.rollback().await.unwrap()
        } else {
            first.commit().await.unwrap()
        }
        other.await.unwrap();
        if !rolls_back {
            expected.push((lane.clone(), format!("{round} a")));
        }
        expected.push((lane, format!("{round} b")));
    }
    let workers = bench.work(8).await;
    for lane in ["lane 0", "lane 1", "lane 2"] {
        let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
        tx.wake(lane).await.unwrap();
        tx.commit().await.unwrap();
    }
    bench.drained().await;

    let all = bench.record.all();
    for lane in ["lane 0", "lane 1", "lane 2"] {
        let wanted: Vec<&String> =
            expected.iter().filter(|(of, _)| of == lane).map(|(_, name)| name).collect();
        let got: Vec<&String> = all.iter().filter(|name| wanted.contains(name)).collect();
        assert_eq!(got, wanted, "{lane}");
    }
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// Enqueuers and completions meet at the end of a lane again and again: no job may be left behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_never_stalls_though_it_runs_empty_while_others_enqueue() {
    let bench = Bench::new().await;
    let workers = bench.work(16).await;

    let enqueuers: Vec<_> = (0..4)
        .map(|enqueuer| {
            let (queue, pg) = (bench.queue.clone(), bench.pg.clone());
            tokio::spawn(async move {
                for n in 0..100 {
                    let mut tx = queue.begin(&pg).await.unwrap();
                    tx.enqueue(
                        NewJob::of(&Act::new(format!("{enqueuer}/{n}"), Deed::Succeed))
                            .lane(format!("{}", n % 2)),
                    )
                    .await
                    .unwrap();
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();
    for enqueuer in enqueuers {
        enqueuer.await.unwrap();
    }
    bench.drained().await;

    let mut all = bench.record.all();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), bench.record.all().len()), (400, 400));
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// The head ends while the next job is being cancelled: the one behind that is the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_goes_on_past_a_job_that_is_cancelled_just_as_its_turn_comes() {
    let bench = Bench::new().await;
    for name in ["head", "cancelled", "behind"] {
        bench.queue.enqueue(NewJob::of(&Act::new(name, Deed::Succeed)).lane("l")).await.unwrap();
    }
    let mut cancellation = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT queue.cancel(id, 'the test') FROM queue.jobs WHERE payload ->> 'name' = 'cancelled'")
        .execute(&mut *cancellation)
        .await
        .unwrap();

    let workers = bench.work(8).await;
    bench
        .until("the completion waits for the cancellation", || async {
            bench.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await > 0
        })
        .await;
    cancellation.commit().await.unwrap();
    bench.drained().await;

    let all = bench.record.all();
    let acts: Vec<&String> = all.iter().filter(|name| !name.contains(" is ")).collect();
    assert_eq!(acts, ["head", "behind"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}
