//! The users of a slot, page by page, and the zones that they live in. Users of other cells are in no audience.

use serde_json::Value;
use sqlx::PgConnection;

use crate::ids::{SlotId, UserId};

/// Who is written to.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// Of whom it consists …
    pub who: Who<'a>,
    /// … but for these users.
    pub except: &'a [UserId],
}

/// Of whom an audience consists.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// One user.
    User(&'a UserId),
    /// These users.
    Users(&'a [UserId]),
    /// Everybody on this plan.
    Plan(&'a str),
    /// Everybody who has a phone.
    Everyone,
}

/// The part of an audience that lives in a zone.
#[derive(Clone, Debug)]
pub struct ZonePart {
    /// The zone's name, with others that are not known any more where they count as this one.
    pub names: Vec<String>,
    /// Users who have no zone are among them.
    pub with_unknown: bool,
}

/// The zones that users live in, by name. One look at the index for each, however many users there are.
pub async fn zones(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "WITH RECURSIVE zones AS (
             SELECT (SELECT timezone FROM channel_users WHERE timezone IS NOT NULL ORDER BY timezone LIMIT 1) AS name
             UNION ALL
             SELECT (SELECT timezone FROM channel_users WHERE timezone > zones.name ORDER BY timezone LIMIT 1) FROM zones WHERE zones.name IS NOT NULL)
         SELECT name FROM zones WHERE name IS NOT NULL",
    )
    .fetch_all(conn)
    .await
}

/// About how many users an audience has, as Postgres estimates it.
pub async fn estimate(conn: &mut PgConnection, audience: &Audience<'_>) -> sqlx::Result<i64> {
    let estimate = match audience.who {
        Who::User(_) => return Ok(1),
        Who::Users(users) => return Ok(i64::try_from(users.len()).unwrap_or(i64::MAX)),
        Who::Plan(plan) => {
            sqlx::query_scalar("EXPLAIN (FORMAT JSON) SELECT FROM channel_users WHERE plan = lower($1)")
                .bind(plan)
        }
        Who::Everyone => {
            sqlx::query_scalar("EXPLAIN (FORMAT JSON) SELECT FROM channel_links WHERE ended_at IS NULL")
        }
    };
    let estimate: Value = estimate.fetch_one(conn).await?;
    Ok(estimate[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default())
}

/// The next users of an audience after this one, in order; of a part, those who live there.
/// Each kind of audience has its own statement; in a combined one the planner reads every link for every page.
pub async fn page(
    conn: &mut PgConnection,
    audience: &Audience<'_>,
    part: Option<&ZonePart>,
    after: Option<&UserId>,
    number: i64,
) -> sqlx::Result<Vec<UserId>> {
    let page = PageBounds { after: text_of(after), except: audience.except, number };
    match audience.who {
        Who::User(user) => named(conn, &[user], part, &page).await,
        Who::Users(users) => named(conn, &users.iter().collect::<Vec<_>>(), part, &page).await,
        Who::Plan(plan) => match part {
            None => on_plan(conn, plan, &page).await,
            Some(part) => {
                let mut pages = Vec::new();
                for zone in part.zones() {
                    pages.push(living_in_zone(conn, zone, Some(plan), &page).await?);
                }
                merged(conn, pages, number).await
            }
        },
        Who::Everyone => match part {
            None => everyone(conn, &page).await,
            Some(part) => {
                let mut pages = Vec::new();
                for zone in part.zones() {
                    pages.push(everyone_in_zone(conn, zone, &page).await?);
                }
                merged(conn, pages, number).await
            }
        },
    }
}

/// The text behind which the next users stand; the empty one is before everybody.
fn text_of(after: Option<&UserId>) -> &str {
    after.map_or("", UserId::as_str)
}

/// Which users of an audience are looked for.
struct PageBounds<'a> {
    after: &'a str,
    except: &'a [UserId],
    number: i64,
}

impl ZonePart {
    /// The zones, each by its name; `None`: no zone is known.
    fn zones(&self) -> impl Iterator<Item = Option<&str>> {
        self.names.iter().map(|name| Some(name.as_str())).chain(self.with_unknown.then_some(None))
    }
}

/// There are not so many that they could not be read at once.
async fn named(
    conn: &mut PgConnection,
    users: &[&UserId],
    part: Option<&ZonePart>,
    page: &PageBounds<'_>,
) -> sqlx::Result<Vec<UserId>> {
    let mut found: Vec<UserId> = sqlx::query_scalar(
        "SELECT id FROM channel_users
         WHERE id > $1 AND id = ANY ($2) AND id <> ALL ($3) AND ($4::TEXT[] IS NULL OR timezone = ANY ($4) OR $5 AND timezone IS NULL)
           AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = channel_users.id) ORDER BY id",
    )
    .bind(page.after)
    .bind(users)
    .bind(page.except)
    .bind(part.map(|part| &part.names))
    .bind(part.is_some_and(|part| part.with_unknown))
    .fetch_all(conn)
    .await?;
    found.truncate(usize::try_from(page.number).unwrap_or(usize::MAX));
    Ok(found)
}

async fn on_plan(conn: &mut PgConnection, plan: &str, page: &PageBounds<'_>) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar(
        "SELECT id FROM channel_users WHERE id > $1 AND plan = lower($4) AND id <> ALL ($3)
           AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = channel_users.id) ORDER BY id LIMIT $2",
    )
    .bind(page.after)
    .bind(page.number)
    .bind(page.except)
    .bind(plan)
    .fetch_all(conn)
    .await
}

async fn everyone(conn: &mut PgConnection, page: &PageBounds<'_>) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar(
        "SELECT user_id FROM channel_links WHERE user_id > $1 AND ended_at IS NULL AND unproven_since IS NULL AND user_id <> ALL ($3)
         ORDER BY user_id LIMIT $2",
    )
    .bind(page.after)
    .bind(page.number)
    .bind(page.except)
    .fetch_all(conn)
    .await
}

/// Who has no phone is left out page by page: in one statement the planner might begin with the links.
async fn everyone_in_zone(
    conn: &mut PgConnection,
    zone: Option<&str>,
    page: &PageBounds<'_>,
) -> sqlx::Result<Vec<UserId>> {
    let most = usize::try_from(page.number).unwrap_or(usize::MAX);
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let living_there = living_in_zone(
            conn,
            zone,
            None,
            &PageBounds { after: last.as_ref().map_or(page.after, UserId::as_str), ..*page },
        )
        .await?;
        let linked: Vec<UserId> = sqlx::query_scalar(
            "SELECT user_id FROM channel_links WHERE user_id = ANY ($1) AND ended_at IS NULL AND unproven_since IS NULL ORDER BY user_id",
        )
        .bind(&living_there)
        .fetch_all(&mut *conn)
        .await?;
        found.extend(linked);
        let is_full = living_there.len() >= most;
        last = living_there.into_iter().last().filter(|_| is_full && found.len() < most);
        if last.is_none() {
            break;
        }
    }
    found.truncate(most);
    Ok(found)
}

/// Users who live in a zone, those on a plan or all, are found by the index of zones, in order, whoever else there is.
async fn living_in_zone(
    conn: &mut PgConnection,
    zone: Option<&str>,
    plan: Option<&str>,
    page: &PageBounds<'_>,
) -> sqlx::Result<Vec<UserId>> {
    let users = match zone {
        Some(zone) => sqlx::query_scalar(
            "SELECT id FROM channel_users
             WHERE timezone = $5 AND id > $1 AND id <> ALL ($3) AND ($4::TEXT IS NULL OR plan = lower($4))
               AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = channel_users.id) ORDER BY id LIMIT $2",
        )
        .bind(page.after)
        .bind(page.number)
        .bind(page.except)
        .bind(plan)
        .bind(zone),
        None => sqlx::query_scalar(
            "SELECT id FROM channel_users
             WHERE timezone IS NULL AND id > $1 AND id <> ALL ($3) AND ($4::TEXT IS NULL OR plan = lower($4))
               AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = channel_users.id) ORDER BY id LIMIT $2",
        )
        .bind(page.after)
        .bind(page.number)
        .bind(page.except)
        .bind(plan),
    };
    users.fetch_all(conn).await
}

/// The first users of pages of several zones, in the order of the database, which is not that of bytes.
async fn merged(
    conn: &mut PgConnection,
    mut pages: Vec<Vec<UserId>>,
    number: i64,
) -> sqlx::Result<Vec<UserId>> {
    if let [page] = &mut pages[..] {
        return Ok(std::mem::take(page));
    }
    sqlx::query_scalar("SELECT id FROM unnest($1::TEXT[]) AS found (id) ORDER BY id LIMIT $2")
        .bind(pages.concat())
        .bind(number)
        .fetch_all(conn)
        .await
}

/// Whether a slot is open and nobody behind this user has been dealt with.
pub async fn is_still_before(
    conn: &mut PgConnection,
    id: SlotId,
    after: Option<&UserId>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_slots WHERE id = $1 AND state = 'open' AND coalesce(last_user, '') <= $2)")
        .bind(id)
        .bind(text_of(after))
        .fetch_one(conn)
        .await
}

/// Locks the page of an audience that ends with this user until the caller's transaction ends: another run at the
/// same page waits.
pub async fn take_page(conn: &mut PgConnection, id: SlotId, last_user: &UserId) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended(format('page %s %s', $1::BIGINT, $2::TEXT), 0))",
    )
    .bind(id)
    .bind(last_user)
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits until whoever has the page that ends with this user has committed or given up.
pub async fn wait_for_page(conn: &mut PgConnection, id: SlotId, last_user: &UserId) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended(format('page %s %s', $1::BIGINT, $2::TEXT), 0))")
        .bind(id)
        .bind(last_user)
        .execute(conn)
        .await?;
    Ok(())
}
