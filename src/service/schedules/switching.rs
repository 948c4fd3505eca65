//! Firing by hand, trying, switching on and off: for the command line and the administrator's API.

use channel::cells::{self, CellError};
use channel::schedules::audience_size::AudienceSize;
use channel::schedules::firing::{self, FireError};
use queue::Queue;
use queue::audit::{self, Change};
use queue::connections::Connections;
use serde::Serialize;
use sqlx::PgConnection;
use store::ids::{InvalidScheduleName, ScheduleName, SlotId, UserId};
use store::schedules::{OffCause, ScheduleRow};
use utoipa::ToSchema;

use super::condition::{Condition, SwitchedOffView};
use super::files::listed;

/// Why a schedule was not fired or switched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    /// There is none of this name, or its file is gone.
    #[error("no running service has loaded a schedule {name:?}; {}", listed(.known))]
    Unknown { name: String, known: Vec<String> },
    /// Nobody can be tried with.
    #[error("there is no user {0:?}")]
    NoUser(UserId),
    /// Somebody whom another cell serves.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// Somebody has confirmed another number of people.
    #[error(
        "it writes to {fitting} now, and {expected} were expected, so nothing was done: look again, then say that number"
    )]
    UnexpectedNumber { expected: i64, fitting: AudienceSize },
    /// The slot could not be made.
    #[error(transparent)]
    Fire(#[from] FireError),
    /// The database refused or was away.
    #[error("the database did not answer: {0}")]
    Database(#[from] sqlx::Error),
}

/// A schedule that was fired.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Fired {
    /// The schedule.
    #[schema(value_type = String)]
    fired: ScheduleName,
    /// The slot's number; null: it was fired at this very moment already.
    #[schema(value_type = Option<i64>)]
    pub(crate) slot: Option<SlotId>,
}

/// A schedule that was tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Tested {
    /// The schedule.
    #[schema(value_type = String)]
    tested: ScheduleName,
    /// With whom.
    #[schema(value_type = String)]
    user: UserId,
    /// The slot's number; null: it was fired at this very moment already.
    #[schema(value_type = Option<i64>)]
    pub(crate) slot: Option<SlotId>,
}

/// A schedule that was switched on or off.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Switched {
    /// The schedule.
    #[schema(value_type = String)]
    schedule: ScheduleName,
    /// Whether it fires now.
    pub(crate) enabled: bool,
    /// Why it does not, which is not always the switch; null: it does.
    pub(crate) disabled_why: Option<String>,
    /// Who switched it off, when and why; null: nobody has, or not any more.
    switched_off: Option<SwitchedOffView>,
}

/// How many users a schedule writes to.
pub(crate) async fn audience(pg: &Connections, name: &str) -> Result<AudienceSize, SwitchError> {
    let mut tx = pg.begin().await?;
    let row = lock(&mut tx, name).await?;
    Ok(firing::audience_size(&mut tx, &row).await?)
}

/// Fires a schedule now, by hand; where a number of people was confirmed, only if it writes to so many.
pub(crate) async fn fire(
    queue: &Queue,
    pg: &Connections,
    name: &str,
    expected: Option<i64>,
    actor: &str,
) -> Result<Fired, SwitchError> {
    let mut tx = queue.begin(pg).await?;
    let row = lock(&mut tx, name).await?;
    if let Some(expected) = expected {
        let fitting = firing::audience_size(&mut tx, &row).await?;
        if !fitting.fits(expected) {
            return Err(SwitchError::UnexpectedNumber { expected, fitting });
        }
    }
    let slot = firing::fire_now(&mut tx, &row).await?;
    audit::note(&mut tx, actor, "fire", &format!("schedule {}", row.name), &in_words(slot)).await?;
    tx.commit().await?;
    Ok(Fired { fired: row.name, slot })
}

/// What came of firing.
fn in_words(slot: Option<SlotId>) -> String {
    slot.map_or_else(|| "there was such a slot already".to_owned(), |slot| format!("slot {slot}"))
}

/// Tries a schedule with one user, whoever its audience is.
pub(crate) async fn test(
    queue: &Queue,
    pg: &Connections,
    name: &str,
    user: &UserId,
    actor: &str,
) -> Result<Tested, SwitchError> {
    let mut tx = queue.begin(pg).await?;
    let row = lock(&mut tx, name).await?;
    cells::check(&mut tx, user).await?;
    if store::users::get(&mut tx, user).await?.is_none() {
        return Err(SwitchError::NoUser(user.clone()));
    }
    let slot = firing::fire_test(&mut tx, &row, user).await?;
    // Without the user's id, which an erasure would have to find here.
    let target = format!("schedule {} with one user", row.name);
    audit::note(&mut tx, actor, "test", &target, &in_words(slot)).await?;
    tx.commit().await?;
    Ok(Tested { tested: row.name, user: user.clone(), slot })
}

/// How a schedule is to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch<'a> {
    /// It fires.
    On,
    /// It does not, for this reason.
    Off { reason: Option<&'a str> },
}

/// Switches a schedule on or off, whatever its file says, and tells whether it fires now.
pub(crate) async fn switch(
    pg: &Connections,
    name: &str,
    to: Switch<'_>,
    actor: &str,
) -> Result<Switched, SwitchError> {
    let mut tx = pg.begin().await?;
    // It is locked in full before it is changed: a slot that ends shares the row's key and changes the row next, so the two would wait for each other.
    let ScheduleRow { name, enabled: was_on, .. } = lock(&mut tx, name).await?;
    let (action, outcome) = match to {
        Switch::On => {
            store::schedules::switch_on(&mut tx, &name).await?;
            ("enable", "switched on".to_owned())
        }
        Switch::Off { reason } => {
            store::schedules::switch_off(&mut tx, &name, OffCause::ByHand, Some(actor), reason).await?;
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            ("disable", format!("switched off{why}"))
        }
    };
    let row = lock(&mut tx, name.as_str()).await?;
    let schedulers = store::schedulers::alive(&mut tx).await?;
    let condition = Condition::read(&mut tx, &row, &schedulers).await?;
    let in_word = |is_on| Some(if is_on { "on" } else { "off" });
    let change = Change { before: in_word(was_on), after: in_word(row.enabled) };
    audit::note_change(&mut tx, actor, action, &format!("schedule {name}"), &outcome, change).await?;
    tx.commit().await?;
    let still_off = |why: String| match to {
        Switch::On => format!("switched on by command, yet {why}, so it stays off"),
        Switch::Off { .. } => why,
    };
    Ok(Switched {
        schedule: row.name,
        enabled: condition.why_off.is_none(),
        disabled_why: condition.why_off.map(still_off),
        switched_off: condition.switched_off,
    })
}

/// The schedule, locked. A text that can be the name of none is unknown like the name of none.
async fn lock(conn: &mut PgConnection, name: &str) -> Result<ScheduleRow, SwitchError> {
    let row = match name.parse() {
        Ok(name) => store::schedules::lock(conn, &name).await?,
        Err(InvalidScheduleName) => None,
    };
    match row.filter(|row| row.removed_at.is_none()) {
        Some(row) => Ok(row),
        None => Err(unknown(conn, name).await),
    }
}

async fn unknown(conn: &mut PgConnection, name: &str) -> SwitchError {
    match store::schedules::all(conn).await {
        Ok(rows) => SwitchError::Unknown {
            name: name.to_owned(),
            known: rows.into_iter().map(|row| row.name.to_string()).collect(),
        },
        Err(error) => error.into(),
    }
}
