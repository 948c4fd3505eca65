//! Ends of jobs that the database has forgotten: it counts the jobs as this worker's, and nobody runs them.
//!
//! A commit that was answered before it was on the disk is gone after a crash of the server, or on a standby that was behind. The worker
//! goes by what it knows: whatever the database counts as its own beyond that goes back, and runs once more.

use std::collections::HashSet;
use std::sync::Arc;

use crate::job::JobId;
use crate::worker::pool::PoolState;
use crate::worker::session::{Incarnation, Session};

/// Hands back what was forgotten; how many jobs that were.
pub(crate) async fn hand_back(session: &Session, pools: &[Arc<PoolState>]) -> sqlx::Result<i32> {
    let Some(incarnation) = session.incarnation() else { return Ok(0) };
    let unknown = unknown(session, &incarnation, pools).await?;
    if unknown.is_empty() {
        return Ok(0);
    }
    // Claims that were under way may be among them. Once none is, their jobs are known.
    let _no_claims = futures::future::join_all(pools.iter().map(|pool| pool.claims.write())).await;
    let (known, fences) = session.known_claims();
    let known: HashSet<(JobId, i64)> = known.into_iter().zip(fences).collect();
    let (ids, claims): (Vec<JobId>, Vec<i64>) =
        unknown.into_iter().filter(|claim| !known.contains(claim)).unzip();
    if ids.is_empty() {
        return Ok(0);
    }
    let hand_back = sqlx::query_scalar("SELECT queue.hand_back_forgotten($1, $2)").bind(ids).bind(claims);
    session.queue.pool().ask(async |conn| hand_back.fetch_one(conn).await).await
}

/// What the database counts as this worker's, and the worker does not.
async fn unknown(
    session: &Session,
    incarnation: &Incarnation,
    pools: &[Arc<PoolState>],
) -> sqlx::Result<Vec<(JobId, i64)>> {
    let (names, upto): (Vec<String>, Vec<JobId>) =
        pools.iter().map(|pool| (pool.name.clone(), pool.claimed_upto())).unzip();
    let (known, fences) = session.known_claims();
    let look = sqlx::query_as("SELECT id, claim FROM queue.unknown_claims($1, $2, $3, $4, $5)")
        .bind(incarnation.worker_id)
        .bind(names)
        .bind(upto)
        .bind(known)
        .bind(fences);
    session.queue.pool().ask(async |conn| look.fetch_all(conn).await).await
}
