//! What is wrong with the workers of a program is told when they start.

use std::time::Duration;

use queue::workers::{StartError, Workers};

use crate::support::{Bench, Record, act, after_act, workers};

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_its_pool_or_its_follow_up_is_an_error_at_the_start() {
    let bench = Bench::new().await;
    let elsewhere = Workers::new(&bench.queue, Record::default())
        .pool("elsewhere", 1, Duration::from_secs(1))
        .register(act)
        .register(after_act);
    let alone =
        Workers::new(&bench.queue, Record::default()).pool("test", 1, Duration::from_secs(1)).register(act);

    let no_pool = elsewhere.start().await.err().unwrap();
    let no_follow_up = alone.start().await.err().unwrap();
    let running = workers(&bench.queue, bench.record.clone(), 1).start().await.unwrap();

    assert!(matches!(no_pool, StartError::NoPool { pool: "test", .. }), "{no_pool}");
    assert!(matches!(no_follow_up, StartError::NoFollowUp { kind: "act", follow_up: "after_act" }));
    assert!(no_pool.to_string().contains("the pool test, which these workers do not serve"));
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 1);
    running.stop(Duration::from_secs(1)).await.unwrap();
}
