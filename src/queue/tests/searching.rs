//! Jobs that are found by a text in their payload.

use queue::inspection::{JobCriteria, JobList};
use queue::job::JobId;
use queue::job_state::JobState;

use crate::support::Bench;

fn ids(list: &JobList) -> Vec<i64> {
    list.jobs.iter().map(|job| job.id.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_searched_in_the_newest_hundred_thousand_of_each_table_and_the_rest_is_told() {
    let bench = Bench::new().await;
    let fill = r#"
        INSERT INTO queue.jobs (id, max_attempts, state, kind, pool, payload)
        SELECT n, 5, 'waiting', 'act', 'test', CASE WHEN n = 5 THEN '{"name": "Zoë 100%_"}' ELSE '{}' END::JSONB FROM generate_series(1, 9) n;
        INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, payload)
        SELECT n, now(), 1, 0, FALSE, 'act', 'test', CASE WHEN n IN (11, 100500) THEN '{"name": "zoë 100%_"}' ELSE '{}' END::JSONB
        FROM generate_series(11, 100510) n;
        INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
        SELECT n, now(), 5, 5, 0, 0, 'act', 'test', 'no', CASE WHEN n = 200001 THEN '{"name": "ZOë 100%_"}' ELSE '{}' END::JSONB
        FROM generate_series(200001, 300001) n"#;
    sqlx::raw_sql(fill).execute(&bench.pg).await.unwrap();
    let text = JobCriteria { contains: Some("zOë 100%_".to_owned()), ..JobCriteria::default() };

    let all = bench.queue.list(&text, 50).await.unwrap();
    let done = JobCriteria { state: Some(JobState::Done), before: all.unread_before, ..text.clone() };
    let dead = JobCriteria { state: Some(JobState::Dead), before: all.unread_dead_before, ..text.clone() };
    let other = JobCriteria { contains: Some("100x".to_owned()), ..text.clone() };

    assert_eq!(ids(&all), [100_500, 5]);
    assert_eq!((all.next, all.unread_live_before), (None, None));
    assert_eq!((all.unread_before, all.unread_dead_before), (Some(JobId(511)), Some(JobId(200_002))));
    assert_eq!(ids(&bench.queue.list(&done, 50).await.unwrap()), [11]);
    assert_eq!(ids(&bench.queue.list(&dead, 50).await.unwrap()), [200_001]);
    assert_eq!(ids(&bench.queue.list(&other, 50).await.unwrap()), [0; 0]);
}
