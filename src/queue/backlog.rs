//! What is due, by pool. The first jobs in line are looked at, as many as [`crate::bounded_count::LIMIT`], so that a look at a
//! million of them takes no longer.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The jobs of a pool that are due, in one state and with one worker.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct DueJobs {
    /// The pool.
    pub pool: String,
    /// Who runs them; `None`: they wait.
    pub worker_id: Option<i64>,
    /// How many, up to the limit.
    pub jobs: i64,
    /// Since when the one is due that has waited longest.
    pub since: DateTime<Utc>,
}

/// Jobs whose time has come and that nobody has put in line: no process does so.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Overdue {
    /// How many, up to the limit.
    pub jobs: i64,
    /// Since when the first one is due; `None`: there is none.
    pub since: Option<DateTime<Utc>>,
}

/// The pools that have due jobs.
pub(crate) async fn pools(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "WITH RECURSIVE found AS (
             (SELECT pool FROM queue.jobs WHERE phase = 'due' AND suspicion = 0 ORDER BY pool LIMIT 1)
             UNION ALL
             SELECT (SELECT j.pool FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 AND j.pool > f.pool ORDER BY j.pool LIMIT 1)
             FROM found f WHERE f.pool IS NOT NULL)
         SELECT pool FROM found WHERE pool IS NOT NULL LIMIT 100",
    )
    .fetch_all(conn)
    .await
}

/// The due jobs of every pool that has some, by who runs them.
pub async fn due(conn: &mut PgConnection) -> sqlx::Result<Vec<DueJobs>> {
    let mut due = Vec::new();
    for pool in pools(conn).await? {
        let of_pool: Vec<DueJobs> = sqlx::query_as(
            "SELECT $1::TEXT AS pool, j.worker_id, count(*) AS jobs, min(j.run_at) AS since
             FROM (SELECT worker_id, run_at FROM queue.jobs WHERE pool = $1 AND phase = 'due' AND suspicion = 0
                   ORDER BY priority DESC, id LIMIT 10001) AS j
             GROUP BY j.worker_id ORDER BY j.worker_id",
        )
        .bind(&pool)
        .fetch_all(&mut *conn)
        .await?;
        due.extend(of_pool);
    }
    Ok(due)
}

/// Jobs whose time came longer ago than a live process takes to notice.
pub async fn overdue(conn: &mut PgConnection) -> sqlx::Result<Overdue> {
    sqlx::query_as(
        "SELECT count(*) AS jobs, min(run_at) AS since
         FROM (SELECT run_at FROM queue.jobs WHERE phase = 'scheduled' AND run_at < now() - interval '30 seconds' ORDER BY run_at LIMIT 10001) AS j",
    )
    .fetch_one(conn)
    .await
}
