//! What the history tells of a kind, for callers that judge by it whether something works again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Whether a job of the kind has succeeded after the moment. Ten thousand jobs of the history are looked at, those that were enqueued last.
pub async fn has_done_since(
    conn: &mut PgConnection,
    kind: &str,
    moment: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM (SELECT kind, cancelled, finished_at FROM queue.finished ORDER BY id DESC LIMIT 10000) AS f
                        WHERE kind = $1 AND NOT cancelled AND finished_at > $2)",
    )
    .bind(kind)
    .bind(moment)
    .fetch_one(conn)
    .await
}

/// How many jobs ended in each of the last sixty minutes, the oldest first; of the ten thousand that were enqueued last.
pub async fn by_minute(conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT coalesce(number, 0) FROM generate_series(59, 0, -1) AS ago
         LEFT JOIN (SELECT floor(extract(epoch FROM now() - finished_at)::DOUBLE PRECISION / 60)::INTEGER AS minute, count(*) AS number
                    FROM (SELECT finished_at FROM queue.finished ORDER BY id DESC LIMIT 10000) AS latest
                    WHERE finished_at > now() - interval '1 hour' GROUP BY 1) AS minutes ON minute = ago
         ORDER BY ago DESC",
    )
    .fetch_all(conn)
    .await
}

/// About how many jobs ended in each of the last forty-eight half hours, the oldest first, and whether that is an estimate: where a day has more than five
/// thousand, a number out of each of five thousand stretches is looked up, at random, and stands for its stretch. For a caller that asks once a minute at
/// most.
pub async fn by_half_hour(conn: &mut PgConnection) -> sqlx::Result<Vec<(i64, bool)>> {
    sqlx::query_as(
        "WITH RECURSIVE latest AS (SELECT coalesce((SELECT id FROM queue.finished ORDER BY id DESC LIMIT 1), 0) AS id),
         halves AS (
             SELECT coalesce((SELECT id FROM queue.finished ORDER BY id LIMIT 1), 1) AS low, latest.id AS high FROM latest
             UNION ALL
             SELECT CASE WHEN look.is_old THEN look.middle + 1 ELSE halves.low END, CASE WHEN look.is_old THEN halves.high ELSE look.middle END
             FROM halves CROSS JOIN LATERAL (
                 SELECT (halves.low + halves.high) / 2 AS middle,
                        (SELECT f.finished_at < now() - interval '1 day' FROM queue.finished f WHERE f.id >= (halves.low + halves.high) / 2 ORDER BY f.id LIMIT 1) AS is_old) AS look
             WHERE halves.low < halves.high),
         day AS (SELECT first, last, greatest((last - first) / 5000 + 1, 1) AS step
                 FROM (SELECT (SELECT max(low) FROM halves) AS first, (SELECT id FROM latest) AS last) AS ends),
         numbers AS MATERIALIZED (SELECT stretch + floor(random() * day.step)::BIGINT AS number, day.step
             FROM day CROSS JOIN generate_series(day.first, day.last, day.step) AS stretch),
         looked_up AS (SELECT found.finished_at, step FROM numbers
             CROSS JOIN LATERAL (SELECT f.finished_at FROM queue.finished f
                                 WHERE f.id = number AND f.finished_at > now() - interval '1 day' LIMIT 1) AS found)
         SELECT coalesce(sum(step), 0)::BIGINT, (SELECT step > 1 FROM day) FROM generate_series(47, 0, -1) AS ago
         LEFT JOIN looked_up ON floor(extract(epoch FROM now() - finished_at) / 1800) = ago
         GROUP BY ago ORDER BY ago DESC",
    )
    .fetch_all(conn)
    .await
}
