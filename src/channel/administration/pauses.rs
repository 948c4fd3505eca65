//! What is paused, and pausing what there is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use queue::Queue;
use queue::connections::Connections;
use queue::inspection;
use queue::pauses::{self, Scope};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::outbound::sender;
use crate::{kinds, pools};

/// A pool or a kind of which no job starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseView {
    /// What the name is of.
    pub scope: Scope,
    /// Of the pool or the kind.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who has paused it.
    pub by: String,
    /// Why; null: not told.
    pub reason: Option<String>,
    /// When a chunk is tried next, where Twilio refuses our sender; null: nothing tries whether it may go on.
    pub next_probe_at: Option<DateTime<Utc>>,
}

/// Everything that is paused.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<PauseView>> {
    let pauses = pauses::all(conn).await?;
    let is_held_back = pauses.iter().any(|pause| pause.paused_by == sender::ACTOR);
    let probe_at = if is_held_back { inspection::due_at(conn, sender::KEY).await? } else { None };
    let view = |pause: pauses::Pause| PauseView {
        next_probe_at: probe_at.filter(|_| pause.paused_by == sender::ACTOR),
        scope: pause.scope,
        name: pause.name,
        since: pause.paused_at,
        by: pause.paused_by,
        reason: pause.reason,
    };
    Ok(pauses.into_iter().map(view).collect())
}

/// Why nothing was paused.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// There is no such pool or kind.
    #[error("there is no {scope} {name:?}; there are {}", .known.join(", "), scope = .scope.as_str())]
    Unknown {
        /// What the name is of.
        scope: Scope,
        /// The name.
        name: String,
        /// Names that would have been right.
        known: Vec<String>,
    },
    /// The database refused or was away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Pauses a pool or a kind that there is, for all processes. False: it was paused already.
pub async fn pause(
    queue: &Queue,
    pg: &Connections,
    scope: Scope,
    name: &str,
    actor: &str,
    reason: Option<&str>,
) -> Result<bool, PauseError> {
    let own: &[&str] = match scope {
        Scope::Pool => &pools::ALL,
        Scope::Kind => &kinds::ALL,
    };
    let mut known: BTreeSet<String> = own.iter().map(|name| (*name).to_owned()).collect();
    known.extend(pauses::known(&mut *pg.acquire().await?, scope).await?);
    if !known.contains(name) {
        let known = known.into_iter().collect();
        return Err(PauseError::Unknown { scope, name: name.to_owned(), known });
    }
    Ok(queue.pause(scope, name, actor, reason).await?)
}
