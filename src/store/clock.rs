//! The database's clock, which alone says what is due: processes have clocks of their own, and any of them may be wrong.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Now, also inside a transaction that began earlier.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(conn).await
}

/// Later than any row: the end of a time that has none.
pub(crate) const FAR_OFF: DateTime<Utc> = match DateTime::from_timestamp(32_503_680_000, 0) {
    Some(moment) => moment,
    None => DateTime::<Utc>::MAX_UTC,
};
