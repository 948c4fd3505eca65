//! Deliveries that wait, and what ends them.

use store::proactive_deliveries::expire_waiting;

use crate::Tables;

#[tokio::test]
async fn what_waited_in_vain_says_for_what_and_what_is_locked_is_left_to_who_has_it() {
    let tables = Tables::new().await;
    sqlx::raw_sql(
        "INSERT INTO channel_users (id, plan) VALUES ('alice', 'free');
         INSERT INTO channel_deliveries (id, user_id, purpose, text, state, waits_for_inbound, waits_for_room, waits_until, expires_at)
         SELECT gen_random_uuid(), 'alice', 'notification', text, 'waiting', text IN ('inbound', 'early', 'locked'), text = 'room',
                CASE WHEN text = 'quiet' THEN now() - interval '1 hour' END, now() + CASE text WHEN 'early' THEN interval '1 hour' ELSE '-1 second' END
         FROM unnest(ARRAY['inbound', 'room', 'quiet', 'early', 'locked']) text",
    )
    .execute(&tables.pg)
    .await
    .unwrap();
    let mut holder = tables.pg.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM channel_deliveries WHERE text = 'locked' FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let mut conn = tables.pg.acquire().await.unwrap();

    assert_eq!(expire_waiting(&mut conn).await.unwrap(), 3);
    drop(holder);

    let rows: Vec<(String, String, Option<String>)> =
        sqlx::query_as("SELECT text, state, reason FROM channel_deliveries ORDER BY text")
            .fetch_all(&tables.pg)
            .await
            .unwrap();
    let told: Vec<_> =
        rows.iter().map(|(text, state, reason)| (text.as_str(), state.as_str(), reason.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("early", "waiting", None),
            ("inbound", "expired", Some("the person did not write in time")),
            ("locked", "waiting", None),
            ("quiet", "expired", Some("it was not planned in time after the quiet hours")),
            ("room", "expired", Some("whatsapp.people_per_day had no room in time")),
        ]
    );
}
