//! What bare statements reach when they enqueue, on a table without a queue.

use std::time::Instant;

use crate::bare_drains;
use crate::server::Server;

/// One statement for all rows.
pub(crate) async fn enqueue_batch(server: &Server, jobs: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let took = bare_drains::fill(&server.pool(1).await?, jobs).await?;
    Ok(jobs as f64 / took.as_secs_f64())
}

/// Each row in a transaction of its own, by so many clients.
pub(crate) async fn enqueue_single(server: &Server, jobs: usize, clients: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let pg = server.pool(u32::try_from(clients)?).await?;
    let connections = bare_drains::connections(&pg, clients).await?;
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
