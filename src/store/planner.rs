//! How Postgres goes about statements that are about many users at once.

use sqlx::PgConnection;

/// Until the caller's transaction ends, rows are found by index, and each statement is planned once for all its runs. For some hundred users of
/// many the planner would else read whole tables, and do so for each page of an audience; and to plan for arrays of hundreds of values takes as long
/// as to find them.
pub async fn look_up_by_index(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan",
    )
    .execute(conn)
    .await?;
    Ok(())
}
