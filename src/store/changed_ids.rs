//! `channel_changed_ids`: linked people whose number came with another opaque id than theirs. `channel_sender_moves`: times at which that
//! happened to so many that ours, the sender, seemed to have moved to another business portfolio.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ChangeId, LinkId};
use crate::links::Link;
use crate::text_enum::text_enum;

text_enum! {
    /// How the change of a person's id is taken.
    pub enum ChangeState in ["channel_changed_ids.state"] {
        /// As another person's: the link is held back.
        Held = "held",
        /// By the number, until an operator decides.
        LetThrough = "let_through",
        /// As the same person's.
        Trusted = "trusted",
    }
}

/// What a move of the sender means for a link whose person's id has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// There was none, or it explains nothing here.
    None,
    /// It is not decided whether there was one.
    Undecided,
    /// There was one, which explains it.
    Explains,
}

/// How long after its decision a move explains changed ids: people who write seldom are recognised, and a number that is given to somebody
/// else, which takes carriers 45 days at least, is not.
const EXPLAINS_FOR: &str = "30 days";

/// Keeps other transactions from counting or deciding until the caller's ends. Taken after the addresses' locks.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('changed ids', 0))").execute(conn).await?;
    Ok(())
}

/// What the latest move of the sender means for this link.
pub async fn meaning(conn: &mut PgConnection, link: &Link) -> sqlx::Result<Move> {
    let latest: Option<(bool, bool)> = sqlx::query_as(
        "SELECT m.decided_at IS NULL,
                coalesce($2 < m.trusted_since AND m.decided_at > clock_timestamp() - $3::INTERVAL AND NOT EXISTS (
                    SELECT FROM channel_changed_ids c WHERE c.link_id = $1 AND c.state = 'trusted' AND c.seen_at >= m.trusted_since), FALSE)
         FROM channel_sender_moves m ORDER BY m.id DESC LIMIT 1",
    )
    .bind(link.id)
    .bind(link.linked_at)
    .bind(EXPLAINS_FOR)
    .fetch_optional(conn)
    .await?;
    Ok(match latest {
        Some((true, _)) => Move::Undecided,
        Some((false, true)) => Move::Explains,
        _ => Move::None,
    })
}

/// How this newcomer at this link is taken so far; `None`: it was never seen there.
pub async fn state(
    conn: &mut PgConnection,
    link_id: LinkId,
    newcomer_id: AddressId,
) -> sqlx::Result<Option<ChangeState>> {
    sqlx::query_scalar("SELECT state FROM channel_changed_ids WHERE link_id = $1 AND newcomer_id = $2")
        .bind(link_id)
        .bind(newcomer_id)
        .fetch_optional(conn)
        .await
}

/// Takes note of how it is taken from now on.
pub async fn put(
    conn: &mut PgConnection,
    link_id: LinkId,
    newcomer_id: AddressId,
    state: ChangeState,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_changed_ids (link_id, newcomer_id, state) VALUES ($1, $2, $3)
         ON CONFLICT (link_id, newcomer_id) DO UPDATE SET state = EXCLUDED.state",
    )
    .bind(link_id)
    .bind(newcomer_id)
    .bind(state)
    .execute(conn)
    .await?;
    Ok(())
}

/// How many people's ids have changed within an hour, since the latest decision about a move.
pub async fn people_of_an_hour(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(DISTINCT link_id) FROM channel_changed_ids
         WHERE seen_at > statement_timestamp() - interval '1 hour' AND seen_at > coalesce((SELECT max(decided_at) FROM channel_sender_moves), '-infinity')",
    )
    .fetch_one(conn)
    .await
}

/// How many people have written within a day, counted over the latest 50,000 messages.
pub async fn writers_of_a_day(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT DISTINCT address_id FROM (
                 SELECT address_id, received_at FROM channel_messages ORDER BY id DESC LIMIT 50000) AS latest
             WHERE received_at > clock_timestamp() - interval '1 day') AS writers",
    )
    .fetch_one(conn)
    .await
}

/// Takes note that the sender seems to have moved.
pub async fn notice_move(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO channel_sender_moves DEFAULT VALUES").execute(conn).await?;
    Ok(())
}

/// A move that nobody has decided about.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Undecided {
    /// When it was noticed.
    pub noticed_at: DateTime<Utc>,
    /// When the first of the ids changed that made it noticed.
    pub since: DateTime<Utc>,
    /// Whose links are held back.
    pub held: i64,
    /// Whose number counts meanwhile.
    pub let_through: i64,
}

/// The move that nobody has decided about, if there is one.
pub async fn undecided(conn: &mut PgConnection) -> sqlx::Result<Option<Undecided>> {
    sqlx::query_as(
        "SELECT m.noticed_at, min(c.seen_at) AS since, count(*) FILTER (WHERE c.state = 'held') AS held,
                count(*) FILTER (WHERE c.state = 'let_through') AS let_through
         FROM channel_sender_moves m JOIN channel_changed_ids c
           ON c.seen_at > greatest(m.noticed_at - interval '1 hour', (SELECT max(decided_at) FROM channel_sender_moves))
         WHERE m.decided_at IS NULL GROUP BY m.noticed_at",
    )
    .fetch_optional(conn)
    .await
}

/// Decides about the move that waits for a decision, or records one that nobody noticed. With a moment, ids that came
/// since then belong to the same people; with `None`, no id does. False: nothing waits to be refused.
pub async fn decide(conn: &mut PgConnection, trusted_since: Option<DateTime<Utc>>) -> sqlx::Result<bool> {
    let decided = sqlx::query(
        "UPDATE channel_sender_moves SET decided_at = clock_timestamp(), trusted_since = $1 WHERE decided_at IS NULL",
    )
    .bind(trusted_since)
    .execute(&mut *conn)
    .await?;
    if decided.rows_affected() > 0 {
        return Ok(true);
    }
    let said = sqlx::query(
        "INSERT INTO channel_sender_moves (decided_at, trusted_since) SELECT clock_timestamp(), $1::TIMESTAMPTZ WHERE $1::TIMESTAMPTZ IS NOT NULL",
    )
    .bind(trusted_since)
    .execute(conn)
    .await?;
    Ok(said.rows_affected() > 0)
}

/// A change of somebody's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Change {
    /// Its number.
    pub id: ChangeId,
    /// Whose link was proven with the number.
    pub link_id: LinkId,
    /// Who has the other id.
    pub newcomer_id: AddressId,
}

/// The next change after this one that is in one of these states, was seen at this moment or later, and whose link
/// has not ended.
pub async fn next(
    conn: &mut PgConnection,
    behind: ChangeId,
    states: &[ChangeState],
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<Change>> {
    sqlx::query_as(
        "SELECT c.id, c.link_id, c.newcomer_id FROM channel_changed_ids c JOIN channel_links l ON l.id = c.link_id
         WHERE c.id > $1 AND c.state = ANY ($2) AND c.seen_at >= coalesce($3::TIMESTAMPTZ, '-infinity') AND l.ended_at IS NULL ORDER BY c.id LIMIT 1",
    )
    .bind(behind)
    .bind(states)
    .bind(since)
    .fetch_optional(conn)
    .await
}
