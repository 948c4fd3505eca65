//! Erasing a person: what was said is emptied page by page.

use queue::audit;
use queue::connections::Connections;
use queue::job::NewJob;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::erasure;
use store::ids::UserId;
use store::secret_keys::SecretKeys;

use crate::kinds::ErasePeople;
use crate::write_error::WriteError;

/// At most one lives.
const KEY: &str = "erase_people";

/// Begins to erase a user: from here on nothing is said to them, and nothing tells who they were, not even what was done about them. False: there is none.
pub async fn begin(conn: &mut PgConnection, keys: &SecretKeys, user_id: &UserId) -> sqlx::Result<bool> {
    let begun = erasure::begin(conn, keys, user_id).await?;
    audit::forget_user(conn, user_id.as_str()).await?;
    Ok(begun)
}

/// Empties a page of this user's. False: nothing is left, or the job is at it.
pub async fn page_of(pg: &Connections, user_id: &UserId) -> sqlx::Result<bool> {
    let mut tx = pg.begin().await?;
    let emptied = erasure::empty_page(&mut tx, Some(user_id)).await?;
    tx.commit().await?;
    Ok(emptied)
}

/// Enqueues the job while anything is due. True: something is.
pub async fn enqueue(tx: &mut Transaction) -> Result<bool, WriteError> {
    let is_due = erasure::is_due(tx, None).await?;
    if is_due {
        tx.enqueue(NewJob::of(&ErasePeople::default()).unique_key(KEY)).await?;
    }
    Ok(is_due)
}
