//! What the database's own functions and triggers read when they are called: their statements stand in no source of the program, and no
//! `EXPLAIN` looks into them. So each is called with real arguments, and the server's counters tell what it read, whoever called whom. They are blind to
//! one thing: an index that is read through for a condition on another than its first column.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::run;

/// Rows of a table, or entries of an index, that a call may read: a page of 500 with some of what belongs to it.
const MOST: i64 = 2_500;

/// Rows that a call may read where it reads without an index.
const MOST_WITHOUT_INDEX: i64 = 500;

/// What each call finds: a worker that holds a hundred of the jobs that are due, a hundred of its own that are under suspicion, and a metered chunk.
const BEFOREHAND: &str = "
    INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour');
    INSERT INTO queue.kinds (kind, on_end_kind, on_end_pool, on_end_attempts) VALUES ('act', 'close', 'elsewhere', 5)
        ON CONFLICT (kind) DO UPDATE SET on_end_kind = 'close', on_end_pool = 'elsewhere', on_end_attempts = 5;
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, suspicion, payload)
    SELECT 5, 'waiting', 'act', 'elsewhere', (n % 20 = 1)::INTEGER, '{}' FROM generate_series(1, 210) n;
    CREATE TEMPORARY TABLE this ON COMMIT DROP AS SELECT max(id) AS worker FROM queue.workers;
    CREATE TEMPORARY TABLE mine ON COMMIT DROP AS SELECT c.* FROM this, queue.claim_jobs(worker, 'elsewhere', 100, 1) c;
    UPDATE channel_deliveries SET period_start = date_trunc('month', now()) WHERE id = (SELECT delivery_id FROM channel_chunks WHERE id = 22);
    UPDATE whatsapp_sends SET reserved = 1, credited = 1 WHERE user_id = (SELECT user_id FROM channel_deliveries WHERE id = (SELECT delivery_id FROM channel_chunks WHERE id = 22));
    UPDATE channel_chunks SET state = 'planned', metering = NULL WHERE id = 22;
    UPDATE channel_chunks SET metering = 'reserved' WHERE id = 22";

/// Every way into the functions.
const CALLS: [&str; 44] = [
    "SELECT queue.prepare_history(3)",
    "CREATE TABLE queue.finished_20200101 PARTITION OF queue.finished FOR VALUES FROM ('2020-01-01 00:00Z') TO ('2020-01-02 00:00Z');
     SELECT queue.drop_history('finished_20200101')",
    "SELECT queue.enqueue(ARRAY['act'], ARRAY['elsewhere'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY[NULL], ARRAY[NULL], ARRAY[3::SMALLINT], ARRAY[NULL])",
    "SELECT queue.enqueue(ARRAY['act'], ARRAY['elsewhere'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY['the lane'], ARRAY['key 5'], ARRAY[3::SMALLINT], ARRAY[NULL])",
    "SELECT queue.enqueue(array_agg('act'::TEXT), array_agg('elsewhere'::TEXT), array_agg('{}'::JSONB), array_agg(0::SMALLINT), array_agg(NULL::TIMESTAMPTZ), array_agg(CASE WHEN n % 2 = 0 THEN 'the lane' END), array_agg(format('key %s', n)), array_agg(3::SMALLINT), array_agg(NULL::TEXT)) FROM generate_series(1, 400) n",
    "DELETE FROM queue.jobs WHERE lane = 'the lane' AND phase <> 'held'; SELECT queue.advance(ARRAY['no lane', 'the lane'])",
    "SELECT queue.heal_lanes()",
    "SELECT queue.claim_jobs(worker, 'elsewhere', 100, 1) FROM this",
    "INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload) SELECT 5, 'parked', 'sing', 'elsewhere', '{}' FROM generate_series(1, 20) n;
     INSERT INTO queue.unknown_kinds (kind) VALUES ('sing') ON CONFLICT DO NOTHING;
     UPDATE queue.workers SET kinds = ARRAY['act', 'sing'] WHERE name = 'this';
     SELECT queue.claim_jobs(worker, 'elsewhere', 100, 1) FROM this",
    "SELECT queue.claim_suspect(worker, 'elsewhere', 2::SMALLINT, 1) FROM this",
    "SELECT queue.tick(worker, ARRAY['elsewhere', 'replies'], 3) FROM this",
    "SELECT queue.wake('key 5')",
    "SELECT queue.move_head('the lane', 'act', now() + interval '1 hour')",
    "SELECT queue.settle(id, claim, 'failed', 5, 'no') FROM mine LIMIT 1",
    "SELECT queue.settle(id, claim, 'snoozed', 5, NULL) FROM mine LIMIT 1",
    "SELECT queue.settle(id, claim, 'aborted', 5, 'no') FROM mine LIMIT 1",
    "SELECT queue.settle(id, claim, 'cancelled', 5, 'no') FROM mine LIMIT 1",
    "SELECT queue.cancel(20, 'no')",
    "SELECT queue.cancel((SELECT min(id) FROM mine), 'no')",
    "SELECT queue.cancel(-7, 'no')",
    "SELECT queue.retry_dead(-7)",
    "SELECT queue.prune(14)",
    "SELECT queue.finish(array_agg(id), array_agg(claim), FALSE) FROM mine",
    "SELECT queue.complete_one(id, claim) FROM mine",
    "SELECT queue.finish(array_agg(id), array_agg(claim), TRUE) FROM mine",
    "SELECT queue.finish_free(array_agg(id), array_agg(claim)) FROM mine",
    "SELECT queue.finish_at(array_agg(place ORDER BY id), array_agg(id ORDER BY id), array_agg(claim ORDER BY id), array_agg(DISTINCT claim)) FROM mine",
    // These look through what is due: for a worker that was lost, or knows no more what it holds.
    "SELECT queue.held_by(ARRAY[worker]) FROM this",
    "SELECT queue.find_strays()",
    "UPDATE queue.workers SET lease_until = now() - interval '1 second'; SELECT queue.rescue(3)",
    "SELECT queue.leave(worker) FROM this",
    "SELECT queue.leave(worker, (SELECT array_agg(id) FROM mine)) FROM this",
    "SELECT queue.hand_back_unknown(worker, 'elsewhere', FALSE, ARRAY[(SELECT min(id) FROM mine)], ARRAY[1], 2) FROM this",
    "SELECT queue.unknown_claims(worker, ARRAY['elsewhere'], ARRAY[(SELECT max(id) FROM mine)], '{}', '{}') FROM this",
    "SELECT queue.hand_back_forgotten(array_agg(id), array_agg(claim)) FROM mine",
    "SELECT queue.write_on_trial()",
    "SELECT channel_identify_writer(ARRAY['whatsapp:+15000000500', 'whatsapp:US.new'], ARRAY['whatsapp:+15000000500', 'whatsapp:US.new'])",
    "SELECT channel_take_in(array_agg(n), array_agg(format('whatsapp:+1%s', 5000000000 + n)), array_agg(format('whatsapp:+1%s', 5000000000 + n)), array_agg(format('SM of call %s', n)), array_agg('words'::TEXT), array_agg('{}'::JSONB)) FROM generate_series(1, 100) n",
    "INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, written_at, accepted_at) VALUES ('SM of a call', 1, 1, 'words', '{}', now(), now());
     INSERT INTO channel_turns (conversation_id, state, agent, reply, started_at, finished_at) SELECT n, 'replied', 'echo', 'words', now(), now() FROM generate_series(1, (SELECT least(100, max(id)) FROM channel_conversations)) n",
    "UPDATE channel_turns SET state = 'replied', reply = 'words', finished_at = now() WHERE id = (SELECT max(id) FROM channel_turns)",
    "UPDATE channel_chunks SET state = 'sent' WHERE id = 22",
    "UPDATE channel_chunks SET state = 'failed', metering = 'credited' WHERE id = 22; UPDATE channel_chunks SET state = 'delivered' WHERE id = 22",
    "INSERT INTO channel_callbacks (kind, pool, max_attempts) VALUES ('post_callback', 'callbacks', 5) ON CONFLICT DO NOTHING;
     UPDATE channel_deliveries SET state = 'failed' WHERE id = (SELECT delivery_id FROM channel_chunks WHERE id = 22);
     UPDATE channel_chunks SET state = 'read' WHERE id = 23;
     INSERT INTO whatsapp_consents (hashed_by, user_id, phone, phone_hash, method, action, text, version)
     VALUES ('key', 'user-22', '+15000000022', sha256('22'), 'inbound_stop', 'revoked', 'STOP', '1')",
    "SELECT whatsapp_reserve(array_agg(format('user-%s', n)), array_agg(date_trunc('month', now())), array_agg(1), array_agg(100::BIGINT)) FROM generate_series(1, 500) n",
];

/// Calls everything once, in the way that Postgres plans for anybody and in the way that it plans for these arguments; what was read too much.
pub(super) async fn faults(conn: &mut PgConnection) -> Vec<String> {
    let (mut wrong, mut called) = (Vec::new(), BTreeSet::new());
    for mode in ["force_generic_plan", "force_custom_plan"] {
        run(conn, &format!("DISCARD PLANS; SET plan_cache_mode = {mode}")).await;
        wrong.extend(faults_of_calls(conn, "", 210, &mut called).await);
    }
    wrong.extend(never_called(conn, &called).await);
    wrong
}

/// What foreign keys ask behind a statement of the program's is Postgres's own, and beyond the settings of any function.
const FOREIGN_KEYS_FIRST: &str = "
    SET enable_seqscan = off;
    BEGIN;
    INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, written_at) VALUES ('SM of a key', 1, 1, 'words', '{}', now());
    UPDATE channel_turns SET conversation_id = conversation_id WHERE id = 1;
    UPDATE channel_turns SET conversation_id = conversation_id WHERE id = 1;
    UPDATE channel_chunks SET delivery_id = delivery_id WHERE id = 22;
    UPDATE channel_chunks SET delivery_id = delivery_id WHERE id = 22;
    ROLLBACK;
    RESET enable_seqscan";

/// What Postgres knows stays as it is, though much is written.
const KEEP_STATISTICS: &str = "
    DO $$
    DECLARE
        filled REGCLASS;
    BEGIN
        FOR filled IN SELECT c.oid FROM pg_class c WHERE c.relnamespace IN ('public'::regnamespace, 'queue'::regnamespace) AND c.relkind = 'r' LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', filled);
        END LOOP;
    END $$";

/// Takes away what a fill has brought, in a way that makes nobody plan anew.
const TAKE_AWAY: &str = "
    SET session_replication_role = replica;
    DO $$
    DECLARE
        filled REGCLASS;
    BEGIN
        FOR filled IN SELECT c.oid FROM pg_class c WHERE c.relnamespace IN ('public'::regnamespace, 'queue'::regnamespace) AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations' LOOP
            EXECUTE format('DELETE FROM %s', filled);
        END LOOP;
    END $$";

/// What is read too much with plans that were made when there was hardly anything. Another session fills: whoever does so throws its own plans away.
pub(super) async fn faults_of_early_plans(
    conn: &mut PgConnection,
    few: &str,
    other: &mut PgConnection,
    many: &str,
) -> Vec<String> {
    run(other, KEEP_STATISTICS).await;
    // A session's first temporary table makes a schema, and with that everybody plans anew.
    run(conn, "SET plan_cache_mode = force_generic_plan; CREATE TEMPORARY TABLE first_of_all ()").await;
    let mut called = BTreeSet::new();
    run(other, few).await;
    run(conn, FOREIGN_KEYS_FIRST).await;
    faults_of_calls(conn, "", 5, &mut called).await;
    run(other, TAKE_AWAY).await;
    run(other, many).await;
    faults_of_calls(conn, "", 210, &mut called).await
}

/// A look that finds nothing wrong must be able to: whether it sees that this index is missing.
pub(super) async fn misses(conn: &mut PgConnection, index: &str) -> bool {
    run(conn, "DISCARD PLANS").await;
    !faults_of_calls(conn, &format!("DROP INDEX {index}"), 210, &mut BTreeSet::new()).await.is_empty()
}

/// What the calls read too much once something else is done, and so many jobs are due. All of it is undone.
async fn faults_of_calls(
    conn: &mut PgConnection,
    first: &str,
    due: u32,
    called: &mut BTreeSet<String>,
) -> Vec<String> {
    run(conn, "SET track_functions = 'all'; BEGIN").await;
    run(conn, first).await;
    let mut wrong = Vec::new();
    for call in CALLS {
        run(conn, "SAVEPOINT call").await;
        run(conn, &BEFOREHAND.replace("210", &due.to_string())).await;
        let before = read(conn).await;
        run(conn, call).await;
        wrong.extend(
            too_much(&before, &read(conn).await, call).iter().map(|fault| format!("{fault}: {call}")),
        );
        let functions: Vec<String> = sqlx::query_scalar(
            "SELECT funcid::regprocedure::TEXT FROM pg_stat_xact_user_functions WHERE calls > 0",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        called.extend(functions);
        run(conn, "ROLLBACK TO call").await;
    }
    run(conn, "ROLLBACK").await;
    wrong
}

/// Of each relation, and whether it is a table: rows read without an index, or entries of the index.
type Counters = BTreeMap<(String, bool), i64>;

fn too_much(before: &Counters, after: &Counters, call: &str) -> Vec<String> {
    let looks_through_what_is_due =
        ["held_by", "find_strays", "rescue", "leave(worker)", "hand_back_unknown"]
            .iter()
            .any(|name| call.contains(name));
    let mut wrong = Vec::new();
    for ((relation, is_table), rows) in after {
        let rows = rows - before.get(&(relation.clone(), *is_table)).copied().unwrap_or_default();
        if *is_table && rows > MOST_WITHOUT_INDEX {
            wrong.push(format!("reads {rows} rows of {relation} without an index"));
        }
        let is_due = looks_through_what_is_due && relation.starts_with("queue.jobs_");
        if !*is_table && rows > MOST && !is_due {
            wrong.push(format!("reads {rows} entries of {relation}"));
        }
    }
    wrong
}

/// What this transaction has read of each table without an index, and of each index.
async fn read(conn: &mut PgConnection) -> Counters {
    let rows: Vec<(String, bool, i64)> = sqlx::query_as(
        "SELECT c.oid::regclass::TEXT, c.relkind = 'r', pg_stat_get_xact_tuples_returned(c.oid) FROM pg_class c
         WHERE c.relnamespace IN ('public'::regnamespace, 'queue'::regnamespace) AND c.relkind IN ('r', 'i')",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter().map(|(relation, is_table, rows)| ((relation, is_table), rows)).collect()
}

/// Functions that no call has come to: of these nothing was learned.
async fn never_called(conn: &mut PgConnection, called: &BTreeSet<String>) -> Vec<String> {
    // Those in plain SQL become part of the statement that calls them, and are not counted.
    let all: Vec<(String, String)> = sqlx::query_as(
        "SELECT p.oid::regprocedure::TEXT, CASE WHEN l.lanname = 'sql' THEN p.proname || '(' ELSE '' END FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
         WHERE p.pronamespace IN ('public'::regnamespace, 'queue'::regnamespace) AND p.prokind <> 'p'
           AND NOT (l.lanname = 'sql' AND EXISTS (SELECT FROM pg_proc o WHERE o.oid <> p.oid AND strpos(o.prosrc, p.proname || '(') > 0))",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    let is_in_a_call = |name: &str| !name.is_empty() && CALLS.iter().any(|call| call.contains(name));
    all.into_iter()
        .filter(|(function, name)| !called.contains(function) && !is_in_a_call(name))
        .map(|(function, _)| format!("{function} is called by nothing in src/store/tests/plans/functions.rs"))
        .collect()
}
