//! The database's clock, which alone says what is due: processes have clocks of their own, and any of them may be wrong.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Now, also inside a transaction that began earlier.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(conn).await
}
