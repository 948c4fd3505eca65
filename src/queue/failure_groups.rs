//! Jobs that gave up or fail, grouped by their kind and by what went wrong: errors that differ in numbers, ids, addresses and quoted words alone are one
//! group. `queue.error_shape` says what is left of an error.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::bounded_count::BoundedCount;
use crate::job::JobId;

/// Jobs of a kind with errors of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureGroup {
    /// Names it: twelve hexadecimal digits.
    pub group: String,
    /// What the jobs do.
    pub kind: String,
    /// What their errors have in common.
    pub shape: String,
    /// How many there are.
    pub jobs: BoundedCount,
    /// When the first one failed.
    pub first: DateTime<Utc>,
    /// When the last one failed.
    pub last: DateTime<Utc>,
    /// One of them, the newest.
    #[schema(value_type = i64)]
    pub example: JobId,
}

#[derive(sqlx::FromRow)]
struct GroupRow {
    failure_group: String,
    kind: String,
    shape: String,
    jobs: i64,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    example: JobId,
}

impl From<GroupRow> for FailureGroup {
    fn from(row: GroupRow) -> Self {
        let GroupRow { failure_group: group, kind, shape, jobs, first, last, example } = row;
        Self { group, kind, shape, jobs: BoundedCount::of(jobs), first, last, example }
    }
}

/// Groups of dead jobs, the largest first, of 200 groups at most.
pub async fn of_dead(conn: &mut PgConnection) -> sqlx::Result<Vec<FailureGroup>> {
    let rows: Vec<GroupRow> = sqlx::query_as(
        "WITH RECURSIVE found AS (
             (SELECT failure_group FROM queue.dead ORDER BY failure_group LIMIT 1)
             UNION ALL
             SELECT (SELECT d.failure_group FROM queue.dead d WHERE d.failure_group > f.failure_group ORDER BY d.failure_group LIMIT 1)
             FROM found f WHERE f.failure_group IS NOT NULL)
         SELECT f.failure_group, newest.kind, queue.error_shape(newest.reason) AS shape, counted.jobs, first.at AS first, last.at AS last, newest.id AS example
         FROM (SELECT failure_group FROM found WHERE failure_group IS NOT NULL LIMIT 200) AS f
         CROSS JOIN LATERAL (
             SELECT count(*) AS jobs FROM (SELECT FROM queue.dead d WHERE d.failure_group = f.failure_group LIMIT 10001) AS found) AS counted
         CROSS JOIN LATERAL (
             SELECT d.id, d.kind, d.reason FROM queue.dead d WHERE d.failure_group = f.failure_group ORDER BY d.id DESC LIMIT 1) AS newest
         CROSS JOIN LATERAL (
             SELECT d.finished_at AS at FROM queue.dead d WHERE d.failure_group = f.failure_group ORDER BY d.finished_at LIMIT 1) AS first
         CROSS JOIN LATERAL (
             SELECT d.finished_at AS at FROM queue.dead d WHERE d.failure_group = f.failure_group ORDER BY d.finished_at DESC LIMIT 1) AS last
         ORDER BY counted.jobs DESC, last.at DESC",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(FailureGroup::from).collect())
}

/// Groups of live jobs that have failed and are tried again, the largest first. The newest 2,000 such jobs are looked at.
pub async fn of_live(conn: &mut PgConnection) -> sqlx::Result<Vec<FailureGroup>> {
    let rows: Vec<GroupRow> = sqlx::query_as(
        "SELECT failing.failure_group, failing.kind, failing.shape, count(*) AS jobs, min(failing.at) AS first, max(failing.at) AS last,
                max(failing.id) AS example
         FROM (SELECT j.id, j.kind, a.ended_at AS at, queue.error_shape(a.error) AS shape, queue.failure_group(j.kind, a.error) AS failure_group
               FROM (SELECT id, kind FROM queue.jobs WHERE attempt > 0 ORDER BY id DESC LIMIT 2000) AS j
               CROSS JOIN LATERAL (
                   SELECT t.ended_at, t.error FROM queue.attempts t WHERE t.job_id = j.id AND t.outcome = 'failed' AND t.error IS NOT NULL
                   ORDER BY t.job_id, t.ended_at DESC LIMIT 1) AS a) AS failing
         GROUP BY failing.failure_group, failing.kind, failing.shape ORDER BY jobs DESC, last DESC",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(FailureGroup::from).collect())
}
