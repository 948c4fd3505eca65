//! Claims: the statement, and a claimed job on its way to its handler.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::types::Json;
use tokio_util::sync::CancellationToken;

use crate::job::JobId;
use crate::worker::pool::{PoolState, Slot};
use crate::worker::session::{Incarnation, Session};
use crate::worker::suspects::{Leave, Running};

/// A row as a claim returns it.
#[derive(sqlx::FromRow)]
pub(crate) struct ClaimedRow {
    pub(crate) id: JobId,
    #[sqlx(rename = "claim")]
    pub(crate) fence: i64,
    pub(crate) kind: String,
    pub(crate) lane: Option<String>,
    pub(crate) attempt: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) suspicion: i16,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: Json<Box<RawValue>>,
}

/// A claimed job with everything that must end with its attempt.
pub(crate) struct ClaimedJob {
    pub(crate) row: Arc<ClaimedRow>,
    pub(crate) cancel: CancellationToken,
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) hold: Arc<Hold>,
}

/// What a job occupies while it is claimed; dropped with the last of its owners.
pub(crate) struct Hold {
    session: Arc<Session>,
    job_id: JobId,
    _slot: Slot,
    _suspect: Option<Running>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.session.note_ended(self.job_id);
    }
}

const COLUMNS: &str =
    "id, claim, kind, lane, attempt, max_attempts, crashes, suspicion, traceparent, payload";

/// Claims up to `slots` jobs of a pool.
pub(crate) async fn claim(
    session: &Arc<Session>,
    pool: &Arc<PoolState>,
    slots: usize,
) -> sqlx::Result<Vec<ClaimedJob>> {
    let Some(incarnation) = session.incarnation() else { return Ok(Vec::new()) };
    let rows: Vec<ClaimedRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM queue.claim($1, $2, $3)")))
            .bind(incarnation.worker_id)
            .bind(&pool.name)
            .bind(i32::try_from(slots).unwrap_or(i32::MAX))
            .fetch_all(session.queue.pg())
            .await?;
    Ok(rows.into_iter().map(|row| ClaimedJob::new(row, session, pool, &incarnation, None)).collect())
}

/// Claims one suspect, if there is one that may start.
pub(crate) async fn claim_suspect(
    session: &Arc<Session>,
    pool: &Arc<PoolState>,
    leave: Leave,
) -> sqlx::Result<Vec<ClaimedJob>> {
    let Some(incarnation) = session.incarnation() else { return Ok(Vec::new()) };
    let row: Option<ClaimedRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM queue.claim_suspect($1, $2, $3)")))
            .bind(incarnation.worker_id)
            .bind(&pool.name)
            .bind(leave.worst)
            .fetch_optional(session.queue.pg())
            .await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let running = leave.start(row.suspicion);
    Ok(vec![ClaimedJob::new(row, session, pool, &incarnation, Some(running))])
}

impl ClaimedJob {
    fn new(
        row: ClaimedRow,
        session: &Arc<Session>,
        pool: &Arc<PoolState>,
        incarnation: &Arc<Incarnation>,
        suspect: Option<Running>,
    ) -> Self {
        let cancel = CancellationToken::new();
        session.note_running(row.id, cancel.clone());
        let hold = Hold { session: session.clone(), job_id: row.id, _slot: pool.occupy(), _suspect: suspect };
        Self { row: Arc::new(row), cancel, incarnation: incarnation.clone(), hold: Arc::new(hold) }
    }
}
