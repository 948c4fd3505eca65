//! Whose a number is that comes with another opaque id than its holder's. Whoever changes the number gets a new id, so the number is
//! somebody else's: nothing of its former holder's is said to it, and the holder's link waits for a new claim.
//!
//! An id belongs to one business portfolio, so a sender that moves to another one changes everybody's at once. When too many change within an
//! hour no further link is held back, and an operator decides by `trust` or `refuse`.

use chrono::{DateTime, Utc};
use queue::audit;
use queue::connections::Connections;
use queue::transaction::Transaction;
use store::addresses::{self, Contested, Name};
use store::alerts::AlertCause;
use store::changed_ids::{self, Change, ChangeState, Move};
use store::ids::{AddressId, ChangeId};
use store::links::{self, Link};
use store::{merging, opt_outs};

use crate::alerts;
use crate::app::Settings;
use crate::write_error::WriteError;

/// People whose ids change within an hour without the sender having moved, at most.
const USUAL_PEOPLE: i64 = 5;

/// … and one in so many of those who have written within a day.
const USUAL_SHARE: i64 = 100;

/// Decides whose the number of such a message is, and writes it down; what it returns of the names leads to one person now. The caller's
/// transaction holds the locks of both.
pub async fn decide<'a>(
    tx: &mut Transaction,
    settings: &Settings,
    names: &'a [Name],
    contested: Contested,
) -> Result<&'a [Name], WriteError> {
    // A contested message has two names.
    let [number, id] = names else { return Ok(names) };
    let newcomer_id = match contested.newcomer_id {
        Some(newcomer_id) => newcomer_id,
        None => addresses::create(tx, id).await?,
    };
    let link = links::proven_of_address(tx, contested.holder_id).await?;
    if let Some(link) = &link {
        let is_new = contested.newcomer_id.is_none();
        match judge(tx, settings, link, newcomer_id, is_new).await? {
            ChangeState::Trusted => {
                merging::merge(tx, &settings.secret_keys, contested.holder_id, &[newcomer_id]).await?;
                return Ok(names);
            }
            ChangeState::LetThrough => return Ok(&names[..1]),
            ChangeState::Held => links::hold_back(tx, link).await?,
        }
        tracing::warn!(
            user.id = link.user_id.as_str(),
            "The number of user {} came with another WhatsApp id: the link waits for a new claim",
            link.user_id
        );
    }
    // The number's opt-out stays with the number, and its holder's stays the holder's.
    let holders = addresses::names(tx, contested.holder_id).await?;
    opt_outs::spread(tx, &settings.secret_keys, &holders).await?;
    addresses::hand_over(tx, number, contested, newcomer_id).await?;
    Ok(names)
}

/// How the change of a linked person's id is taken, which is noted.
async fn judge(
    tx: &mut Transaction,
    settings: &Settings,
    link: &Link,
    newcomer_id: AddressId,
    is_new: bool,
) -> Result<ChangeState, WriteError> {
    changed_ids::lock(tx).await?;
    let seen = changed_ids::state(tx, link.id, newcomer_id).await?;
    // Whoever has been known by this id without the number, or has claimed it, is somebody else, wherever the sender has moved.
    if !is_new && (seen.is_none() || links::of_address(tx, newcomer_id).await?.is_some()) {
        return Ok(ChangeState::Held);
    }
    let state = match changed_ids::meaning(tx, link).await? {
        Move::Explains => ChangeState::Trusted,
        Move::Undecided => ChangeState::LetThrough,
        Move::None => ChangeState::Held,
    };
    changed_ids::put(tx, link.id, newcomer_id, state).await?;
    if state != ChangeState::Held {
        return Ok(state);
    }
    let people = changed_ids::people_of_an_hour(tx).await?;
    if people <= USUAL_PEOPLE || people * USUAL_SHARE <= changed_ids::writers_of_a_day(tx).await? {
        return Ok(ChangeState::Held);
    }
    changed_ids::notice_move(tx).await?;
    changed_ids::put(tx, link.id, newcomer_id, ChangeState::LetThrough).await?;
    let detail = format!(
        "the numbers of {people} linked people came with other WhatsApp ids within an hour, so ours seems to have moved to another business portfolio; \
         {REMEDY}"
    );
    alerts::raise(tx, settings, AlertCause::SenderMoved, &detail).await?;
    Ok(ChangeState::LetThrough)
}

/// What an operator does about a sender that seems to have moved.
pub const REMEDY: &str = "no further link is held back until you decide: `cloudybot users trust-new-ids --since TIME` (the moment of the move) if it has moved, \
     `cloudybot users trust-new-ids --refuse` if it has not";

/// What became of the changed ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdDecisions {
    /// Links that were held back and are proven again.
    pub proven_again: u32,
    /// People who were let through by their number and have their new id now.
    pub confirmed: u32,
    /// Links that are held back from now on.
    pub held_back: u32,
    /// Numbers that somebody else has claimed meanwhile: nothing was changed.
    pub claimed_meanwhile: u32,
}

/// The sender has moved: ids that changed since then are the same people's, and so are those of people who have not written yet. Asked again
/// it goes on where it was interrupted.
pub async fn trust(
    pg: &Connections,
    settings: &Settings,
    since: DateTime<Utc>,
    actor: &str,
) -> sqlx::Result<IdDecisions> {
    write_decision(pg, Some(since), actor).await?;
    let mut decided = IdDecisions::default();
    let mut behind = ChangeId(0);
    while let Some(change) =
        next(pg, behind, &[ChangeState::Held, ChangeState::LetThrough], Some(since)).await?
    {
        behind = change.id;
        let mut tx = pg.begin().await?;
        // Both rows, in the order in which everybody locks them.
        let holder_id = links::get(&mut tx, change.link_id).await?.address_id;
        let mut both = [holder_id, change.newcomer_id];
        both.sort_unstable();
        for id in both {
            addresses::lock(&mut tx, id).await?;
        }
        let newcomer = addresses::lock(&mut tx, change.newcomer_id).await?.id;
        let link = links::get(&mut tx, change.link_id).await?;
        if link.address_id != holder_id {
            // Another row took it over just now; the next call finds it.
            continue;
        }
        if newcomer != link.address_id {
            if links::of_address(&mut tx, newcomer).await?.is_some() {
                decided.claimed_meanwhile += 1;
                continue;
            }
            merging::merge(&mut tx, &settings.secret_keys, link.address_id, &[newcomer]).await?;
        }
        if link.unproven_since.is_some() {
            links::prove(&mut tx, link.id).await?;
            decided.proven_again += 1;
        } else {
            decided.confirmed += 1;
        }
        changed_ids::put(&mut tx, link.id, change.newcomer_id, ChangeState::Trusted).await?;
        tx.commit().await?;
    }
    Ok(decided)
}

/// The sender has not moved: whoever was let through by the number alone is somebody else. `None`: nothing waits for a decision. Asked again
/// it goes on where it was interrupted.
pub async fn refuse(pg: &Connections, actor: &str) -> sqlx::Result<Option<IdDecisions>> {
    let waited = write_decision(pg, None, actor).await?;
    let mut decided = IdDecisions::default();
    let mut behind = ChangeId(0);
    while let Some(change) = next(pg, behind, &[ChangeState::LetThrough], None).await? {
        behind = change.id;
        let mut tx = pg.begin().await?;
        let holder_id = links::get(&mut tx, change.link_id).await?.address_id;
        addresses::lock(&mut tx, holder_id).await?;
        let link = links::get(&mut tx, change.link_id).await?;
        // The number itself is handed over by the next message that comes with the other id.
        links::hold_back(&mut tx, &link).await?;
        changed_ids::put(&mut tx, link.id, change.newcomer_id, ChangeState::Held).await?;
        tx.commit().await?;
        decided.held_back += 1;
    }
    Ok((waited || decided.held_back > 0).then_some(decided))
}

async fn write_decision(pg: &Connections, since: Option<DateTime<Utc>>, actor: &str) -> sqlx::Result<bool> {
    let mut tx = pg.begin().await?;
    changed_ids::lock(&mut tx).await?;
    let waited = changed_ids::decide(&mut tx, since).await?;
    let (action, outcome) = match since {
        Some(since) => {
            ("trust new ids", format!("it has moved: ids since {} are the same people's", since.to_rfc3339()))
        }
        None if waited => ("refuse new ids", "it has not moved".to_owned()),
        None => ("refuse new ids", "no move waited for a decision".to_owned()),
    };
    audit::note(&mut tx, actor, action, "the sender", &outcome).await?;
    tx.commit().await?;
    Ok(waited)
}

async fn next(
    pg: &Connections,
    behind: ChangeId,
    states: &[ChangeState],
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<Change>> {
    changed_ids::next(&mut *pg.acquire().await?, behind, states, since).await
}
