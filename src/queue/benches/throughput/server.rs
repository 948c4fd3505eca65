//! The server that is measured, and a database of its own on it.

use std::str::FromStr;

use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use queue::Queue;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

use crate::bare_drains;
use crate::cpu::CpuMeter;

/// A server with a fresh database.
pub(crate) struct Server {
    options: PgConnectOptions,
    admin: PgPool,
    database: String,
    pub(crate) pg: PgPool,
    pub(crate) cpu: CpuMeter,
    _private: Option<(PrivatePostgres, tempfile::TempDir)>,
}

impl Server {
    pub(crate) async fn start(url: Option<&str>) -> anyhow::Result<Self> {
        let (url, private) = match url {
            Some(url) => (url.to_owned(), None),
            None => {
                let directory = tempfile::tempdir()?;
                let settings = ClusterSettings {
                    durable: true,
                    ..ClusterSettings::new(directory.path().join("postgres"), "bench")
                };
                let private =
                    tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings)).await??;
                (private.url(), Some((private, directory)))
            }
        };
        let options = PgConnectOptions::from_str(&url)?;
        let admin = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let database = format!("queue_bench_{}", std::process::id());
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&admin).await?;
        let options = options.database(&database);
        let pg = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await?;
        sqlx::migrate!("../../migrations").run(&pg).await?;
        sqlx::raw_sql(include_str!("../../../../migrations/functions.sql")).execute(&pg).await?;
        sqlx::raw_sql(bare_drains::TABLES).execute(&pg).await?;
        let cpu = CpuMeter::of(&pg).await?;
        Ok(Self { options, admin, database, pg, cpu, _private: private })
    }

    /// A pool of its own, connected.
    pub(crate) async fn pool(&self, connections: u32) -> sqlx::Result<PgPool> {
        let options = queue::connections::options().max_connections(connections).min_connections(connections);
        options.connect_with(self.options.clone()).await
    }

    /// A queue with connections of its own, as another process would have.
    pub(crate) async fn queue(&self, connections: u32) -> sqlx::Result<Queue> {
        let options =
            queue::connections::for_workers().max_connections(connections).min_connections(connections);
        let pool = options.connect_with(self.options.clone()).await?;
        Ok(Queue::open(pool, queue::settings::QueueSettings::default()))
    }

    /// Empty tables, and no old work of the server's in the next measurement.
    pub(crate) async fn clear(&self) -> sqlx::Result<()> {
        sqlx::raw_sql("TRUNCATE raw.jobs, raw.effects; DELETE FROM queue.jobs WHERE state <> 'scheduled' AND pool <> 'other'; CHECKPOINT")
            .execute(&self.pg)
            .await?;
        sqlx::raw_sql("VACUUM ANALYZE queue.jobs").execute(&self.pg).await?;
        Ok(())
    }

    /// Many rows that have nothing to do with what is measured.
    pub(crate) async fn fill(&self, finished: i64, future: i64, waiting: i64) -> sqlx::Result<()> {
        sqlx::query(
            "INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, payload)
             SELECT -n, now(), now(), 1, n, 1, 0, FALSE, 'noop', 'bench', '{\"id\": 1}' FROM generate_series(1, $1) n",
        )
        .bind(finished)
        .execute(&self.pg)
        .await?;
        for (rows, pool, state, run_at) in
            [(future, "bench", "scheduled", "1 day"), (waiting, "other", "waiting", "0")]
        {
            sqlx::query(
                "INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
                 SELECT now() + $4::INTERVAL, 5, $3::queue.state, 'noop', $2, '{\"id\": 1}' FROM generate_series(1, $1) n",
            )
            .bind(rows)
            .bind(pool)
            .bind(state)
            .bind(run_at)
            .execute(&self.pg)
            .await?;
        }
        sqlx::raw_sql("VACUUM ANALYZE queue.jobs").execute(&self.pg).await?;
        sqlx::raw_sql("VACUUM ANALYZE queue.finished").execute(&self.pg).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&self.pg).await?;
        Ok(())
    }

    pub(crate) async fn version(&self) -> sqlx::Result<String> {
        sqlx::query_scalar(
            "SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s', current_setting('server_version'), current_setting('fsync'),
                           current_setting('synchronous_commit'))",
        )
        .fetch_one(&self.pg)
        .await
    }

    pub(crate) async fn end(self) -> sqlx::Result<()> {
        self.pg.close().await;
        sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.database)))
            .execute(&self.admin)
            .await?;
        Ok(())
    }
}
