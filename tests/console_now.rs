//! The first page of the console: what came and was done in the last hour and in the last day.

use crate::console::{Browser, DANA, started};
use crate::support::PERSON;

/// The number before these words.
fn number_before(page: &str, words: &str) -> i64 {
    let (before, _) = page.split_once(words).unwrap_or_else(|| panic!("{words}: {page}"));
    before.rsplit(|sign: char| !sign.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_drawn_beside_the_hour_counted_or_estimated_and_looked_at_once_a_minute() {
    let app = started().await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;
    // Half of the numbers of a day, and as many days before it.
    sqlx::query(
        "INSERT INTO queue.finished (id, created_at, finished_at, attempt, crashes, cancelled, kind, pool, payload)
         SELECT 1000000 + 2 * n, now(), now() - interval '2 days' + n * interval '2 days' / 40000, 1, 0, FALSE, 'act', 'test', '{}'
         FROM generate_series(1, 40000) n",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    let browser = Browser::log_in(&app, DANA).await;

    let page = browser.page("/admin").await;
    let (_, jobs) = page.split_once("Jobs done").unwrap();
    let of_day = number_before(jobs, " in the last day");
    sqlx::query("DELETE FROM queue.finished WHERE kind = 'act'").execute(&app.pg).await.unwrap();
    let again = browser.page("/admin").await;

    assert!(page.contains("1 in the last day, 1 in the busiest half hour, "), "{page}");
    assert!(
        (18_500..21_500).contains(&of_day) && page.contains(&format!("about {of_day} in the last day")),
        "{of_day}"
    );
    assert_eq!(page.matches("<svg").count(), 4, "{page}");
    assert!(again.contains(&format!("about {of_day} in the last day")), "a minute has not passed: {again}");
}
