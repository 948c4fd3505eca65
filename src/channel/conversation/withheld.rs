//! What an agent wrote that is not for a person, on record without the words.

use agent::withheld::{Withheld, WithheldKind};
use sqlx::PgConnection;
use store::ids::TurnId;

/// Notes in its turn and in the log what an answer held. The caller ends the turn in the same transaction.
pub async fn note(conn: &mut PgConnection, turn_id: TurnId, withheld: &Withheld) -> sqlx::Result<()> {
    if withheld.is_empty() {
        return Ok(());
    }
    tracing::info!(turn.id = turn_id.0, %withheld, "Withheld from the answer of turn {turn_id}: {withheld}");
    store::withheld::note(conn, turn_id, &stored(withheld)).await
}

/// The kinds as the database has them.
pub(super) fn stored(withheld: &Withheld) -> Vec<store::withheld::WithheldKind> {
    use store::withheld::WithheldKind as Stored;
    let kinds = withheld.kinds().map(|kind| match kind {
        WithheldKind::Silence => Stored::Silence,
        WithheldKind::Heartbeat => Stored::Heartbeat,
        WithheldKind::Thought => Stored::Thought,
        WithheldKind::MediaDirective => Stored::MediaDirective,
        WithheldKind::ControlCharacter => Stored::ControlCharacter,
    });
    kinds.collect()
}
