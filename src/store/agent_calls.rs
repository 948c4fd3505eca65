//! `channel_agent_calls`: calls of the agent within a turn, each noted before it is made, and the waits between them.

use sqlx::PgConnection;

use crate::ids::TurnId;
use crate::turns::Turn;

/// Counts another call of the agent, before it is made.
pub async fn count(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Turn> {
    let turn: Turn = sqlx::query_as(
        "UPDATE channel_turns SET calls = calls + 1, ask_again_at = NULL WHERE id = $1 AND state = 'running' RETURNING id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of",
    )
    .bind(id)
    .fetch_one(&mut *conn)
    .await?;
    note(conn, &turn).await?;
    Ok(turn)
}

/// Notes a call that is about to be made.
pub(crate) async fn note(conn: &mut PgConnection, turn: &Turn) -> sqlx::Result<()> {
    sqlx::query(
        // The number is taken already if no run began under it.
        "INSERT INTO channel_agent_calls AS a (turn_id, call, started_at) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (turn_id, call) DO UPDATE SET tries = a.tries + 1, started_at = clock_timestamp(), ended_at = NULL, error = NULL",
    )
    .bind(turn.id)
    .bind(turn.calls)
    .execute(conn)
    .await?;
    Ok(())
}

/// A call of the agent failed. Returns how often the agent was asked under this number.
pub async fn end(conn: &mut PgConnection, turn: &Turn, error: &str) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "UPDATE channel_agent_calls SET ended_at = clock_timestamp(), error = $3 WHERE turn_id = $1 AND call = $2 RETURNING tries",
    )
    .bind(turn.id)
    .bind(turn.calls)
    .bind(error)
    .fetch_one(conn)
    .await
}

/// Puts the next call of the agent off, counted from now. `given_back`: the last one began no run, and does not count.
pub async fn put_off(conn: &mut PgConnection, turn: &Turn, given_back: bool, secs: f64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_turns SET calls = calls - $3::INTEGER, ask_again_at = clock_timestamp() + make_interval(secs => $4)
         WHERE id = $1 AND state = 'running' AND calls = $2",
    )
    .bind(turn.id)
    .bind(turn.calls)
    .bind(i32::from(given_back))
    .bind(secs)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether the last call of a turn began longer ago than any call may take.
pub async fn is_left_behind(conn: &mut PgConnection, turn: &Turn, secs: f64) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT coalesce(max(started_at) < clock_timestamp() - make_interval(secs => $2), TRUE) FROM channel_agent_calls WHERE turn_id = $1",
    )
    .bind(turn.id)
    .bind(secs)
    .fetch_one(conn)
    .await
}

/// Why the last call that failed did so.
pub async fn last_error(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<String>> {
    let error: Option<Option<String>> = sqlx::query_scalar(
        "SELECT error FROM channel_agent_calls WHERE turn_id = $1 AND error IS NOT NULL ORDER BY call DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(error.flatten())
}
