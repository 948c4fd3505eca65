//! Pauses: of a paused pool or kind no job starts, in any process.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::audit::{self, Change};
use crate::backlog;
use crate::transaction::Transaction;

/// What a pause applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All jobs of a pool.
    Pool,
    /// All jobs of a kind.
    Kind,
}

impl Scope {
    /// Its word in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
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
    /// Why; `None`: not told.
    pub reason: Option<String>,
}

/// Pauses a pool or a kind in the caller's transaction. False: it was paused already.
pub async fn pause(
    conn: &mut PgConnection,
    scope: Scope,
    name: &str,
    actor: &str,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO queue.pauses (scope, name, paused_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(scope.as_str())
    .bind(name)
    .bind(actor)
    .bind(reason)
    .execute(&mut *conn)
    .await?;
    let changed = done.rows_affected() == 1;
    if changed {
        let change = Change { before: Some("running"), after: Some("paused") };
        audit::note_change(conn, actor, "pause", &format!("{} {name}", scope.as_str()), "paused", change)
            .await?;
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
        let before = format!("paused by {actor}");
        let change = Change { before: Some(&before), after: Some("running") };
        audit::note_change(tx, actor, "resume", &format!("pool {name}"), "resumed", change).await?;
    }
    tx.wake_pollers();
    Ok(())
}

/// Everything that is paused.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<Pause>> {
    sqlx::query_as("SELECT scope, name, paused_at, paused_by, reason FROM queue.pauses ORDER BY scope, name")
        .fetch_all(conn)
        .await
}

/// The pools or kinds that are known: those that a process has registered, and those of live jobs that wait for one.
pub async fn known(conn: &mut PgConnection, scope: Scope) -> sqlx::Result<BTreeSet<String>> {
    let names: Vec<String> = match scope {
        Scope::Pool => {
            let served = "SELECT DISTINCT pool FROM queue.workers, jsonb_object_keys(pools) AS pool";
            let served: Vec<String> = sqlx::query_scalar(served).fetch_all(&mut *conn).await?;
            backlog::pools(conn).await?.into_iter().chain(served).collect()
        }
        Scope::Kind => {
            sqlx::query_scalar("SELECT kind FROM queue.kinds UNION SELECT kind FROM queue.unknown_kinds")
                .fetch_all(conn)
                .await?
        }
    };
    Ok(names.into_iter().collect())
}
