//! What a drain takes: time, processor time and log.

use std::time::Instant;

use sqlx::PgPool;

use crate::cpu::{CpuMeter, CpuPerJob, CpuTime};

/// What a drain took.
#[derive(Clone, Copy)]
pub(crate) struct Drained {
    pub(crate) per_sec: f64,
    /// Log that the server wrote for each job.
    pub(crate) wal_bytes: f64,
    pub(crate) cpu: Option<CpuPerJob>,
}

/// A drain under way.
pub(crate) struct Measuring<'a> {
    pg: &'a PgPool,
    meter: &'a CpuMeter,
    wal_before: f64,
    cpu_before: Option<CpuTime>,
    begun: Instant,
}

impl<'a> Measuring<'a> {
    pub(crate) async fn begin(pg: &'a PgPool, meter: &'a CpuMeter) -> sqlx::Result<Self> {
        let wal_before = wal(pg).await?;
        let cpu_before = meter.now();
        Ok(Self { pg, meter, wal_before, cpu_before, begun: Instant::now() })
    }

    pub(crate) async fn end(self, jobs: usize) -> sqlx::Result<Drained> {
        let took = self.begun.elapsed();
        let cpu = self.meter.per_job_since(self.cpu_before, jobs);
        let wal_bytes = (wal(self.pg).await? - self.wal_before) / jobs as f64;
        Ok(Drained { per_sec: jobs as f64 / took.as_secs_f64(), wal_bytes, cpu })
    }
}

async fn wal(pg: &PgPool) -> sqlx::Result<f64> {
    sqlx::query_scalar("SELECT (pg_current_wal_lsn() - '0/0')::DOUBLE PRECISION").fetch_one(pg).await
}
