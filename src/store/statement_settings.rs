//! Settings of the planner for statements about many users at once.

use sqlx::PgConnection;

/// Until the caller's transaction ends, Postgres finds rows by index and plans each statement once for all its runs. Without this the planner reads
/// whole tables for each page of an audience, and planning for arrays of hundreds of values takes as long as finding the rows.
pub async fn find_by_index(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Until the caller's transaction ends, a page is read by walking an index in its order. Without this the planner, who has the values of one page before it,
/// may take all that a state or a code has and sort it: two seconds for 50 rows of 50,000 that are not in memory.
pub(crate) async fn walk_an_index(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan",
    )
    .execute(conn)
    .await?;
    Ok(())
}
