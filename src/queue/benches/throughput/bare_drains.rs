//! What bare statements reach when they drain a table: the limit that this server sets for any queue on such a table.
//! Every client holds its connection, since a pool pings each that comes back.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

/// The table of jobs with no queue around it, and with its indexes on the state itself, as queues commonly have them. In
/// `raw.effects` a handler writes its row.
pub(crate) const TABLES: &str = "
    CREATE SCHEMA raw;
    CREATE TABLE raw.jobs (LIKE queue.jobs INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id));
    ALTER TABLE raw.jobs DROP COLUMN phase;
    CREATE INDEX ON raw.jobs (pool, priority DESC, id) WHERE state = 'waiting' AND suspicion = 0;
    CREATE INDEX ON raw.jobs (pool, suspicion, id) WHERE state = 'waiting' AND suspicion > 0;
    CREATE INDEX ON raw.jobs (run_at) WHERE state = 'scheduled';
    CREATE INDEX ON raw.jobs (kind) WHERE state = 'parked';
    CREATE INDEX ON raw.jobs (worker_id) WHERE state = 'running';
    CREATE UNIQUE INDEX ON raw.jobs (lane) WHERE lane IS NOT NULL AND state <> 'held';
    CREATE INDEX ON raw.jobs (lane, priority DESC, id) WHERE state = 'held';
    CREATE UNIQUE INDEX ON raw.jobs (unique_key) WHERE unique_key IS NOT NULL;
    CREATE TABLE raw.effects (job BIGINT NOT NULL)";

/// Clients that claim and end jobs in batches.
const CLIENTS: u32 = 2;

/// Clients, and connections of handlers, that write a row for each job and end it in that transaction.
pub(crate) const WRITERS: u32 = 8;

/// Inserts so many rows by one statement; returns how long that took.
pub(crate) async fn fill(pg: &PgPool, jobs: usize) -> anyhow::Result<Duration> {
    let payloads: Vec<serde_json::Value> = (0..jobs).map(|id| serde_json::json!({ "id": id })).collect();
    let begun = Instant::now();
    sqlx::query(
        "INSERT INTO raw.jobs (max_attempts, state, kind, pool, payload) SELECT 5, 'waiting', 'noop', 'bench', payload FROM unnest($1::JSONB[]) payload",
    )
    .bind(payloads)
    .execute(pg)
    .await?;
    Ok(begun.elapsed())
}

/// How a client ends a batch that it has claimed.
type End = for<'a> fn(&'a mut PgConnection, &'a [i64]) -> BoxFuture<'a, sqlx::Result<()>>;

fn delete<'a>(connection: &'a mut PgConnection, ids: &'a [i64]) -> BoxFuture<'a, sqlx::Result<()>> {
    Box::pin(async move {
        sqlx::query("DELETE FROM raw.jobs WHERE id = ANY ($1)").bind(ids).execute(connection).await?;
        Ok(())
    })
}

fn write_and_delete<'a>(connection: &'a mut PgConnection, ids: &'a [i64]) -> BoxFuture<'a, sqlx::Result<()>> {
    Box::pin(async move {
        for id in ids {
            sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
            sqlx::query("INSERT INTO raw.effects (job) VALUES ($1)")
                .bind(id)
                .execute(&mut *connection)
                .await?;
            sqlx::query("DELETE FROM raw.jobs WHERE id = $1").bind(id).execute(&mut *connection).await?;
            sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        }
        Ok(())
    })
}

/// Bare clients that are connected. The rows are there.
pub(crate) struct BareDrain {
    clients: Vec<PoolConnection<Postgres>>,
    end: End,
}

impl BareDrain {
    /// Two clients that claim 500 and delete 500, a commit each.
    pub(crate) async fn in_batches(pg: &PgPool) -> sqlx::Result<Self> {
        Self::new(pg, CLIENTS, delete).await
    }

    /// Clients that claim 500 and then, for each job, write a row and delete the job in one transaction.
    pub(crate) async fn one_by_one(pg: &PgPool) -> sqlx::Result<Self> {
        Self::new(pg, WRITERS, write_and_delete).await
    }

    async fn new(pg: &PgPool, clients: u32, end: End) -> sqlx::Result<Self> {
        sqlx::raw_sql("ANALYZE raw.jobs").execute(pg).await?;
        Ok(Self { clients: connections(pg, clients as usize).await?, end })
    }

    /// Claims and ends until no job waits; in jobs a second.
    pub(crate) async fn run(self, jobs: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let clients = self.clients.into_iter().map(|connection| tokio::spawn(client(connection, self.end)));
        let mut done = 0;
        for client in futures::future::join_all(clients).await {
            done += client??;
        }
        let took = begun.elapsed();
        anyhow::ensure!(done == jobs, "the bare clients took {done} of {jobs} rows");
        Ok(jobs as f64 / took.as_secs_f64())
    }
}

async fn client(mut connection: PoolConnection<Postgres>, end: End) -> sqlx::Result<usize> {
    let mut done = 0;
    loop {
        let ids: Vec<i64> = sqlx::query_scalar(
            "UPDATE raw.jobs SET state = 'running', claimed_at = clock_timestamp() WHERE id = ANY (ARRAY(
                 SELECT id FROM raw.jobs WHERE pool = 'bench' AND state = 'waiting' AND suspicion = 0
                 ORDER BY priority DESC, id LIMIT 500 FOR UPDATE SKIP LOCKED)) RETURNING id",
        )
        .fetch_all(&mut *connection)
        .await?;
        if ids.is_empty() {
            return Ok(done);
        }
        end(&mut connection, &ids).await?;
        done += ids.len();
    }
}

/// So many connections at a time, each on loan from the pool.
pub(crate) async fn connections(pg: &PgPool, clients: usize) -> sqlx::Result<Vec<PoolConnection<Postgres>>> {
    futures::future::try_join_all(std::iter::repeat_with(|| pg.acquire()).take(clients)).await
}
