//! How fast many jobs are tried again and cancelled by a filter, beside a bare `UPDATE` of as many rows.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::PgPool;

/// What retrying a job of this kind comes to depends on nothing else.
const KIND: &str = "post_callback";

/// Dead jobs; each has its number in the payload.
const DEAD: &str = "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, failure_group, payload)
    SELECT nextval('queue.job_ids'), now(), 5, 5, 0, 0, 'post_callback', 'callbacks', 'away', '', jsonb_build_object('number', n) FROM generate_series(1, $1) n";

const UPDATE_DEAD: &str = "UPDATE queue.dead SET attempt = 4 WHERE kind = 'post_callback' AND attempt = 5";

const UPDATE_LIVE: &str = "UPDATE queue.jobs SET priority = 1 WHERE kind = 'post_callback' AND priority = 0";

/// What an action took, and what it is measured against.
pub(crate) struct Action {
    name: &'static str,
    jobs: u32,
    took: Duration,
    bare: Duration,
}

impl Action {
    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        let each = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(self.jobs);
        format!(
            "{:>8} {:>7}: {:6.1} µs a job; a bare UPDATE {:5.1} µs a row; ratio {:.1}",
            self.name,
            self.jobs,
            each(self.took),
            each(self.bare),
            each(self.took) / each(self.bare)
        )
    }
}

/// Makes as many dead jobs, tries all of them again, and cancels them.
pub(crate) async fn measure(
    client: &Client,
    url: &str,
    token: &str,
    pg: &PgPool,
    jobs: u32,
) -> anyhow::Result<[Action; 2]> {
    sqlx::query(DEAD).bind(i64::from(jobs)).execute(pg).await?;
    sqlx::query("ANALYZE queue.dead").execute(pg).await?;
    let bare = update(pg, UPDATE_DEAD, jobs).await?;
    let took = act(client, &format!("{url}/admin/api/jobs/retry"), token, json!({ "kind": KIND })).await?;
    let retry = Action { name: "retry", jobs, took, bare };
    let bare = update(pg, UPDATE_LIVE, jobs).await?;
    let took = act(client, &format!("{url}/admin/api/jobs/cancel"), token, json!({ "kind": KIND })).await?;
    let left = "SELECT (SELECT count(*) FROM queue.jobs WHERE kind = $1) + (SELECT count(*) FROM queue.dead WHERE kind = $1)";
    let left: i64 = sqlx::query_scalar(left).bind(KIND).fetch_one(pg).await?;
    anyhow::ensure!(left == 0, "{left} jobs of {jobs} were neither tried again nor cancelled");
    Ok([retry, Action { name: "cancel", jobs, took, bare }])
}

async fn update(pg: &PgPool, statement: &'static str, jobs: u32) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let changed = sqlx::query(statement).execute(pg).await?.rows_affected();
    anyhow::ensure!(changed == u64::from(jobs), "{changed} rows instead of {jobs}: {statement}");
    Ok(begun.elapsed())
}

/// Sends requests until one says that all is done.
async fn act(client: &Client, url: &str, token: &str, mut request: Value) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        let answer = client.post(url).bearer_auth(token).json(&request).send().await?;
        let status = answer.status();
        let told: Value = answer.json().await.context("an answer that is no JSON")?;
        anyhow::ensure!(status.is_success(), "{url} answered {status}: {told}");
        if told["next"].is_null() {
            return Ok(begun.elapsed());
        }
        request["after"] = told["next"].clone();
    }
}
