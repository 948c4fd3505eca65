//! `[whatsapp] people_per_day`: how many people a conversation may be opened to within 24 hours, by a template outside the window. WhatsApp has such a limit
//! for each business portfolio. Whoever has no place waits, in the order of planning, until one is free or the delivery expires.

use std::collections::HashSet;
use std::time::Duration;

use queue::job::NewJob;
use queue::transaction::Transaction;
use sqlx::PgConnection;
use store::ids::AddressId;
use store::people_per_day::{self, Queue};

use crate::app::Settings;
use crate::kinds::PlanRoom;
use crate::lanes;
use crate::write_error::WriteError;

/// The people that a conversation may be opened to.
pub(super) enum Room {
    /// Everybody.
    Unlimited,
    /// Those who have a place.
    For(HashSet<AddressId>),
}

impl Room {
    /// Places for these people, in this order. The caller holds the locks of their addresses.
    pub(super) async fn take(
        conn: &mut PgConnection,
        settings: &Settings,
        people: &[AddressId],
        queue: Queue,
    ) -> sqlx::Result<Self> {
        match settings.whatsapp.people_per_day {
            0 => Ok(Self::Unlimited),
            limit => Ok(Self::For(people_per_day::take(conn, limit, people, queue).await?)),
        }
    }

    pub(super) fn has(&self, address_id: AddressId) -> bool {
        match self {
            Self::Unlimited => true,
            Self::For(people) => people.contains(&address_id),
        }
    }
}

/// Keeps a person's place, or takes another one, right before the message leaves: planning may have been long ago. False: there is none.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    settings: &Settings,
    address_id: AddressId,
) -> sqlx::Result<bool> {
    Ok(Room::take(conn, settings, &[address_id], Queue::Ahead).await?.has(address_id))
}

/// A chunk without a place looks for one this much later.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Enqueues the job that plans what waits for a place, unless it is there.
pub(super) async fn enqueue(tx: &mut Transaction) -> Result<(), WriteError> {
    tx.enqueue(NewJob::of(&PlanRoom {}).unique_key(lanes::ROOM_KEY)).await?;
    Ok(())
}

/// Enqueues it if something waits: the job was lost.
pub async fn look_after(tx: &mut Transaction) -> Result<(), WriteError> {
    if people_per_day::somebody_waits(tx).await? {
        enqueue(tx).await?;
    }
    Ok(())
}

/// How long to wait for the next place, and no longer than it may take to notice another limit. Another transaction may have looked at a place that is free.
pub async fn pause(conn: &mut PgConnection) -> sqlx::Result<Duration> {
    let secs = people_per_day::next_free_secs(conn).await?;
    Ok(Duration::from_secs_f64(secs.clamp(60.0, 600.0)))
}
