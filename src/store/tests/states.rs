//! From every state, what may follow.

use store::chunks::{self, End};
use store::ids::ChunkId;
use store::{addresses, agent_calls, deliveries, messages, send_attempts, turns, twilio_statuses};

use crate::{PERSON, Tables, find};

/// The states of a chunk that has no SID.
const UNACCEPTED: [&str; 7] = ["planned", "sending", "failed", "cancelled", "blocked", "expired", "unknown"];

/// Those of one that has.
const ACCEPTED: [&str; 5] = ["accepted", "sent", "delivered", "read", "failed"];

#[tokio::test]
async fn a_chunk_begins_to_be_sent_only_from_planned() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    for (state, sid) in every_state() {
        let chunk = tables.chunks(1).await[0];
        force(&tables, chunk, state, sid).await;

        let begun = send_attempts::begin(&mut conn, chunk, PERSON, 20.0, None).await.unwrap();

        assert_eq!(begun, (state == "planned").then_some(1), "{state}");
        let after = if state == "planned" { "sending" } else { state };
        assert_eq!(tables.state(chunk).await, after);
    }
}

#[tokio::test]
async fn a_chunk_ends_without_an_answer_only_from_planned_or_sending() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let ends = [
        (End::Failed, "failed"),
        (End::Cancelled, "cancelled"),
        (End::Expired, "expired"),
        (End::Unknown, "unknown"),
    ];

    for (state, sid) in every_state() {
        for (end, ended) in ends {
            let chunk = tables.chunks(1).await[0];
            force(&tables, chunk, state, sid).await;
            let open = ["planned", "sending"].contains(&state);

            assert_eq!(
                chunks::end(&mut conn, chunk, end, None, "why").await.unwrap(),
                open,
                "{state} {ended}"
            );

            assert_eq!(tables.state(chunk).await, if open { ended } else { state });
        }
    }
}

#[tokio::test]
async fn a_status_moves_an_accepted_chunk_forward_only() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let statuses = ["sent", "delivered", "read", "failed", "undelivered", "queued"];
    // What each of them makes of each state.
    let expected = [
        ["sent", "delivered", "read", "failed", "failed", "accepted"],
        ["sent", "delivered", "read", "failed", "failed", "sent"],
        ["delivered", "delivered", "read", "delivered", "delivered", "delivered"],
        ["read", "read", "read", "read", "read", "read"],
        ["failed", "delivered", "read", "failed", "failed", "failed"],
    ];

    for (state, expected) in ACCEPTED.into_iter().zip(expected) {
        for (status, expected) in statuses.into_iter().zip(expected) {
            let chunk = tables.chunks(1).await[0];
            force(&tables, chunk, state, true).await;

            let moved = twilio_statuses::apply(&mut conn, chunk, status, None, None).await.unwrap();

            assert_eq!(tables.state(chunk).await, expected, "{state}, {status}");
            assert_eq!(moved, state != expected, "{state}, {status}");
        }
    }
}

#[tokio::test]
async fn a_chunk_without_a_sid_is_moved_by_no_status() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    for state in UNACCEPTED {
        let chunk = tables.chunks(1).await[0];
        force(&tables, chunk, state, false).await;
        for status in ["sent", "delivered", "read", "failed", "undelivered"] {
            assert!(!twilio_statuses::apply(&mut conn, chunk, status, None, None).await.unwrap(), "{state}");
        }
    }
}

#[tokio::test]
async fn a_delivery_is_what_its_chunks_are() {
    let tables = Tables::new().await;
    let sums: [(&[&str], &str); 12] = [
        (&["planned"], "open"),
        (&["accepted", "sending"], "open"),
        (&["failed", "sending"], "open"),
        (&["accepted"], "sent"),
        (&["delivered", "sent"], "sent"),
        (&["delivered", "read"], "delivered"),
        (&["delivered", "failed"], "failed"),
        (&["unknown", "failed"], "failed"),
        (&["delivered", "unknown"], "unknown"),
        (&["expired", "cancelled"], "expired"),
        (&["blocked", "cancelled"], "blocked"),
        (&["cancelled", "planned"], "cancelled"),
    ];

    for (states, expected) in sums {
        let ids = tables.chunks(states.len()).await;
        for (chunk, state) in ids.iter().zip(states) {
            force(&tables, *chunk, state, !UNACCEPTED.contains(state)).await;
        }
        let mut conn = tables.pg.acquire().await.unwrap();
        let delivery = chunks::get(&mut conn, ids[0]).await.unwrap().unwrap().delivery_id;

        deliveries::follow_chunks(&mut conn, delivery).await.unwrap();

        let (state, closed): (String, bool) =
            sqlx::query_as("SELECT state, closed_at IS NOT NULL FROM channel_deliveries WHERE id = $1")
                .bind(delivery)
                .fetch_one(&mut *conn)
                .await
                .unwrap();
        assert_eq!((state.as_str(), closed), (expected, expected != "open"), "{states:?}");
    }
}

#[tokio::test]
async fn the_first_end_of_a_turn_stands() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    for first in ["replied", "silent", "failed"] {
        let turn = turns::begin(&mut conn, conversation, "echo", &[]).await.unwrap().id;
        let ended = match first {
            "replied" => turns::finish_with_reply(&mut conn, turn, "the first").await,
            "silent" => turns::finish_silent(&mut conn, turn).await,
            _ => turns::fail(&mut conn, turn, "no answer").await,
        };
        assert!(ended.unwrap(), "{first}");

        assert!(!turns::finish_with_reply(&mut conn, turn, "a second").await.unwrap(), "{first}");
        assert!(!turns::finish_silent(&mut conn, turn).await.unwrap(), "{first}");
        assert!(!turns::fail(&mut conn, turn, "too late").await.unwrap(), "{first}");
        assert!(agent_calls::count(&mut conn, turn).await.is_err(), "{first}");
        assert_eq!(turns::get(&mut conn, turn).await.unwrap().unwrap().state.as_str(), first);
    }
}

#[tokio::test]
async fn a_message_ends_once_and_in_a_turn_with_the_turn_alone() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    let (ended, in_a_turn) = (tables.message("SM1").await, tables.message("SM2").await);
    let mut conn = tables.pg.acquire().await.unwrap();
    turns::begin(&mut conn, conversation, "echo", &[in_a_turn]).await.unwrap();

    assert!(messages::fail_unanswered(&mut conn, ended, "its job died").await.unwrap());

    assert!(!messages::fail_unanswered(&mut conn, ended, "again").await.unwrap());
    assert!(!messages::mark_for_agent(&mut conn, ended, conversation).await.unwrap());
    assert!(!messages::fail_unanswered(&mut conn, in_a_turn, "its job died").await.unwrap());
    assert!(messages::unanswered(&mut conn, conversation).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hidden_number_is_one_alias_though_it_comes_in_both_fields() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let hidden = "whatsapp:US.13491208655302741918";

    let address = find(&mut conn, &[hidden, hidden]).await.unwrap().address;

    assert_eq!(addresses::names(&mut conn, address.id).await.unwrap()[0].alias, hidden);
}

fn every_state() -> impl Iterator<Item = (&'static str, bool)> {
    UNACCEPTED.into_iter().map(|state| (state, false)).chain(ACCEPTED.into_iter().map(|state| (state, true)))
}

/// Puts a chunk into a state, however it might have come there.
async fn force(tables: &Tables, chunk: ChunkId, state: &str, sid: bool) {
    sqlx::query(
        "UPDATE channel_chunks SET state = $2, sid = CASE WHEN $3 THEN 'SM' || id END, deadline_at = now() WHERE id = $1",
    )
    .bind(chunk)
    .bind(state)
    .bind(sid)
    .execute(&tables.pg)
    .await
    .unwrap();
}
