//! The users of an audience: all alike, or with zones, quiet hours and attributes of their own.

use sqlx::PgPool;

/// The zones in which users live. The first one is the schedule's for users who have none.
pub(crate) const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Africa/Lagos",
    "America/Los_Angeles",
    "Asia/Kathmandu",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
];

const ALIKE: &str =
    "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM generate_series(1, $1) n";

/// Zones have unequal numbers of users, whose ids are mixed. A tenth of all users have no zone, a third have quiet hours that begin in six hours, and
/// half have a name.
const WITH_ZONES: &str = "
    INSERT INTO channel_users (id, plan, timezone, quiet_from, quiet_to, attributes)
    SELECT format('user-%s', n), 'pro', timezone,
           CASE WHEN n % 3 = 0 THEN (shown + interval '6 hours')::TIME END, CASE WHEN n % 3 = 0 THEN (shown + interval '8 hours')::TIME END,
           CASE WHEN n % 2 = 0 THEN jsonb_build_object('name', format('Name %s', n)) ELSE '{}' END
    FROM (SELECT n, CASE WHEN n % 10 > 0 THEN zone END AS timezone, date_trunc('minute', now() AT TIME ZONE CASE WHEN n % 10 > 0 THEN zone ELSE $2[1] END) AS shown
          FROM (SELECT n, $2[1 + floor(cardinality($2) * power(n % 1000 / 1000.0, 2))::INTEGER] AS zone FROM generate_series(1, $1) n) living) seen";

/// Users with phones who have just written. Without zones they are all alike.
pub(crate) async fn fill(pg: &PgPool, users: i64, zones: &[&str]) -> sqlx::Result<()> {
    let people = if zones.is_empty() {
        sqlx::query(ALIKE).bind(users)
    } else {
        sqlx::query(WITH_ZONES).bind(users).bind(zones)
    };
    people.execute(pg).await?;
    for statement in [
        "INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM generate_series(1, $1) n",
        "INSERT INTO channel_address_aliases (alias, canonical, address_id)
         SELECT format('whatsapp:+1%s', 2000000000 + n), format('whatsapp:+1%s', 2000000000 + n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_links (user_id, address_id) SELECT format('user-%s', n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_conversations (user_id) SELECT format('user-%s', n) FROM generate_series(1, $1) n",
    ] {
        sqlx::query(statement).bind(users).execute(pg).await?;
    }
    // Not the empty tables: a plan that was made for an empty table reads all of it, row after row, until the next ANALYZE.
    let filled = "VACUUM ANALYZE channel_users, channel_addresses, channel_address_aliases, channel_links, channel_conversations";
    for statement in [filled, "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(pg).await?;
    }
    Ok(())
}
