//! A plan as Postgres explains it, and what is wrong with it.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{MOST_COST, PAGE, run};

pub(super) async fn explain(conn: &mut PgConnection, mode: &str, number: usize, arguments: &str) -> Value {
    run(conn, &format!("SET plan_cache_mode = {mode}")).await;
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE s{number}{arguments}");
    let plans: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(conn).await.unwrap();
    plans[0]["Plan"].clone()
}

/// What is wrong with a plan.
pub(super) async fn faults(conn: &mut PgConnection, plan: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let cost = plan["Total Cost"].as_f64().unwrap();
    if cost > MOST_COST {
        faults.push(format!("costs {cost}"));
    }
    for (node, is_limited) in nodes(plan, false) {
        let (kind, table) =
            (node["Node Type"].as_str().unwrap(), node["Relation Name"].as_str().unwrap_or_default());
        let rows = node["Plan Rows"].as_f64().unwrap();
        if kind == "Seq Scan" && rows_of(conn, table).await > 500.0 {
            faults.push(format!("reads all of {table}"));
        }
        if matches!(kind, "Sort" | "Hash" | "Materialize" | "Memoize") && rows > PAGE {
            faults.push(format!("{kind} of {rows} rows"));
        }
        // A page is not cut out of what was sorted for it, unless that is a partial index's: one person's thread may be very long, and no average says so.
        let sorted = node["Plans"].as_array().into_iter().flatten().filter(|below| {
            kind == "Limit" && matches!(below["Node Type"].as_str(), Some("Sort" | "Incremental Sort"))
        });
        for (leaf, _) in sorted.flat_map(|sorted| nodes(sorted, false)) {
            let (index, rows) = (leaf["Index Name"].as_str(), leaf["Plan Rows"].as_f64());
            if let Some(index) = index
                && rows > Some(1.0)
                && !is_partial(conn, index).await
            {
                faults.push(format!("sorts what {index} finds, for a page of it"));
            }
        }
        // Without a key an index is read from its beginning until the limit is reached: it must be small, or most of it must fit.
        if kind.starts_with("Index") && node.get("Index Cond").is_none() {
            let index = node["Index Name"].as_str().unwrap();
            let all = rows_of(conn, index).await;
            if all > 50_000.0 && !(is_limited && rows > all / 2.0) {
                faults.push(format!("reads all of {index}"));
            }
        }
    }
    faults
}

async fn is_partial(conn: &mut PgConnection, index: &str) -> bool {
    sqlx::query_scalar("SELECT indpred IS NOT NULL FROM pg_index WHERE indexrelid = $1::regclass")
        .bind(index)
        .fetch_one(conn)
        .await
        .unwrap()
}

/// Of our own tables and their indexes; the catalogue is small.
async fn rows_of(conn: &mut PgConnection, relation: &str) -> f64 {
    sqlx::query_scalar(
        "SELECT coalesce(max(reltuples), 0)::DOUBLE PRECISION FROM pg_class
         WHERE relname = $1 AND relnamespace IN ('public'::regnamespace, 'queue'::regnamespace)",
    )
    .bind(relation)
    .fetch_one(conn)
    .await
    .unwrap()
}

/// A plan's nodes from the top, each with whether a limit ends it.
pub(super) fn nodes(plan: &Value, is_limited: bool) -> Vec<(&Value, bool)> {
    // What has to be read to its end before anything comes out is not ended by a limit.
    let is_limited = match plan["Node Type"].as_str() {
        Some("Limit") => true,
        Some("Sort" | "Aggregate" | "Hash" | "ModifyTable") => false,
        _ => is_limited,
    };
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(|below| nodes(below, is_limited));
    std::iter::once((plan, is_limited)).chain(below).collect()
}
