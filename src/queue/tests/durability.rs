//! What an answer promises when the server crashes right after it, and that no job starts before its commit is on the disk.

use private_postgres::scratch_cluster::ScratchCluster;
use queue::Queue;
use queue::settings::QueueSettings;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::support::{Act, Deed, PATIENCE, Record, SCHEMA, workers};

/// A process whose leases outlast commits that are held.
async fn new_process(cluster: &ScratchCluster) -> Queue {
    Queue::open(cluster.pool().await, QueueSettings::default())
}

/// While commits wait for a standby that does not exist, as they do for a disk that takes long.
struct HeldCommits {
    pg: PgPool,
    /// Commits, one after the other.
    trying: JoinHandle<()>,
}

impl HeldCommits {
    async fn begin(cluster: &ScratchCluster) -> Self {
        let pg = cluster.pool().await;
        sqlx::query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").execute(&pg).await.unwrap();
        sqlx::query("SELECT pg_reload_conf()").execute(&pg).await.unwrap();
        // The server does not say when it has taken note, so it is tried until a commit is held.
        let other = cluster.pool().await;
        let trying = tokio::spawn(async move {
            let commit = "SELECT pg_logical_emit_message(TRUE, 'try', '')";
            while sqlx::query(commit).execute(&other).await.is_ok() {}
        });
        let held = Self { pg, trying };
        held.until_held("%'try'%").await;
        held
    }

    /// Returns when the commit of such a statement waits.
    async fn until_held(&self, statement: &str) {
        let held = async {
            let is_held =
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE $1)";
            while !sqlx::query_scalar::<_, bool>(is_held).bind(statement).fetch_one(&self.pg).await.unwrap() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("{statement} is never held"));
    }

    async fn end(self) {
        self.trying.abort();
        sqlx::query("ALTER SYSTEM RESET synchronous_standby_names").execute(&self.pg).await.unwrap();
        sqlx::query("SELECT pg_reload_conf()").execute(&self.pg).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_enqueued_is_there_after_a_crash_of_the_server() {
    let cluster = ScratchCluster::create(&SCHEMA).await;

    for name in ["a", "b", "c"] {
        new_process(&cluster).await.enqueue(&Act::new(name, Deed::Succeed)).await.unwrap();
        cluster.kill().await;
        cluster.start_again().await;
    }

    let names = "SELECT payload->>'name' FROM queue.jobs ORDER BY id";
    let there: Vec<String> = sqlx::query_scalar(names).fetch_all(&cluster.pool().await).await.unwrap();
    assert_eq!(there, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_commit_waits_for_the_disk_its_job_does_not_start_and_its_caller_is_told_nothing() {
    let cluster = ScratchCluster::create(&SCHEMA).await;
    let record = Record::default();
    let workers = workers(&new_process(&cluster).await, record.clone(), 4).start().await.unwrap();
    let commits = HeldCommits::begin(&cluster).await;

    let enqueuing = {
        let queue = new_process(&cluster).await;
        tokio::spawn(async move { queue.enqueue(&Act::new("a", Deed::Succeed)).await })
    };
    commits.until_held("COMMIT").await;

    assert!(!enqueuing.is_finished(), "the caller is told too early");
    assert!(record.all().is_empty(), "it starts too early");

    commits.end().await;
    enqueuing.await.unwrap().unwrap();
    let started = async {
        while record.all().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, started).await.expect("it starts");
    workers.stop(PATIENCE).await.unwrap();
    assert_eq!(record.all(), ["a"]);
}
