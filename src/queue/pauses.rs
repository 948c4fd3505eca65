//! Pauses: of a paused pool or kind no job starts, in any process.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::inspection;
use crate::transaction::Transaction;

/// What a pause applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All jobs of a pool.
    Pool,
    /// All jobs of a kind.
    Kind,
}

impl Scope {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Kind => "kind",
        }
    }
}

/// A pause applies to something that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a pool nor a kind")]
pub struct UnknownScope(String);

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(word: String) -> Result<Self, UnknownScope> {
        [Self::Pool, Self::Kind].into_iter().find(|scope| scope.as_str() == word).ok_or(UnknownScope(word))
    }
}

/// A pool or a kind that is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What is paused.
    #[sqlx(try_from = "String")]
    pub scope: Scope,
    /// The name of the pool or kind.
    pub name: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// By whom.
    pub paused_by: String,
}

/// Pauses a pool or a kind in the caller's transaction. False: it was paused already.
pub async fn pause(conn: &mut PgConnection, scope: Scope, name: &str, actor: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO queue.pauses (scope, name, paused_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(scope.as_str())
    .bind(name)
    .bind(actor)
    .execute(&mut *conn)
    .await?;
    let changed = done.rows_affected() == 1;
    if changed {
        inspection::note(conn, actor, "pause", &format!("{} {name}", scope.as_str()), "paused").await?;
    }
    Ok(changed)
}

/// Resumes pools that this actor has paused, in the caller's transaction. Pauses of other actors stay.
pub async fn lift_own(tx: &mut Transaction, pools: &[&str], actor: &str) -> sqlx::Result<()> {
    let lifted: Vec<String> = sqlx::query_scalar(
        "DELETE FROM queue.pauses WHERE scope = 'pool' AND name = ANY ($1) AND paused_by = $2 RETURNING name",
    )
    .bind(pools)
    .bind(actor)
    .fetch_all(&mut **tx)
    .await?;
    for name in lifted {
        inspection::note(tx, actor, "resume", &format!("pool {name}"), "resumed").await?;
    }
    tx.wake_pollers();
    Ok(())
}

/// Everything that is paused.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<Pause>> {
    sqlx::query_as("SELECT scope, name, paused_at, paused_by FROM queue.pauses ORDER BY scope, name")
        .fetch_all(conn)
        .await
}
