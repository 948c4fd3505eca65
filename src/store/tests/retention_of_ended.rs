//! What has ended long ago goes: claim tokens, counts of days, alerts, entries that could not be taken in, outages of agents.

use std::time::Duration;

use store::retention::{RetainedPart, take_page};

use crate::Tables;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// 700 old rows and three young ones of each, and what stays though it is old: the latest alert of a cause, one that goes on, an outage that goes on.
const ROWS: [&str; 6] = [
    "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'free' FROM generate_series(1, 703) n",
    "INSERT INTO channel_claim_tokens (token_hash, user_id, replaces, created_at, expires_at, ended_at, ending)
     SELECT sha256(n::TEXT::BYTEA), format('user-%s', n), FALSE, at - interval '15 minutes', at, CASE WHEN n % 2 = 0 THEN at END, CASE WHEN n % 2 = 0 THEN 'redeemed' END
     FROM generate_series(1, 703) n, LATERAL (SELECT now() - CASE WHEN n <= 700 THEN interval '10 days' ELSE interval '1 day' END AS at) aged",
    "INSERT INTO channel_sent_days (user_id, day, kind, number)
     SELECT format('user-%s', n), (now() AT TIME ZONE 'UTC')::DATE - CASE WHEN n <= 700 THEN 6 ELSE 5 END, 'reply', 2 FROM generate_series(1, 703) n",
    "INSERT INTO channel_alerts (cause, detail, opened_at, closed_at)
     SELECT CASE WHEN n = 1 THEN 'clock' WHEN n = 2 THEN 'dead_jobs' ELSE 'undelivered' END, '', now() - interval '11 days',
            CASE WHEN n = 1 THEN NULL WHEN n <= 700 THEN now() - interval '10 days' ELSE now() END FROM generate_series(1, 703) n",
    "INSERT INTO channel_unusable_entries (sid, reason, last_seen_at)
     SELECT format('SM%s', n), '', now() - CASE WHEN n <= 700 THEN interval '10 days' ELSE interval '1 day' END FROM generate_series(1, 703) n",
    "INSERT INTO channel_agent_outages (agent, trouble, opened_at, closed_at)
     SELECT format('agent-%s', n), 'busy', now() - interval '11 days', CASE WHEN n = 1 THEN NULL WHEN n <= 700 THEN now() - interval '10 days' ELSE now() END
     FROM generate_series(1, 703) n",
];

/// Rows of each table.
const COUNTS: &str = "SELECT ARRAY[(SELECT count(*) FROM channel_claim_tokens), (SELECT count(*) FROM channel_sent_days), (SELECT count(*) FROM channel_alerts),
    (SELECT count(*) FROM channel_unusable_entries), (SELECT count(*) FROM channel_agent_outages)]";

/// Takes away what has ended more than five days ago, as often as there is more and once again, as the upkeep does.
async fn take(tables: &Tables, parts: &[RetainedPart]) -> Vec<i64> {
    let mut conn = tables.pg.acquire().await.unwrap();
    for part in parts {
        while take_page(&mut conn, *part, 5 * DAY).await.unwrap() {}
        assert!(!take_page(&mut conn, *part, 5 * DAY).await.unwrap(), "{part:?}");
    }
    sqlx::query_scalar(COUNTS).fetch_one(&tables.pg).await.unwrap()
}

#[tokio::test]
async fn what_has_ended_long_ago_goes_page_by_page_and_what_goes_on_stays() {
    let tables = Tables::new().await;
    for statement in ROWS {
        sqlx::query(statement).execute(&tables.pg).await.unwrap();
    }
    let mut conn = tables.pg.acquire().await.unwrap();
    assert!(take_page(&mut conn, RetainedPart::ClaimTokens, 5 * DAY).await.unwrap(), "a page is not all");
    let left = sqlx::query_scalar::<_, Vec<i64>>(COUNTS).fetch_one(&tables.pg).await.unwrap();
    assert_eq!(left[0], 203, "a page has 500 rows");

    let left = take(&tables, &RetainedPart::ALL).await;

    // Of alerts and outages also those that go on, and of alerts the only one of its cause.
    assert_eq!(left, [3, 3, 5, 3, 4]);
    let stayed = "SELECT array_agg(DISTINCT cause ORDER BY cause) FROM channel_alerts";
    let causes: Vec<String> = sqlx::query_scalar(stayed).fetch_one(&tables.pg).await.unwrap();
    assert_eq!(causes, ["clock", "dead_jobs", "undelivered"]);
}

#[tokio::test]
async fn an_outage_goes_after_the_turns_that_failed_in_it_have_lost_their_words() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    sqlx::query(
        "WITH outage AS (INSERT INTO channel_agent_outages (agent, trouble, closed_at) VALUES ('one', 'busy', now() - interval '10 days') RETURNING id)
         INSERT INTO channel_turns (conversation_id, state, agent, error, outage_id, started_at, finished_at)
         SELECT $1, 'failed', 'one', 'secret', id, now() - interval '10 days', now() - interval '10 days' FROM outage",
    )
    .bind(conversation)
    .execute(&tables.pg)
    .await
    .unwrap();

    let with_words = take(&tables, &[RetainedPart::AgentOutages]).await;
    let without = take(&tables, &[RetainedPart::Turns, RetainedPart::AgentOutages]).await;

    assert_eq!((with_words[4], without[4]), (1, 0));
}

#[tokio::test]
async fn a_token_that_somebody_holds_is_left_for_the_next_round() {
    let tables = Tables::new().await;
    for statement in [ROWS[0], ROWS[1]] {
        sqlx::query(statement).execute(&tables.pg).await.unwrap();
    }
    let mut tx = tables.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM channel_claim_tokens WHERE user_id = 'user-600' FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();

    let held = take(&tables, &[RetainedPart::ClaimTokens]).await;
    tx.rollback().await.unwrap();
    let left = take(&tables, &[RetainedPart::ClaimTokens]).await;

    assert_eq!((held[0], left[0]), (4, 3));
}
