-- A claim changes no indexed column any more, so that the row stays on its page, where room is kept for it, and no index gets a second entry (a heap-only
-- tuple). Before, each claim wrote its row into the primary key, the index of running jobs and, in a lane, the index of heads once more.
--
-- The indexes know of a job's phase: its state, but for whether somebody runs it. What waits and what runs stands in the same index until it ends; a
-- claim passes what runs, which is never more than all workers have slots. The jobs of one worker have no index: they are looked for among all that
-- is due, when a worker was lost or does not know what it holds.

CREATE TYPE queue.phase AS ENUM ('held', 'scheduled', 'parked', 'due');

ALTER TABLE queue.jobs ADD COLUMN phase queue.phase NOT NULL GENERATED ALWAYS AS (
    CASE state
        WHEN 'held' THEN 'held'::queue.phase
        WHEN 'scheduled' THEN 'scheduled'::queue.phase
        WHEN 'parked' THEN 'parked'::queue.phase
        ELSE 'due'::queue.phase -- waiting or running
    END) STORED;

DROP INDEX queue.jobs_waiting, queue.jobs_suspect, queue.jobs_scheduled, queue.jobs_parked, queue.jobs_running, queue.jobs_lane_head, queue.jobs_lane_held;

-- What a claim reads, already in its order.
CREATE INDEX jobs_due ON queue.jobs (pool, priority DESC, id) WHERE phase = 'due' AND suspicion = 0;
CREATE INDEX jobs_suspect ON queue.jobs (pool, suspicion, id) WHERE phase = 'due' AND suspicion > 0;
CREATE INDEX jobs_scheduled ON queue.jobs (run_at) WHERE phase = 'scheduled';
CREATE INDEX jobs_parked ON queue.jobs (kind) WHERE phase = 'parked';
CREATE INDEX jobs_to_stop ON queue.jobs (id) WHERE cancel_asked;
-- One job of a lane at most is anything but held: the running mark of the lane, kept by the database itself.
CREATE UNIQUE INDEX jobs_lane_head ON queue.jobs (lane) WHERE lane IS NOT NULL AND phase <> 'held';
CREATE INDEX jobs_lane_held ON queue.jobs (lane, priority DESC, id) WHERE phase = 'held';

-- The functions below are as before, but for the indexes that they use; what a worker holds is looked for once, with its row locked, so that no claim of it
-- can come later.

CREATE OR REPLACE FUNCTION queue.claim(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
RETURNS SETOF queue.jobs LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    picked BIGINT[];
    paused TEXT[];
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    picked := ARRAY(
        SELECT j.id FROM queue.jobs j
        WHERE j.pool = from_pool AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion = 0
        ORDER BY j.priority DESC, j.id LIMIT slots
        FOR UPDATE SKIP LOCKED);
    IF cardinality(picked) = 0 THEN
        RETURN;
    END IF;
    paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
    IF cardinality(paused) > 0 THEN
        UPDATE queue.jobs SET state = 'parked' WHERE id = ANY (picked) AND kind = ANY (paused);
        picked := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.id = ANY (picked) AND j.state = 'waiting');
    END IF;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = fence.number, claimed_at = clock_timestamp()
        FROM (SELECT nextval('queue.claim_ids') AS number) AS fence
        WHERE j.id = ANY (picked)
        RETURNING j.*;
END $$;

CREATE OR REPLACE FUNCTION queue.claim_jobs(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
RETURNS TABLE (
    id BIGINT, claim BIGINT, kind TEXT, lane TEXT, attempt SMALLINT, max_attempts SMALLINT, crashes SMALLINT, suspicion SMALLINT,
    traceparent TEXT, payload JSONB
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    places TID[];
    paused TEXT[];
    parked BIGINT := 0;
    fence BIGINT;
    is_work CONSTANT BOOLEAN := slots > 0;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF (NOT FOUND AND is_work) OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
    -- Behind jobs that are parked others may be due, so it looks again, but not for long: others wait for what is locked here.
    LOOP
        places := ARRAY(
            SELECT j.ctid FROM queue.jobs j
            WHERE j.pool = from_pool AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion = 0
            ORDER BY j.priority DESC, j.id LIMIT slots
            FOR UPDATE SKIP LOCKED);
        EXIT WHEN cardinality(places) = 0 AND is_work;
        fence := coalesce(fence, nextval('queue.claim_ids'));
        IF cardinality(paused) > 0 THEN
            UPDATE queue.jobs j SET state = 'parked' WHERE j.ctid = ANY (places) AND j.kind = ANY (paused);
            GET DIAGNOSTICS parked = ROW_COUNT;
        END IF;
        RETURN QUERY
            UPDATE queue.jobs j
            SET state = 'running', worker_id = for_worker, claim = fence, claimed_at = clock_timestamp()
            WHERE j.ctid = ANY (places) AND j.state = 'waiting'
            RETURNING j.id, j.claim, j.kind, j.lane, j.attempt, j.max_attempts, j.crashes, j.suspicion, j.traceparent, j.payload;
        slots := parked;
        EXIT WHEN parked = 0 OR clock_timestamp() > now() + interval '100 milliseconds';
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION queue.claim_suspect(for_worker BIGINT, from_pool TEXT, worst SMALLINT, call BIGINT)
RETURNS SETOF queue.jobs LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    picked BIGINT;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    SELECT j.id INTO picked FROM queue.jobs j
    WHERE j.pool = from_pool AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion BETWEEN 1 AND worst
      AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = j.kind)
    ORDER BY j.suspicion, j.id LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = nextval('queue.claim_ids'), claimed_at = clock_timestamp(), probing = TRUE
        WHERE j.id = picked
        RETURNING j.*;
END $$;

CREATE OR REPLACE FUNCTION queue.enqueue(
    kinds TEXT[], pools TEXT[], payloads JSONB[], priorities SMALLINT[], run_ats TIMESTAMPTZ[],
    lanes TEXT[], unique_keys TEXT[], max_attempts SMALLINT[], traceparents TEXT[]
) RETURNS BIGINT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids BIGINT[];
    behind TEXT[];
    following RECORD;
    new_id BIGINT;
BEGIN
    IF cardinality(array_remove(lanes, NULL)) = 0 AND cardinality(array_remove(unique_keys, NULL)) = 0 THEN
        WITH added AS (
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, traceparent, payload)
            SELECT coalesce(u.run_at, now()), u.priority, u.attempts,
                   (CASE WHEN u.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   u.kind, u.pool, u.traceparent, u.payload
            FROM unnest(kinds, pools, payloads, priorities, run_ats, max_attempts, traceparents)
                AS u (kind, pool, payload, priority, run_at, attempts, traceparent)
            RETURNING id
        )
        SELECT array_agg(id) INTO ids FROM added;
        RETURN coalesce(ids, '{}');
    END IF;

    IF cardinality(kinds) = 1 AND lanes[1] IS NOT NULL THEN
        ids := ARRAY[NULL::BIGINT];
    ELSE
        -- The first job of each lane tries to be its head. Only the first: were a head to end meanwhile, a later one would overtake.
        -- One order for all: two batches cannot wait for each other.
        WITH given AS MATERIALIZED (
            SELECT nextval('queue.job_ids') AS id, sorted.*
            FROM (SELECT u.*, row_number() OVER (PARTITION BY u.lane COLLATE "C" ORDER BY u.place) AS in_lane
                  FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents)
                      WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, place)
                  ORDER BY u.lane COLLATE "C", u.place) AS sorted
            WHERE sorted.lane IS NULL OR sorted.in_lane = 1
        ), added AS (
            INSERT INTO queue.jobs (id, run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, coalesce(g.run_at, now()), g.priority, g.attempts,
                   (CASE WHEN g.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM given g ORDER BY g.id
            ON CONFLICT DO NOTHING
            RETURNING queue.jobs.id
        )
        SELECT array_agg(added.id ORDER BY p.place) INTO ids
        FROM generate_series(1, cardinality(kinds)) AS p (place)
            LEFT JOIN given ON given.place = p.place LEFT JOIN added ON added.id = given.id;
        IF array_position(ids, NULL) IS NULL THEN
            RETURN ids;
        END IF;

        -- What is left stands behind the head of its lane, or is a duplicate. A head is locked until the caller commits.
        SELECT array_agg(lane) INTO behind FROM (
            SELECT l.lane
            FROM (SELECT DISTINCT ON (u.lane COLLATE "C") u.lane FROM unnest(lanes, ids) AS u (lane, id)
                  WHERE u.id IS NULL AND u.lane IS NOT NULL ORDER BY u.lane COLLATE "C" OFFSET 0) AS l
                CROSS JOIN LATERAL (SELECT FROM queue.jobs j WHERE j.lane = l.lane AND j.phase <> 'held' LIMIT 1 FOR NO KEY UPDATE) AS head
        ) AS locked;
        WITH given AS MATERIALIZED (
            SELECT nextval('queue.job_ids') AS id, sorted.*
            FROM (SELECT u.* FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents, ids)
                      WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, added_id, place)
                  WHERE u.added_id IS NULL AND u.lane IN (SELECT unnest(behind))
                  ORDER BY u.lane COLLATE "C", u.place) AS sorted
        ), added AS (
            INSERT INTO queue.jobs (id, run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, coalesce(g.run_at, now()), g.priority, g.attempts, 'held', g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM given g ORDER BY g.id
            ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
            RETURNING queue.jobs.id
        )
        SELECT array_agg(coalesce(p.id, added.id) ORDER BY p.place) INTO ids
        FROM unnest(ids) WITH ORDINALITY AS p (id, place)
            LEFT JOIN given ON given.place = p.place LEFT JOIN added ON added.id = given.id;
    END IF;

    -- One alone, or those whose heads ended between the two looks: one after the other stands behind a head, or tries for its place.
    FOR following IN
        SELECT * FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents, ids)
            WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, added_id, place)
        WHERE u.added_id IS NULL AND u.lane IS NOT NULL AND u.lane NOT IN (SELECT unnest(behind))
        ORDER BY u.lane COLLATE "C", u.place
    LOOP
        LOOP
            PERFORM FROM queue.jobs j WHERE j.lane = following.lane AND j.phase <> 'held' FOR NO KEY UPDATE;
            IF FOUND THEN
                INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
                VALUES (coalesce(following.run_at, now()), following.priority, following.attempts, 'held', following.kind,
                        following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
                ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
                RETURNING id INTO new_id;
                EXIT;
            END IF;
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            VALUES (coalesce(following.run_at, now()), following.priority, following.attempts,
                    (CASE WHEN following.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state, following.kind,
                    following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
            ON CONFLICT DO NOTHING
            RETURNING id INTO new_id;
            EXIT WHEN new_id IS NOT NULL;
            EXIT WHEN EXISTS (SELECT FROM queue.jobs j WHERE j.unique_key = following.unique_key);
        END LOOP;
        ids[following.place] := new_id;
    END LOOP;
    RETURN ids;
END $$;

CREATE OR REPLACE FUNCTION queue.advance(lanes TEXT[]) RETURNS TEXT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    next_ids BIGINT[];
    pools TEXT[];
BEGIN
    -- Most lanes have nobody behind their head: one look at the index tells of all of them.
    IF NOT EXISTS (SELECT FROM queue.jobs h WHERE h.lane = ANY (lanes) AND h.phase = 'held') THEN
        RETURN '{}';
    END IF;
    -- The lock waits for a cancellation under way and passes to the one behind what is gone. Nobody joins the lane meanwhile: the old head's lock
    -- is the caller's.
    next_ids := ARRAY(
        SELECT n.id
        FROM (SELECT DISTINCT unnest(lanes) AS lane) AS l
            CROSS JOIN LATERAL (
                SELECT h.id FROM queue.jobs h WHERE h.lane = l.lane AND h.phase = 'held'
                ORDER BY h.priority DESC, h.id LIMIT 1 FOR UPDATE) AS n);
    WITH moved AS (
        UPDATE queue.jobs j
        SET state = (CASE WHEN j.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state
        WHERE j.id = ANY (next_ids)
        RETURNING j.pool
    )
    SELECT array_agg(DISTINCT moved.pool) INTO pools FROM moved;
    RETURN coalesce(pools, '{}');
END $$;

CREATE OR REPLACE FUNCTION queue.tick(
    for_worker BIGINT, pools TEXT[], crash_limit INTEGER,
    OUT ready TEXT[], OUT suspects TEXT[], OUT cancels BIGINT[], OUT rescued INTEGER, OUT others BOOLEAN,
    OUT next_ms DOUBLE PRECISION
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    parked TEXT;
BEGIN
    UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'scheduled' AND j.run_at <= now() ORDER BY j.run_at LIMIT 2000
        FOR UPDATE SKIP LOCKED));
    parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.phase = 'parked');
    WHILE parked IS NOT NULL LOOP
        IF NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = parked) THEN
            UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
                SELECT j.id FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = parked LIMIT 2000 FOR UPDATE SKIP LOCKED));
        END IF;
        parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind > parked);
    END LOOP;
    rescued := queue.rescue(crash_limit);
    ready := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion = 0 LIMIT 1));
    suspects := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion > 0 LIMIT 1));
    cancels := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.cancel_asked AND j.worker_id = for_worker AND j.state = 'running');
    others := EXISTS (SELECT FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now());
    next_ms := extract(epoch FROM least(
        (SELECT min(j.run_at) FROM queue.jobs j WHERE j.phase = 'scheduled'),
        (SELECT min(w.lease_until) FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now())) - clock_timestamp()) * 1000;
END $$;

-- What these workers hold.
CREATE FUNCTION queue.held_by(workers BIGINT[]) RETURNS BIGINT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 AND j.state = 'running' AND j.worker_id = ANY (workers)
        UNION ALL
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion > 0 AND j.state = 'running' AND j.worker_id = ANY (workers));
END $$;

CREATE OR REPLACE FUNCTION queue.rescue(crash_limit INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    lost BIGINT[];
    held BIGINT[];
    job RECORD;
    taken INTEGER := 0;
BEGIN
    lost := ARRAY(SELECT w.id FROM queue.workers w WHERE w.lease_until < now() FOR UPDATE SKIP LOCKED);
    IF cardinality(lost) = 0 THEN
        RETURN 0;
    END IF;
    -- Nobody claims for these workers any more.
    held := queue.held_by(lost);
    FOR job IN
        WITH suspects AS MATERIALIZED (
            SELECT j.worker_id, count(*) FILTER (WHERE j.probing) AS number
            FROM queue.jobs j WHERE j.id = ANY (held) AND j.worker_id = ANY (lost) AND j.state = 'running' GROUP BY j.worker_id
        ), free AS MATERIALIZED (
            SELECT j.id, j.worker_id AS lost_worker, j.claimed_at AS began, (j.probing AND s.number = 1) AS blamed
            FROM queue.jobs j JOIN suspects s ON s.worker_id = j.worker_id
            WHERE j.id = ANY (held) AND j.worker_id = ANY (lost) AND j.state = 'running'
            FOR UPDATE OF j SKIP LOCKED
        )
        UPDATE queue.jobs j
        SET state = 'waiting', worker_id = NULL, claim = NULL, claimed_at = NULL, probing = FALSE, woken = FALSE,
            suspicion = CASE WHEN j.probing THEN 2 ELSE greatest(j.suspicion, 1) END,
            crashes = j.crashes + free.blamed::INTEGER
        FROM free WHERE j.id = free.id
        RETURNING j.id, j.attempt, j.crashes, free.blamed, free.lost_worker, free.began
    LOOP
        taken := taken + 1;
        INSERT INTO queue.attempts (job_id, attempt, outcome, worker_id, started_at, error)
        VALUES (job.id, job.attempt + 1, 'crashed', job.lost_worker, job.began,
                CASE WHEN job.blamed THEN 'the process died while this job alone was under suspicion' ELSE 'the worker was lost' END);
        IF job.blamed AND job.crashes >= crash_limit THEN
            PERFORM queue.bury(job.id, format('its process died %s times while it ran', job.crashes));
        END IF;
    END LOOP;
    DELETE FROM queue.workers w
    WHERE w.id = ANY (lost) AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.id = ANY (held) AND j.worker_id = w.id AND j.state = 'running');
    RETURN taken;
END $$;

CREATE OR REPLACE FUNCTION queue.hand_back_unknown(for_worker BIGINT, from_pool TEXT, suspects BOOLEAN, known BIGINT[], call BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    held BIGINT[];
    returned INTEGER := 0;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker FOR UPDATE;
    UPDATE queue.workers w SET calls_from = call + 1 WHERE w.id = for_worker AND w.calls_from <= call;
    held := queue.held_by(ARRAY[for_worker]);
    FOR job IN
        SELECT * FROM queue.jobs j
        WHERE j.id = ANY (held) AND j.worker_id = for_worker AND j.state = 'running'
          AND j.pool = from_pool AND j.probing = suspects AND j.id <> ALL (known)
    LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the answer to its claim was lost') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    RETURN returned;
END $$;

-- A job is known by its claim too: the process may still have an earlier claim of it, whose verdict it stores.
CREATE FUNCTION queue.hand_back_unknown(
    for_worker BIGINT, from_pool TEXT, suspects BOOLEAN, known BIGINT[], fences BIGINT[], call BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    held BIGINT[];
    returned INTEGER := 0;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker FOR UPDATE;
    UPDATE queue.workers w SET calls_from = call + 1 WHERE w.id = for_worker AND w.calls_from <= call;
    held := queue.held_by(ARRAY[for_worker]);
    FOR job IN
        SELECT * FROM queue.jobs j
        WHERE j.id = ANY (held) AND j.worker_id = for_worker AND j.state = 'running' AND j.pool = from_pool AND j.probing = suspects
          AND NOT EXISTS (SELECT FROM unnest(known, fences) AS k (id, claim) WHERE k.id = j.id AND k.claim = j.claim)
    LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the answer to its claim was lost') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    RETURN returned;
END $$;

-- A worker that knows what it holds says so, and nothing needs to be looked for.
DROP FUNCTION queue.leave(BIGINT);
CREATE FUNCTION queue.leave(leaving BIGINT, known BIGINT[] DEFAULT NULL) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    returned INTEGER := 0;
BEGIN
    -- Waits for claims that are under way, or their jobs would stay with a worker that nobody knows any more.
    PERFORM FROM queue.workers w WHERE w.id = leaving FOR UPDATE;
    known := coalesce(known, queue.held_by(ARRAY[leaving]));
    FOR job IN SELECT * FROM queue.jobs j WHERE j.id = ANY (known) AND j.worker_id = leaving AND j.state = 'running' LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the worker stopped') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    DELETE FROM queue.workers WHERE id = leaving;
    RETURN returned;
END $$;

-- A job whose worker has no row would run for ever: a rescue begins with the rows. They come back with a lease that is over. For a look once in a while;
-- returns how many workers that were.
CREATE FUNCTION queue.find_strays() RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    found INTEGER;
BEGIN
    INSERT INTO queue.workers (id, name, lease_until) OVERRIDING SYSTEM VALUE
    SELECT DISTINCT stray.worker_id, 'forgotten', now() - interval '1 second'
    FROM (SELECT j.worker_id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 AND j.state = 'running'
          UNION ALL
          SELECT j.worker_id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion > 0 AND j.state = 'running') AS stray
    WHERE stray.worker_id IS NOT NULL AND NOT EXISTS (SELECT FROM queue.workers w WHERE w.id = stray.worker_id)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END $$;
