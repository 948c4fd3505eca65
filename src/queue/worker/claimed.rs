//! Claims: the statement, and a claimed job on its way to its handler.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

use crate::job::JobId;
use crate::worker::place::Place;
use crate::worker::pool::{PoolState, Slot};
use crate::worker::session::{Incarnation, Session};
use crate::worker::suspects::{Leave, Running};

/// A row as a claim returns it.
pub(crate) struct ClaimedRow {
    pub(crate) id: JobId,
    pub(crate) fence: i64,
    pub(crate) kind: String,
    pub(crate) lane: Option<String>,
    pub(crate) attempt: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) suspicion: i16,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: Json<Box<RawValue>>,
    /// Where the claim has left it; of a suspect it is not known.
    pub(crate) place: Option<Place>,
}

/// In the order of [`CLAIM`]'s columns: by place, since looking up eleven names for each job takes longer than to decode it.
impl FromRow<'_, PgRow> for ClaimedRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            fence: row.try_get(1)?,
            kind: row.try_get(2)?,
            lane: row.try_get(3)?,
            attempt: row.try_get(4)?,
            max_attempts: row.try_get(5)?,
            crashes: row.try_get(6)?,
            suspicion: row.try_get(7)?,
            traceparent: row.try_get(8)?,
            payload: row.try_get(9)?,
            place: row.try_get(10)?,
        })
    }
}

/// A claimed job on its way through its attempt; clones are of the same claim.
#[derive(Clone)]
pub(crate) struct ClaimedJob {
    pub(crate) known: Arc<Known>,
    pub(crate) hold: Arc<Hold>,
}

/// What a job occupies while it is claimed; dropped with the last of its owners.
pub(crate) struct Hold {
    _slot: Slot,
    _suspect: Option<Running>,
}

/// What a handler sees of its job, and may keep for longer than it runs.
pub(crate) struct Claimed {
    pub(crate) row: ClaimedRow,
    /// Cancelled when a person wants the job to stop.
    pub(crate) cancel: CancellationToken,
    /// Whether a transaction of the handler's has ended it, for certain.
    ended: AtomicBool,
}

impl Claimed {
    /// A transaction that ended the job has committed.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A job that this process knows it has, until the verdict is stored.
pub(crate) struct Known {
    pub(crate) claimed: Arc<Claimed>,
    pub(crate) incarnation: Arc<Incarnation>,
    session: Arc<Session>,
    /// Whether the database has taken its verdict.
    concluded: AtomicBool,
}

impl Known {
    /// The database has taken the verdict, or has nothing left that one could be of.
    pub(crate) fn conclude(&self) {
        self.concluded.store(true, Ordering::Release);
    }
}

impl Deref for Known {
    type Target = Claimed;

    fn deref(&self) -> &Claimed {
        &self.claimed
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if !*self.concluded.get_mut() {
            self.session.doubt();
        }
        self.session.forget(self.row.id, self.row.fence);
    }
}

const CLAIM: &str =
    "SELECT id, claim, kind, lane, attempt, max_attempts, crashes, suspicion, traceparent, payload, place
     FROM queue.claim_jobs($1, $2, $3, $4)";

const CLAIM_SUSPECT: &str =
    "SELECT id, claim, kind, lane, attempt, max_attempts, crashes, suspicion, traceparent, payload, NULL::TID
     FROM queue.claim_suspect($1, $2, $3, $4)";

/// A claim under a lease, with a number of its own.
pub(crate) struct Call {
    pub(crate) session: Arc<Session>,
    pub(crate) pool: Arc<PoolState>,
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) number: i64,
}

/// Claims up to `slots` jobs of a pool.
pub(crate) async fn claim(call: &Call, slots: usize) -> sqlx::Result<Vec<ClaimedJob>> {
    let claim = sqlx::query_as(CLAIM)
        .bind(call.incarnation.worker_id)
        .bind(&call.pool.name)
        .bind(i32::try_from(slots).unwrap_or(i32::MAX))
        .bind(call.number);
    let rows: Vec<ClaimedRow> =
        call.session.queue.kept().ask(async |conn| claim.fetch_all(conn).await).await?;
    Ok(rows.into_iter().map(|row| ClaimedJob::new(row, call, None)).collect())
}

/// Has a new connection plan its claims before there is one: a claim of no slots, for nobody.
pub(crate) async fn make_ready(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(CLAIM).bind(0_i64).bind("").bind(0_i32).bind(0_i64).execute(connection).await?;
    Ok(())
}

/// Claims one suspect, if there is one that may start.
pub(crate) async fn claim_suspect(call: &Call, leave: Leave) -> sqlx::Result<Vec<ClaimedJob>> {
    let claim = sqlx::query_as(CLAIM_SUSPECT)
        .bind(call.incarnation.worker_id)
        .bind(&call.pool.name)
        .bind(leave.worst)
        .bind(call.number);
    let row: Option<ClaimedRow> =
        call.session.queue.kept().ask(async |conn| claim.fetch_optional(conn).await).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let running = leave.start(row.suspicion);
    Ok(vec![ClaimedJob::new(row, call, Some(running))])
}

/// After a claim without an answer: what it took and nobody here knows of goes back, and it cannot happen any more. Returns how many jobs
/// that were.
pub(crate) async fn hand_back_unknown(call: &Call, suspects: bool) -> sqlx::Result<i32> {
    let (known, fences) = call.session.known_claims();
    let question = sqlx::query_scalar("SELECT queue.hand_back_unknown($1, $2, $3, $4, $5, $6)")
        .bind(call.incarnation.worker_id)
        .bind(&call.pool.name)
        .bind(suspects)
        .bind(known)
        .bind(fences)
        .bind(call.number);
    call.session.queue.kept().ask(async |conn| question.fetch_one(conn).await).await
}

impl ClaimedJob {
    pub(crate) fn new(row: ClaimedRow, call: &Call, suspect: Option<Running>) -> Self {
        let cancel = CancellationToken::new();
        call.session.note(row.id, row.fence, cancel.clone());
        let (incarnation, session) = (call.incarnation.clone(), call.session.clone());
        let slot = call.pool.occupy(row.id);
        Self {
            known: Arc::new(Known {
                claimed: Arc::new(Claimed { row, cancel, ended: AtomicBool::new(false) }),
                incarnation,
                session,
                concluded: AtomicBool::new(false),
            }),
            hold: Arc::new(Hold { _slot: slot, _suspect: suspect }),
        }
    }
}
