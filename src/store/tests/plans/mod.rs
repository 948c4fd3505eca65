//! How Postgres goes about every statement of the program in a database of a million people: nothing reads a table that grows, nothing sorts more than a
//! page. The statements are read out of the source, so a new one is looked at by itself; those inside of the database's functions are watched at work.
//!
//! The rows are few enough to be filled in seconds. Then the statistics are told that each of them stands for fifty, on as many pages as before. So Postgres
//! finds an index less worth its while than it would at full size, and reads a table rather too soon: what passes here passes there. The same looks at the
//! full size are in [`nothing_reads_a_table_at_full_size`].

mod explained;
mod functions;
pub(crate) mod statements;

use private_postgres::test_database::TestDatabase;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use self::explained::{explain, faults, nodes};
use self::statements::Statement;
use crate::SCHEMA;

/// Rows that a plan may sort, hash or keep at most: a page of an audience with what belongs to it.
const PAGE: f64 = 2_000.0;

/// What a statement may cost in Postgres's estimate. A page of 500 rows with all that belongs to them costs 12,000, reading a table many times that.
const MOST_COST: f64 = 15_000.0;

/// Tables of which nobody expects more than some hundred rows.
const SMALL: [&str; 26] = [
    "channel_admin_sessions",
    "channel_retention",
    "channel_takeovers",
    "channel_answers_by_hand",
    "channel_gauges",
    "channel_processes",
    "channel_callbacks",
    "channel_templates",
    "channel_functions",
    "channel_sender_moves",
    "channel_deployment",
    "channel_double_sends",
    "queue.unknown_kinds",
    "queue.trials",
    "channel_erasures",
    "channel_secret_keys",
    "_sqlx_migrations",
    "channel_cursors",
    "channel_schedulers",
    "channel_schedules",
    "channel_secrets",
    "channel_sender_pace",
    "queue.kinds",
    "queue.pauses",
    "queue.workers",
    "queue.finished_default",
];

/// What a person asks now and then and what has to read a lot for its answer, by how it begins and why.
const ASKED_SELDOM: [(&str, &str); 11] = [
    (
        "WITH RECURSIVE found AS ( (SELECT failure_group",
        "counts the dead jobs of each cause, 10,000 of each at most",
    ),
    ("WITH uses AS ( SELECT hashed_by", "counts what hangs on each key, for `check`"),
    (
        "SELECT alias, coalesce(canonical, alias) FROM channel_address_aliases WHERE alias NOT LIKE",
        "reads all names after a change of keys",
    ),
    (
        "WITH newest AS MATERIALIZED ( SELECT pool, kind, state",
        "counts live and dead jobs, 20,000 of each at most",
    ),
    ("SELECT s.user_id, CASE WHEN (s.used, s.reserved", "recomputes a share of the allowances, for `check`"),
    (
        "SELECT s.moment, s.fired_at, s.zone, s.manual, s.is_test, s.state, s.reason, count(u.user_id)",
        "counts what a slot came to for as many users as are asked for, for `schedules list`",
    ),
    (
        "WITH newest AS ( SELECT chunk_id, status, received_at",
        "counts what became of the latest messages, where so many failed that there may be an alert",
    ),
    (
        "SELECT id, state, kind, pool, lane, failed_attempts",
        "the beginning of a statement that the filter completes",
    ),
    (
        "WITH RECURSIVE halves AS ( SELECT coalesce((SELECT min(id) FROM channel_messages)",
        "looks up 5,000 messages of a day by their numbers, once a minute while a page is looked at",
    ),
    (
        "WITH RECURSIVE latest AS (SELECT coalesce((SELECT id FROM queue.finished",
        "looks up 5,000 jobs of a day by their numbers, once a minute while a page is looked at",
    ),
    ("SELECT id FROM queue.every_job", "the beginning of a statement that the filter completes"),
];

/// Tables that a duty fills while it reads them, and the files that do so.
const OF_DUTIES: [(&str, &str); 3] = [
    ("src/store/allowances.rs", "whatsapp_sends"),
    ("src/store/conversations.rs", "channel_conversations"),
    ("src/store/slot_users.rs", "channel_slot_users"),
];

/// Puts its statements together from pieces, and has a test of its own.
const PIECES: &str = "src/queue/job_search.rs";

/// Gives the older of two rows that are one person what the younger has, which is never the long thread.
const MERGES: &str = "src/store/merging.rs";

/// How each statement is planned: for anybody; for a person like most; for the one with the long thread, whose number is 1.
const LOOKS: [(&str, u32); 3] =
    [("force_generic_plan", 500), ("force_custom_plan", 500), ("force_custom_plan", 1)];

/// How many of what there are.
struct Size {
    people: u32,
    messages: u32,
    /// Every so manyth message is in one thread.
    share: u32,
    jobs: u32,
    /// A row stands for so many.
    scale: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_a_table_whatever_its_size() {
    look_at_all(&Size { people: 20_000, messages: 60_000, share: 15, jobs: 20_000, scale: 50 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fills 13 GB in about ten minutes: cargo test --release -p store nothing_reads_a_table_at_full_size -- --ignored"]
async fn nothing_reads_a_table_at_full_size() {
    look_at_all(&Size { people: 1_000_000, messages: 5_000_000, share: 25, jobs: 1_000_000, scale: 1 }).await;
}

async fn look_at_all(size: &Size) {
    let database = TestDatabase::create(&SCHEMA).await;
    let mut conn = PgConnection::connect(database.url()).await.unwrap();
    fill(&mut conn, size).await;
    let mut wrong = sparse_tables(&mut conn).await;

    let statements = prepared(&mut conn).await;
    for (mode, whose) in LOOKS {
        for (number, statement, types) in &statements {
            if whose == 1 && statement.place == MERGES {
                continue;
            }
            let plan = explain(&mut conn, mode, *number, &arguments(types, whose)).await;
            let faults = faults(&mut conn, &plan).await;
            wrong.extend(faults.iter().map(|fault| {
                format!("{}: {fault} ({mode} for {whose}): {}", statement.place, statement.sql)
            }));
        }
    }

    wrong.extend(functions::faults(&mut conn).await);

    assert!(statements.len() > 200, "{} statements are no program", statements.len());
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// A session keeps a function's plans until the next ANALYZE, and the queue is often empty when that comes by.
#[tokio::test(flavor = "multi_thread")]
async fn no_function_reads_a_table_that_was_empty_when_its_plans_were_made() {
    let database = TestDatabase::create(&SCHEMA).await;
    let mut conn = PgConnection::connect(database.url()).await.unwrap();
    let few = fill_sql(&Size { people: 10, messages: 30, share: 15, jobs: 10, scale: 1 });
    let many = fill_sql(&Size { people: 5_000, messages: 15_000, share: 15, jobs: 5_000, scale: 1 });
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    run(&mut conn, "ANALYZE").await;

    let wrong = functions::faults_of_early_plans(&mut conn, &few, &mut other, &many).await;

    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    for index in ["channel_address_aliases_canonical", "queue.jobs_due", "queue.jobs_lane_held"] {
        assert!(functions::misses(&mut conn, index).await, "nobody misses {index}");
    }
}

/// What a duty asks of many users at once must not depend on what Postgres knew of its tables when it made the plan: it may have been nothing, and a
/// duty's tables are full long before anybody looks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_duty_finds_users_by_their_key_though_the_table_was_empty_when_the_plan_was_made() {
    let database = TestDatabase::create(&SCHEMA).await;
    let mut conn = PgConnection::connect(database.url()).await.unwrap();
    run(&mut conn, "ANALYZE; SET enable_seqscan = off").await;

    let mut looked_at = 0;
    for (number, statement, types) in prepared(&mut conn).await {
        let is_of_many = ["unnest(", "ANY ("].iter().any(|array| statement.sql.contains(array));
        if !is_of_many || !OF_DUTIES.iter().any(|(place, _)| statement.place == *place) {
            continue;
        }
        let plan = explain(&mut conn, "force_generic_plan", number, &arguments(&types, 1)).await;
        for (node, _) in nodes(&plan, false) {
            let table = node["Relation Name"].as_str().unwrap_or_default();
            let kind = node["Node Type"].as_str().unwrap();
            if OF_DUTIES.iter().any(|(_, of_duty)| *of_duty == table) && kind != "ModifyTable" {
                let sql = &statement.sql;
                let (key, rest) = (node.get("Index Cond"), node.get("Filter"));
                // What is filtered was read: by the first columns of a key that is everybody of a slot.
                assert!(
                    key.is_some() && rest.is_none(),
                    "{}: {kind} of {table} by {key:?}, then {rest:?}: {sql}",
                    statement.place
                );
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 4, "only {looked_at} ways were looked at");
}

/// Fills a database with what years have left in it.
async fn fill(conn: &mut PgConnection, size: &Size) {
    run(conn, &fill_sql(size)).await;
    run(conn, "VACUUM ANALYZE").await;
    let scale = size.scale;
    if scale > 1 {
        run(
            conn,
            &format!(
                "UPDATE pg_class SET reltuples = reltuples * {scale}
                 WHERE relnamespace IN ('public'::regnamespace, 'queue'::regnamespace) AND reltuples > 500"
            ),
        )
        .await;
    }
}

fn fill_sql(size: &Size) -> String {
    let Size { people, messages, share, jobs, .. } = size;
    let sizes = format!(
        "SET size.people = {people}; SET size.messages = {messages}; SET size.share = {share}; SET size.jobs = {jobs};"
    );
    sizes + include_str!("fill.sql")
}

/// Tables that nobody has filled: of these nothing could be learned.
async fn sparse_tables(conn: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT CASE WHEN n.nspname = 'queue' THEN 'queue.' ELSE '' END || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'queue') AND c.relkind = 'r' AND c.reltuples < 500 AND c.relname !~ '^finished_[0-9]{8}$'",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    tables
        .into_iter()
        .filter(|table| !SMALL.contains(&table.as_str()))
        .map(|table| {
            format!("{table} is nearly empty: fill it in src/store/tests/plans/fill.sql, or name it in SMALL")
        })
        .collect()
}

/// The statements as the server has prepared them, under their numbers, with the types of their arguments. The queries behind foreign keys count too.
async fn prepared(conn: &mut PgConnection) -> Vec<(usize, Statement, Vec<String>)> {
    let mut all = statements::all();
    all.extend(behind_foreign_keys(conn, &all).await);
    let mut prepared = Vec::new();
    for (number, statement) in all.into_iter().enumerate() {
        let short = statement.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        // Its arguments are of a kind of their own, and its table is small.
        if short.contains(" _sqlx_migrations ") || statement.place == PIECES {
            continue;
        }
        // What is called has statements of its own, of which `functions` tells how much they read.
        if short.starts_with("CALL ")
            || ASKED_SELDOM.iter().any(|(beginning, _)| short.starts_with(beginning))
        {
            continue;
        }
        let prepare = format!("PREPARE s{number} AS {}", statement.sql);
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *conn).await {
            panic!(
                "{}: only whole statements with plain types can be looked at: {error}: {}",
                statement.place, statement.sql
            );
        }
        let types: Vec<String> = sqlx::query_scalar(
            "SELECT unnest(parameter_types)::TEXT FROM pg_prepared_statements WHERE name = $1",
        )
        .bind(format!("s{number}"))
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        prepared.push((number, statement, types));
    }
    prepared
}

/// When a row is deleted, the server looks for those that refer to it.
async fn behind_foreign_keys(conn: &mut PgConnection, statements: &[Statement]) -> Vec<Statement> {
    let keys: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT k.confrelid::regclass::TEXT, k.conrelid::regclass::TEXT, a.attname::TEXT
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.contype = 'f'",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    let is_deleted = |table: &str| {
        statements.iter().any(|statement| statement.sql.contains(&format!("DELETE FROM {table} ")))
    };
    keys.into_iter()
        .filter(|(of, ..)| is_deleted(of))
        .map(|(of, from, column)| Statement {
            place: format!("a row of {of} is deleted"),
            sql: format!("SELECT 1 FROM ONLY {from} x WHERE {column} = $1 FOR KEY SHARE OF x"),
        })
        .collect()
}

/// A page of an audience.
fn many(value: impl Fn(u32) -> String) -> String {
    format!("'{{{}}}'", (1..=500).map(value).collect::<Vec<_>>().join(","))
}

/// Typical arguments of these types, about a person by the number.
fn arguments(types: &[String], whose: u32) -> String {
    let arguments: Vec<String> = types.iter().map(|name| argument(name, whose)).collect();
    if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) }
}

fn argument(name: &str, whose: u32) -> String {
    match name {
        "bigint" | "integer" | "smallint" | "double precision" => whose.to_string(),
        "text" => format!("'user-{whose}'"),
        "boolean" => "TRUE".to_owned(),
        "timestamp with time zone" => "now()".to_owned(),
        "uuid" => "'00000000-0000-7000-8000-000000000500'".to_owned(),
        "jsonb" => "'{}'".to_owned(),
        "text[]" => many(|n| format!("user-{n}")),
        "bigint[]" | "integer[]" => many(|n| n.to_string()),
        "timestamp with time zone[]" => many(|_| "2026-11-01 00:00:00Z".to_owned()),
        _ => format!("NULL::{name}"),
    }
}

async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}
