//! Firing by hand, trying, switching on and off: for the command line and the administrator's API.

use channel::schedules::firing::{self, FireError};
use queue::Queue;
use queue::connections::Connections;
use store::ids::SlotId;
use store::schedules::ScheduleRow;

/// Why a schedule was not fired or switched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    /// There is none of this name, or its file is gone.
    #[error("no running service has loaded a schedule {0:?}")]
    Unknown(String),
    /// Nobody can be tried with.
    #[error("there is no user {0:?}")]
    NoUser(String),
    /// The slot could not be made.
    #[error(transparent)]
    Fire(#[from] FireError),
    /// The database refused or was away.
    #[error("the database did not answer: {0}")]
    Database(#[from] sqlx::Error),
}

/// Fires a schedule now, by hand.
pub(crate) async fn fire(queue: &Queue, pg: &Connections, name: &str) -> Result<Option<SlotId>, SwitchError> {
    let mut tx = queue.begin(pg).await?;
    let row = lock(&mut tx, name).await?;
    let slot = firing::fire_now(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(slot)
}

/// Tries a schedule with one user, whoever its audience is.
pub(crate) async fn test(
    queue: &Queue,
    pg: &Connections,
    name: &str,
    user: &str,
) -> Result<Option<SlotId>, SwitchError> {
    let mut tx = queue.begin(pg).await?;
    let row = lock(&mut tx, name).await?;
    if store::users::get(&mut tx, user).await?.is_none() {
        return Err(SwitchError::NoUser(user.to_owned()));
    }
    let slot = firing::fire_test(&mut tx, &row, user).await?;
    tx.commit().await?;
    Ok(slot)
}

/// Switches a schedule on or off, whatever its file says.
pub(crate) async fn switch(
    pg: &Connections,
    name: &str,
    enabled: bool,
    actor: &str,
) -> Result<(), SwitchError> {
    let why = format!("switched off by {actor}");
    let why = (!enabled).then_some(why.as_str());
    let done = store::schedules::switch(&mut *pg.acquire().await?, name, enabled, why).await?;
    if done { Ok(()) } else { Err(SwitchError::Unknown(name.to_owned())) }
}

async fn lock(tx: &mut queue::transaction::Transaction, name: &str) -> Result<ScheduleRow, SwitchError> {
    let row = store::schedules::lock(tx, name).await?.filter(|row| row.removed_at.is_none());
    row.ok_or_else(|| SwitchError::Unknown(name.to_owned()))
}
