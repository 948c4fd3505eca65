//! SQL that finds jobs by a filter: one SELECT for each table that may hold them, each ordered and limited, so that
//! Postgres reads one page of each. From a view over all tables Postgres would read and sort the whole history.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::inspection::{JobCriteria, JobList, JobSummary};
use crate::job::JobId;
use crate::job_state::JobState;

/// Which of the matching jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JobPage {
    /// The newest, at most so many.
    Newest(i64),
    /// The oldest with a number above the first and up to the second, at most so many.
    Between(JobId, JobId, i64),
}

/// Finished jobs that a page looks at where no index has what is looked for: as many as are read and judged in some milliseconds.
const LOOKED_AT: i64 = 15_000;

/// The same of each table where a text is searched: that takes some tenths of a second.
const SEARCHED: i64 = 100_000;

impl JobCriteria {
    /// How many of the newest jobs of a table a list looks through where no index has what is looked for.
    const fn looked_at(&self) -> i64 {
        if self.contains.is_some() { SEARCHED } else { LOOKED_AT }
    }

    /// The same, as people read it.
    #[must_use]
    pub const fn looked_at_in_words(&self) -> &'static str {
        if self.contains.is_some() { "100,000" } else { "15,000" }
    }
}

/// A table of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobTable {
    /// Jobs that may still run.
    Live,
    /// Jobs that are done or cancelled.
    Finished,
    /// Dead jobs.
    Dead,
}

impl JobTable {
    /// The tables that may hold a match.
    pub(crate) fn of(filter: &JobCriteria) -> Vec<Self> {
        match filter.state {
            _ if filter.group.is_some() => vec![Self::Dead],
            None => vec![Self::Live, Self::Finished, Self::Dead],
            Some(JobState::Done | JobState::Cancelled) => vec![Self::Finished],
            Some(JobState::Dead) => vec![Self::Dead],
            Some(_) => vec![Self::Live],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Live => "queue.jobs",
            Self::Finished => "queue.finished",
            Self::Dead => "queue.dead",
        }
    }

    /// The columns of a list, equal for all tables.
    fn summary(self) -> &'static str {
        match self {
            Self::Live => {
                "id, state::TEXT AS state, kind, pool, lane, attempt::INTEGER AS failed_attempts, run_at, created_at, NULL::TIMESTAMPTZ AS finished_at, NULL::TEXT AS reason"
            }
            Self::Finished => {
                "id, CASE WHEN cancelled THEN 'cancelled' ELSE 'done' END AS state, kind, pool, lane, attempt - (NOT cancelled)::INTEGER AS failed_attempts, NULL::TIMESTAMPTZ AS run_at, created_at, finished_at, reason"
            }
            Self::Dead => {
                "id, 'dead' AS state, kind, pool, lane, attempt::INTEGER AS failed_attempts, NULL::TIMESTAMPTZ AS run_at, created_at, finished_at, reason"
            }
        }
    }

    /// The condition for a state in this table, as its partial indexes have it.
    fn state(self, state: JobState) -> &'static str {
        match (self, state) {
            (Self::Live, JobState::Held) => " AND phase = 'held'",
            (Self::Live, JobState::Scheduled) => " AND phase = 'scheduled'",
            (Self::Live, JobState::Parked) => " AND phase = 'parked'",
            (Self::Live, JobState::Waiting) => " AND phase = 'due' AND state = 'waiting'",
            (Self::Live, JobState::Running) => " AND phase = 'due' AND state = 'running'",
            (Self::Finished, JobState::Cancelled) => " AND cancelled",
            (Self::Finished, JobState::Done) => " AND NOT cancelled",
            (Self::Dead, JobState::Dead) => "",
            _ => " AND FALSE",
        }
    }
}

/// Each table has a part that is read in its index's order. The planner takes a scan of all of it for cheaper, since many processes can share in that.
pub(crate) const IN_ORDER: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";

/// Jobs at the front of a pool among which those that run are looked for: a claim takes from there, so a pool has fewer that run.
const FRONT: i64 = 2_000;

/// From which job on a page looks through a table, if not through all of it. `None`: all of it can be read.
fn beginning(table: JobTable, filter: &JobCriteria) -> Option<QueryBuilder<Postgres>> {
    let is_timed = filter.since.is_some() || filter.until.is_some();
    let is_text = filter.contains.is_some();
    let known = match table {
        JobTable::Finished => JobCriteria { state: filter.state, ..JobCriteria::default() },
        // What runs is looked for at the front, and a lane has its own indexes.
        JobTable::Live if filter.lane.is_some() || filter.state == Some(JobState::Running) => return None,
        JobTable::Live => JobCriteria { kind: filter.kind.clone(), ..JobCriteria::default() },
        JobTable::Dead if is_text => JobCriteria { group: filter.group.clone(), ..JobCriteria::default() },
        JobTable::Dead => return None,
    };
    let is_searched = match table {
        _ if is_text => true,
        JobTable::Finished => {
            filter.kind.is_some() || filter.pool.is_some() || filter.lane.is_some() || is_timed
        }
        _ => filter.state.is_some() || filter.pool.is_some() || is_timed,
    };
    if !is_searched || !JobTable::of(filter).contains(&table) {
        return None;
    }
    let all = JobCriteria { before: filter.before, ..known };
    let mut query = QueryBuilder::new("SELECT id");
    narrow(&mut query, table, &all, "");
    query.push(" ORDER BY id DESC OFFSET ").push_bind(filter.looked_at() - 1).push(" LIMIT 1");
    Some(query)
}

/// The first jobs that a page does not leave unread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beginnings {
    /// Of live jobs; `None`: all of them can be read.
    live: Option<JobId>,
    /// Of finished jobs; `None`: all of them can be read.
    finished: Option<JobId>,
    /// Of dead jobs; `None`: all of them can be read.
    dead: Option<JobId>,
}

impl Beginnings {
    /// Only some of a table is looked through for what no index has.
    pub(crate) async fn find(conn: &mut PgConnection, filter: &JobCriteria) -> sqlx::Result<Self> {
        let mut found = Self::default();
        for (table, place) in [
            (JobTable::Live, &mut found.live),
            (JobTable::Finished, &mut found.finished),
            (JobTable::Dead, &mut found.dead),
        ] {
            if let Some(mut query) = beginning(table, filter) {
                *place = query.build_query_scalar().fetch_optional(&mut *conn).await?;
            }
        }
        Ok(found)
    }

    fn of(self, table: JobTable) -> Option<JobId> {
        match table {
            JobTable::Live => self.live,
            JobTable::Finished => self.finished,
            JobTable::Dead => self.dead,
        }
    }

    /// Where the only table that was looked through begins.
    pub(crate) fn first(self) -> Option<JobId> {
        self.live.or(self.finished).or(self.dead)
    }

    /// A page, with what was left out.
    pub(crate) fn list(self, next: Option<JobId>, jobs: Vec<JobSummary>) -> JobList {
        let Self { live, finished, dead } = self;
        JobList { jobs, next, unread_before: finished, unread_live_before: live, unread_dead_before: dead }
    }
}

/// List rows of the matching jobs, from the beginnings on.
pub(crate) fn summaries(
    filter: &JobCriteria,
    beginnings: Beginnings,
    page: JobPage,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT * FROM (");
    for (place, table) in JobTable::of(filter).into_iter().enumerate() {
        query.push(if place > 0 { " UNION ALL (SELECT " } else { "(SELECT " });
        query.push(table.summary());
        narrow(&mut query, table, filter, "");
        if table == JobTable::Live && filter.state == Some(JobState::Running) && filter.lane.is_none() {
            query.push(RUNNING).push(FRONT).push(") AS f WHERE f.state = 'running'))");
        }
        if let Some(beginning) = beginnings.of(table) {
            query.push(" AND id >= ").push_bind(beginning);
        }
        end(&mut query, page);
        query.push(")");
    }
    query.push(") AS found");
    end(&mut query, page);
    query
}

/// The ids of matching jobs of one table.
pub(crate) fn ids(
    table: JobTable,
    filter: &JobCriteria,
    extra_condition: &'static str,
    page: JobPage,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT id");
    part(&mut query, table, filter, extra_condition, page);
    query
}

/// The number of matching jobs of one table with numbers in a range.
pub(crate) fn count(
    table: JobTable,
    filter: &JobCriteria,
    extra_condition: &'static str,
    after: JobId,
    until: JobId,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT count(*)");
    narrow(&mut query, table, filter, extra_condition);
    query.push(" AND id > ").push_bind(after).push(" AND id <= ").push_bind(until);
    query
}

/// What runs, by the order in which jobs are claimed: else all that is due would be read for it.
const RUNNING: &str = " AND id = ANY (ARRAY(
    WITH RECURSIVE pools AS (
        SELECT (SELECT j.pool FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 ORDER BY j.pool LIMIT 1) AS pool
        UNION ALL
        SELECT (SELECT j.pool FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 AND j.pool > pools.pool ORDER BY j.pool LIMIT 1)
        FROM pools WHERE pools.pool IS NOT NULL)
    SELECT j.id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion > 0 AND j.state = 'running'
    UNION ALL
    SELECT f.id FROM pools CROSS JOIN LATERAL (
        SELECT j.id, j.state FROM queue.jobs j WHERE j.pool = pools.pool AND j.phase = 'due' AND j.suspicion = 0
        ORDER BY j.priority DESC, j.id LIMIT ";

fn part(
    query: &mut QueryBuilder<Postgres>,
    table: JobTable,
    filter: &JobCriteria,
    extra_condition: &'static str,
    page: JobPage,
) {
    narrow(query, table, filter, extra_condition);
    if let JobPage::Between(after, until, _) = page {
        query.push(" AND id > ").push_bind(after).push(" AND id <= ").push_bind(until);
    }
    end(query, page);
}

fn end(query: &mut QueryBuilder<Postgres>, page: JobPage) {
    match page {
        JobPage::Newest(limit) => query.push(" ORDER BY id DESC LIMIT ").push_bind(limit),
        JobPage::Between(_, _, limit) => query.push(" ORDER BY id LIMIT ").push_bind(limit),
    };
}

fn narrow(
    query: &mut QueryBuilder<Postgres>,
    table: JobTable,
    filter: &JobCriteria,
    extra_condition: &'static str,
) {
    query.push(" FROM ").push(table.name()).push(" WHERE TRUE").push(extra_condition);
    if let Some(state) = filter.state {
        query.push(table.state(state));
    }
    let texts = [
        ("kind", &filter.kind),
        ("pool", &filter.pool),
        ("lane", &filter.lane),
        ("failure_group", &filter.group),
    ];
    for (column, value) in texts {
        if let (JobTable::Live, "lane", Some(lane)) = (table, column, value) {
            // Each half has an index. Without the array the jobs are read from the newest on, until enough fit.
            query.push(
                " AND id = ANY (ARRAY(SELECT h.id FROM queue.jobs h WHERE h.phase <> 'held' AND h.lane = ",
            );
            query.push_bind(lane.clone());
            query.push(" UNION ALL SELECT h.id FROM queue.jobs h WHERE h.phase = 'held' AND h.lane = ");
            query.push_bind(lane.clone()).push("))");
        } else if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    if let Some(since) = filter.since {
        query.push(" AND created_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND created_at < ").push_bind(until);
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    if let Some(text) = &filter.contains {
        // A database with the locale C takes ASCII letters alone for equal to their capitals.
        query.push(" AND strpos(lower(payload::TEXT), lower(").push_bind(text.clone()).push(")) > 0");
    }
}

#[cfg(test)]
mod tests {
    use private_postgres::schema::Schema;
    use private_postgres::test_database::TestDatabase;
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_page_in_any_state_reads_no_table() {
        let schema = Schema {
            migrations: &sqlx::migrate!("../../migrations"),
            functions: include_str!("../../migrations/functions.sql"),
        };
        let database = TestDatabase::create(&schema).await;
        let pg = database.pool().await;
        let fill = "
            INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, payload)
            SELECT -n, now(), 1, 0, n % 1000 = 0, 'act', 'test', '{}' FROM generate_series(1, 100000) n;
            INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
            SELECT now() + interval '1 day', 5, 'scheduled', 'act', 'test', '{}' FROM generate_series(1, 20000);
            INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
            SELECT -n, now(), 5, 5, 0, 0, 'act', 'test', 'no', '{}' FROM generate_series(200001, 210000) n;
            ANALYZE queue.finished; ANALYZE queue.jobs; ANALYZE queue.dead";
        sqlx::raw_sql(fill).execute(&pg).await.unwrap();
        // Partitions without a row are read as fast as their indexes.
        let large = "SELECT relname::TEXT FROM pg_class WHERE relnamespace = 'queue'::regnamespace AND relkind = 'r' AND reltuples > 500";
        let large: Vec<String> = sqlx::query_scalar(large).fetch_all(&pg).await.unwrap();
        assert_eq!(large.len(), 3);

        let states = JobState::ALL.into_iter().map(Some).chain([None]);
        for state in states {
            let filter = JobCriteria { state, ..JobCriteria::default() };
            let mut tx = pg.begin().await.unwrap();
            sqlx::raw_sql(IN_ORDER).execute(&mut *tx).await.unwrap();
            let beginnings = Beginnings::find(&mut tx, &filter).await.unwrap();
            let query = summaries(&filter, beginnings, JobPage::Newest(50));
            // Limits and beginnings are all that is bound.
            let sql = (1..=5)
                .rev()
                .fold(query.sql().as_str().to_owned(), |sql, place| sql.replace(&format!("${place}"), "50"));
            let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {sql}")))
                .fetch_all(&mut *tx)
                .await
                .unwrap();
            let reads: Vec<&String> = plan
                .iter()
                .filter(|line| {
                    large.iter().any(|table| {
                        line.contains(&format!("Seq Scan on {table} "))
                            || line.ends_with(&format!("Seq Scan on {table}"))
                    })
                })
                .collect();
            assert!(reads.is_empty(), "{state:?}: {plan:#?}");
        }
    }
}
