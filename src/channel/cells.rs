//! Cells: deployments beside each other, each with a sender's number, a database and processes of its own. A user belongs to one of them.
//!
//! Nothing crosses cells. A cell only knows which users somebody has said to be in another one, so that it can name that cell to whoever asks.

use chrono::{DateTime, Utc};
use queue::audit;
use serde::Serialize;
use sqlx::PgConnection;
use store::deliveries::Obstacle;
use store::ids::{CellName, UserId};
use store::links::{self, LinkEnding};
use store::secret_keys::SecretKeys;
use store::{claim_tokens, proactive_deliveries, users_elsewhere};

/// Why a request about a user is not answered here.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The user belongs to another cell.
    #[error(
        "user {user:?} belongs to the cell {cell}: ask that cell; if the user belongs here, say so with `cloudybot users take-back` or DELETE /admin/api/users/{{user}}/cell"
    )]
    Elsewhere {
        /// Who.
        user: UserId,
        /// Which one.
        cell: CellName,
    },
    /// The database refused or was away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Refuses a user of another cell. Whether the user is known here is not looked at.
pub async fn check(conn: &mut PgConnection, user: &UserId) -> Result<(), CellError> {
    match users_elsewhere::cell_of(conn, user).await? {
        Some(cell) => Err(CellError::Elsewhere { user: user.clone(), cell }),
        None => Ok(()),
    }
}

/// A user who belongs to another cell.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovedUser {
    /// CloudyBot's id.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The other cell.
    #[schema(value_type = String)]
    pub cell: CellName,
    /// Since when this cell knows that.
    pub since: DateTime<Utc>,
    /// A phone was linked here and is not any more.
    pub unlinked: bool,
}

/// Says that a user belongs to another cell, also one whom this cell does not know: the user's phone is unlinked here, no claim token of the user is worth
/// anything, and what waits for the user is blocked. What was said stays. It may be said again, all in the caller's transaction.
pub async fn move_user(
    conn: &mut PgConnection,
    keys: &SecretKeys,
    user: &UserId,
    cell: &CellName,
    actor: &str,
) -> sqlx::Result<MovedUser> {
    // People are locked before their tokens.
    links::lock_of_user(conn, user).await?;
    claim_tokens::void(conn, user).await?;
    let since = users_elsewhere::put(conn, user, cell).await?;
    // A phone may have been claimed with the last token while its lock was waited for.
    let link = links::lock_of_user(conn, user).await?;
    if let Some(link) = &link {
        links::end(conn, keys, link, LinkEnding::OtherCell).await?;
    }
    proactive_deliveries::block_waiting(conn, user, Obstacle::NotLinked).await?;
    let unlinked = if link.is_some() { ", unlinked here" } else { "" };
    let outcome = format!("in the cell {cell}{unlinked}");
    audit::note(conn, actor, "move", &audit::user(user.as_str()), &outcome).await?;
    Ok(MovedUser { user: user.clone(), cell: cell.clone(), since, unlinked: link.is_some() })
}

/// Says that a user belongs here again; the phone is to be claimed anew. False: nobody had said otherwise.
pub async fn take_back(conn: &mut PgConnection, user: &UserId, actor: &str) -> sqlx::Result<bool> {
    if !users_elsewhere::delete(conn, user).await? {
        return Ok(false);
    }
    audit::note(conn, actor, "take back", &audit::user(user.as_str()), "in this cell").await?;
    Ok(true)
}
