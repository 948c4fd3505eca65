//! Completions that the database has lost. Such a job counts as running under this worker, and nobody runs it.
//!
//! A commit that was answered before it was on the disk is lost when the server crashes, or when a standby that was
//! behind takes over. The worker knows which jobs it has: all others that the database attributes to it are handed
//! back, and run once more.

use std::collections::HashSet;
use std::sync::Arc;

use crate::job::JobId;
use crate::worker::lease::Lease;
use crate::worker::pool::PoolState;
use crate::worker::process::WorkerProcess;

/// Hands back the jobs whose completion was lost; returns their number.
pub(crate) async fn hand_back(process: &WorkerProcess, pools: &[Arc<PoolState>]) -> sqlx::Result<i32> {
    let Some(lease) = process.lease() else { return Ok(0) };
    let unknown = unknown(process, &lease, pools).await?;
    if unknown.is_empty() {
        return Ok(0);
    }
    // Jobs of claims under way may be among them. With the write locks no claim is under way, and the process knows all
    // its jobs.
    let _no_claims = futures::future::join_all(pools.iter().map(|pool| pool.claims.write())).await;
    let (known, fences) = process.claims();
    let known: HashSet<(JobId, i64)> = known.into_iter().zip(fences).collect();
    let (ids, claims): (Vec<JobId>, Vec<i64>) =
        unknown.into_iter().filter(|claim| !known.contains(claim)).unzip();
    if ids.is_empty() {
        return Ok(0);
    }
    let hand_back = sqlx::query_scalar("SELECT queue.hand_back_forgotten($1, $2)").bind(ids).bind(claims);
    process.queue.pool().run(async |conn| hand_back.fetch_one(conn).await).await
}

/// Jobs that the database attributes to this worker and that the worker does not know.
async fn unknown(
    process: &WorkerProcess,
    lease: &Lease,
    pools: &[Arc<PoolState>],
) -> sqlx::Result<Vec<(JobId, i64)>> {
    let (names, upto): (Vec<String>, Vec<JobId>) =
        pools.iter().map(|pool| (pool.name.clone(), pool.claimed_upto())).unzip();
    let (known, fences) = process.claims();
    let look = sqlx::query_as("SELECT id, claim FROM queue.unknown_claims($1, $2, $3, $4, $5)")
        .bind(lease.worker_id)
        .bind(names)
        .bind(upto)
        .bind(known)
        .bind(fences);
    process.queue.pool().run(async |conn| look.fetch_all(conn).await).await
}
