//! What proves a send, and what proves a miss.

use store::chunks::{self, End};
use store::ids::ChunkId;
use store::in_doubt;
use store::send_attempts::{self, SidOutcome, Unsent};

use crate::{PERSON, Tables};

#[tokio::test]
async fn an_attempt_in_doubt_stays_sending_until_two_lists_missed_it() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    in_doubt::raise(&mut conn, chunk, 1, "no answer in time").await.unwrap();
    assert_eq!(tables.state(chunk).await, "sending");

    let first = in_doubt::note_miss(&mut conn, chunk, 1).await.unwrap();
    sqlx::query("UPDATE channel_send_attempts SET first_miss_at = first_miss_at - interval '30 seconds'")
        .execute(&mut *conn)
        .await
        .unwrap();
    let second = in_doubt::note_miss(&mut conn, chunk, 1).await.unwrap();

    assert_eq!(first, 0.0);
    assert!(second >= 30.0, "{second}");
    assert!(send_attempts::return_to_planned(&mut conn, chunk, 1, Unsent::Missed, "missed").await.unwrap());
    assert_eq!(attempt(&tables).await, ("missed".to_owned(), None));
}

#[tokio::test]
async fn a_doubts_time_is_counted_from_its_attempt_whatever_was_learned_since() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    sqlx::query("UPDATE channel_send_attempts SET started_at = started_at - interval '1 hour'")
        .execute(&mut *conn)
        .await
        .unwrap();
    in_doubt::raise(&mut conn, chunk, 1, "no answer in time").await.unwrap();

    assert_eq!(in_doubt::given_up(&mut conn, 3_700.0).await.unwrap(), []);
    assert_eq!(in_doubt::given_up(&mut conn, 3_600.0).await.unwrap(), [chunk]);
}

#[tokio::test]
async fn a_sid_proves_a_send_that_was_thought_missed() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    send_attempts::return_to_planned(&mut conn, chunk, 1, Unsent::Missed, "missed").await.unwrap();

    assert_eq!(send_attempts::store_sid(&mut conn, chunk, 1, "SM1").await.unwrap(), SidOutcome::Stored);

    assert_eq!(send_attempts::begin(&mut conn, chunk, PERSON, 20.0, None).await.unwrap(), None);
    assert_eq!(attempt(&tables).await, ("accepted".to_owned(), Some("SM1".to_owned())));
}

#[tokio::test]
async fn a_sid_proves_a_send_that_was_given_up() {
    for end in [End::Failed, End::Cancelled, End::Expired, End::Unknown] {
        let tables = Tables::new().await;
        let chunk = tables.sending_chunk().await;
        let mut conn = tables.pg.acquire().await.unwrap();
        chunks::end(&mut conn, chunk, end, None, "given up").await.unwrap();

        assert_eq!(send_attempts::store_sid(&mut conn, chunk, 1, "SM1").await.unwrap(), SidOutcome::Stored);

        assert_eq!(tables.state(chunk).await, "accepted", "{end:?}");
        assert_eq!(attempt(&tables).await, ("accepted".to_owned(), Some("SM1".to_owned())), "{end:?}");
    }
}

#[tokio::test]
async fn the_first_sid_stands_and_a_second_one_is_kept_once() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    send_attempts::store_sid(&mut conn, chunk, 1, "SM1").await.unwrap();

    for _ in 0..2 {
        let double = SidOutcome::DoubleSend { first_sid: "SM1".to_owned() };
        assert_eq!(send_attempts::store_sid(&mut conn, chunk, 1, "SM2").await.unwrap(), double);
    }

    assert_eq!(chunks::find_by_sid(&mut conn, "SM1").await.unwrap(), Some(chunk));
    assert_eq!(attempt(&tables).await.1.as_deref(), Some("SM1"));
    let kept: Vec<(String, ChunkId)> =
        sqlx::query_as("SELECT sid, chunk_id FROM channel_double_sends").fetch_all(&tables.pg).await.unwrap();
    assert_eq!(kept, [("SM2".to_owned(), chunk)]);
}

/// The outcome and the SID of the only attempt.
async fn attempt(tables: &Tables) -> (String, Option<String>) {
    sqlx::query_as("SELECT outcome, sid FROM channel_send_attempts").fetch_one(&tables.pg).await.unwrap()
}
