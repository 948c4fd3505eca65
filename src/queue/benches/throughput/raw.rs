//! What the bare statements reach: the limit that this server sets for any queue on such a table. Every client
//! holds its connection, since a pool asks each that comes back whether it still lives.

use std::time::Instant;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::server::Server;

/// One statement for all rows.
pub(crate) async fn enqueue_batch(server: &Server, jobs: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let pool = server.pool(1).await?;
    let payloads: Vec<serde_json::Value> = (0..jobs).map(|id| serde_json::json!({ "id": id })).collect();
    let begun = Instant::now();
    sqlx::query(
        "INSERT INTO raw.jobs (max_attempts, state, kind, pool, payload) SELECT 5, 'waiting', 'noop', 'bench', payload FROM unnest($1::JSONB[]) payload",
    )
    .bind(payloads)
    .execute(&pool)
    .await?;
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

async fn connections(server: &Server, clients: usize) -> anyhow::Result<Vec<PoolConnection<Postgres>>> {
    let pool = server.pool(u32::try_from(clients)?).await?;
    let each = std::iter::repeat_with(|| pool.acquire()).take(clients);
    Ok(futures::future::try_join_all(each).await?)
}

/// Each row in a transaction of its own, by so many clients.
pub(crate) async fn enqueue_single(server: &Server, jobs: usize, clients: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let connections = connections(server, clients).await?;
    let begun = Instant::now();
    let tasks = connections.into_iter().enumerate().map(|(client, mut connection)| {
        tokio::spawn(async move {
            for id in (client..jobs).step_by(clients) {
                sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
                sqlx::query(
                    "INSERT INTO raw.jobs (max_attempts, state, kind, pool, payload) VALUES (5, 'waiting', 'noop', 'bench', $1)",
                )
                .bind(serde_json::json!({ "id": id }))
                .execute(&mut *connection)
                .await?;
                sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            }
            anyhow::Ok(())
        })
    });
    for task in futures::future::join_all(tasks).await {
        task??;
    }
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

/// Two clients that claim 500 and delete 500, a commit each.
pub(crate) async fn drain(server: &Server, jobs: usize) -> anyhow::Result<f64> {
    enqueue_batch(server, jobs).await?;
    sqlx::raw_sql("ANALYZE raw.jobs").execute(&server.pg).await?;
    let connections = connections(server, 2).await?;
    let begun = Instant::now();
    let tasks = connections.into_iter().map(|mut connection| {
        tokio::spawn(async move {
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
                    return anyhow::Ok(done);
                }
                sqlx::query("DELETE FROM raw.jobs WHERE id = ANY ($1)").bind(&ids).execute(&mut *connection).await?;
                done += ids.len();
            }
        })
    });
    let mut done = 0;
    for task in futures::future::join_all(tasks).await {
        done += task??;
    }
    let took = begun.elapsed();
    anyhow::ensure!(done == jobs, "the bare loop took {done} of {jobs} rows");
    Ok(jobs as f64 / took.as_secs_f64())
}
