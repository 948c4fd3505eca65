-- Everything that is a function in the database, each once. A start applies this file whole, under the migrations' lock, when it is another one than the
-- database has (`store/migrations.rs`). It is no migration: a change is made here, in place.
--
-- During a rolling deploy the build before runs on with these functions, so a function keeps its arguments and result; one that needs others gets
-- another name, and the old one goes with the next release, by a DROP below.
--
-- What must be atomic is a function: it takes one round trip, each of its statements sees what was committed before it, and its planner settings hold on
-- any connection, also behind a pooler. PL/pgSQL keeps plans; a function in SQL is planned at each call. A plan that was made while a table was nearly empty
-- must be right for the full one, which `enable_seqscan = off` sees to.
--
-- A change raises REVISION in `store/migrations.rs`.

-- -------- The queue: putting jobs in --------

-- Puts jobs into the queue; returns their ids in the order given, NULL for a duplicate of a live unique_key.
--
-- A lane's first job becomes its head; the unique index makes a second transaction wait for the first. Where there is a head, its row is locked until the
-- caller commits, so that the lane's ids follow the order of commits and the head cannot end without seeing who waits behind it. Lanes are taken in one
-- order, so that two batches cannot wait for each other.
--
-- It is planned once for any number of jobs, from one to a hundred thousand: arrays are joined by hash and never searched once for each job.
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

-- Makes the live job with this key due now. While it runs, its next snooze is cut short instead. Returns its pool, NULL if there is none.
CREATE OR REPLACE FUNCTION queue.wake(key TEXT) RETURNS TEXT LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    woken_pool TEXT;
BEGIN
    UPDATE queue.jobs
    SET run_at = least(run_at, now()),
        woken = (state = 'running'),
        state = (CASE WHEN state = 'scheduled' THEN 'waiting' ELSE state::TEXT END)::queue.state
    WHERE unique_key = key
    RETURNING pool INTO woken_pool;
    RETURN woken_pool;
END $$;

-- Gives a lane's head another time, if it is of this kind, scheduled, and has not failed: a backoff is its own. Returns its pool, NULL if there is none.
CREATE OR REPLACE FUNCTION queue.move_head(of_lane TEXT, of_kind TEXT, moment TIMESTAMPTZ) RETURNS TEXT LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moved_pool TEXT;
BEGIN
    UPDATE queue.jobs j
    SET run_at = moment,
        state = (CASE WHEN moment > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state
    WHERE j.lane = of_lane AND j.phase <> 'held' AND j.state = 'scheduled' AND j.kind = of_kind AND j.attempt = 0 AND j.run_at <> moment
    RETURNING j.pool INTO moved_pool;
    RETURN moved_pool;
END $$;

-- -------- The queue: claiming --------

-- A claim's number. Sequences may go back where a server forgets commits, so that a job and a claim get the numbers of others before them; the random part
-- keeps a process of before from ending what is not its own.
CREATE OR REPLACE FUNCTION queue.new_fence() RETURNS BIGINT LANGUAGE sql AS $$
    SELECT nextval('queue.claim_ids') << 16 | floor(random() * 65536)::BIGINT
$$;

-- Jobs of kinds that others do not know and this worker does, as queue.claim_jobs returns them. A kind is looked for in the pool of one of its jobs.
CREATE OR REPLACE FUNCTION queue.claim_parked(for_worker BIGINT, from_pool TEXT, slots INTEGER, fence BIGINT, known TEXT[], paused TEXT[])
RETURNS TABLE (
    id BIGINT, claim BIGINT, kind TEXT, lane TEXT, attempt SMALLINT, max_attempts SMALLINT, suspicion SMALLINT,
    traceparent TEXT, payload JSONB, place TID
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    mine TEXT[];
BEGIN
    mine := ARRAY(
        SELECT u.kind FROM queue.unknown_kinds u
        WHERE u.kind = ANY (known) AND u.kind <> ALL (paused)
          AND (SELECT j.pool FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = u.kind LIMIT 1) = from_pool);
    IF cardinality(mine) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = fence, claimed_at = clock_timestamp()
        WHERE j.ctid = ANY (ARRAY(
            SELECT p.ctid FROM queue.jobs p
            WHERE p.phase = 'parked' AND p.kind = ANY (mine) AND p.pool = from_pool AND p.suspicion = 0
            LIMIT slots
            FOR UPDATE SKIP LOCKED)) AND j.state = 'parked'
        RETURNING j.id, j.claim, j.kind, j.lane, j.attempt, j.max_attempts, j.suspicion, j.traceparent, j.payload, j.ctid;
END $$;

-- Claims up to `slots` due jobs of a pool for a worker, highest priority and lowest id first, all under one fence. `call` is the worker's own number of this
-- claim: one below its `calls_from` comes too late, since nobody waits for its answer. The worker's row is share-locked meanwhile: whoever takes a lost
-- worker's jobs back waits for this claim and sees it. `place` is where the claim leaves each row.
--
-- What the worker cannot run, since its kind is paused or not known, is parked a stretch at a time, so that a backlog of it delays one claim by seconds and
-- every later one by nothing. Where there are jobs of kinds that a live process does not know, this worker takes those that it knows from where they are
-- parked. A claim of no slots takes no job: it has a connection plan the statements before there is work.
--
-- Rows that a statement has locked are found again by their place (ctid): nobody else can move them until the commit. The plans are generic, since they
-- cannot depend on how many jobs a batch has, and planning for arrays of hundreds of values takes longer than a look at each.
CREATE OR REPLACE FUNCTION queue.claim_jobs(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
RETURNS TABLE (
    id BIGINT, claim BIGINT, kind TEXT, lane TEXT, attempt SMALLINT, max_attempts SMALLINT, suspicion SMALLINT,
    traceparent TEXT, payload JSONB, place TID
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    places TID[];
    known TEXT[];
    paused TEXT[];
    taken BIGINT;
    total BIGINT := 0;
    fence BIGINT;
    is_work CONSTANT BOOLEAN := slots > 0;
    is_mixed BOOLEAN := FALSE;
BEGIN
    SELECT w.kinds INTO known FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF (NOT FOUND AND is_work) OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    IF is_work AND EXISTS (SELECT FROM queue.unknown_kinds u WHERE u.kind > '') THEN
        is_mixed := TRUE;
        paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
        fence := queue.new_fence();
        -- Half of the slots, or of the claims where there is one: neither a backlog that is parked nor one that is due holds up the other.
        RETURN QUERY SELECT * FROM queue.claim_parked(for_worker, from_pool, floor(slots / 2.0 + random())::INTEGER, fence, known, paused);
        GET DIAGNOSTICS taken = ROW_COUNT;
        total := taken;
        slots := slots - taken;
        IF slots = 0 THEN
            RETURN;
        END IF;
    END IF;
    LOOP
        places := ARRAY(
            SELECT j.ctid FROM queue.jobs j
            WHERE j.pool = from_pool AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion = 0
            ORDER BY j.priority DESC, j.id LIMIT slots
            FOR UPDATE SKIP LOCKED);
        EXIT WHEN cardinality(places) = 0 AND is_work;
        -- Read after the jobs were chosen: a job that was enqueued after the pause of its pool or kind does not start.
        IF EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
            RETURN;
        END IF;
        paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
        fence := coalesce(fence, queue.new_fence());
        RETURN QUERY
            UPDATE queue.jobs j
            SET state = 'running', worker_id = for_worker, claim = fence, claimed_at = clock_timestamp()
            WHERE j.ctid = ANY (places) AND j.state = 'waiting' AND j.kind <> ALL (paused) AND (known IS NULL OR j.kind = ANY (known))
            RETURNING j.id, j.claim, j.kind, j.lane, j.attempt, j.max_attempts, j.suspicion, j.traceparent, j.payload, j.ctid;
        GET DIAGNOSTICS taken = ROW_COUNT;
        total := total + taken;
        slots := cardinality(places) - taken;
        EXIT WHEN slots = 0;
        -- Where nothing could be taken there may be a backlog: what lies ahead is parked as well. Only what is parked is locked.
        IF taken = 0 THEN
            places := places || ARRAY(
                SELECT j.ctid FROM queue.jobs j
                WHERE j.state = 'waiting' AND j.ctid = ANY (ARRAY(
                    SELECT a.ctid
                    FROM (SELECT d.ctid, d.kind FROM queue.jobs d
                          WHERE d.pool = from_pool AND d.phase = 'due' AND d.state = 'waiting' AND d.suspicion = 0
                          ORDER BY d.priority DESC, d.id LIMIT 2000) AS a
                    WHERE a.kind = ANY (paused) OR a.kind <> ALL (known)))
                FOR UPDATE SKIP LOCKED);
        END IF;
        WITH parked AS (
            UPDATE queue.jobs j SET state = 'parked' WHERE j.ctid = ANY (places) AND j.state = 'waiting' RETURNING j.kind
        )
        INSERT INTO queue.unknown_kinds (kind) SELECT DISTINCT p.kind FROM parked p WHERE p.kind <> ALL (known) ON CONFLICT DO NOTHING;
        -- Others may be due behind it, so it looks again; not for long once it has something that others wait for.
        EXIT WHEN clock_timestamp() > now() + CASE WHEN total = 0 THEN interval '3 seconds' ELSE interval '100 milliseconds' END;
    END LOOP;
    IF is_mixed AND slots > 0 THEN
        RETURN QUERY SELECT * FROM queue.claim_parked(for_worker, from_pool, slots, fence, known, paused);
    END IF;
END $$;

-- Claims one suspect: a job whose process died. `probing` is committed before its handler starts, so that a second death is held against it and not against
-- its neighbours. `worst` is the highest suspicion that may start now: 1 while another suspect runs in this process, else 2. One of a kind that the worker
-- does not know is parked, and one that is parked as unknown is taken where it is.
CREATE OR REPLACE FUNCTION queue.claim_suspect(for_worker BIGINT, from_pool TEXT, worst SMALLINT, call BIGINT)
RETURNS SETOF queue.jobs LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    known TEXT[];
    picked queue.jobs;
BEGIN
    SELECT w.kinds INTO known FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    LOOP
        SELECT * INTO picked FROM queue.jobs j
        WHERE j.pool = from_pool AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion BETWEEN 1 AND worst
          AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = j.kind)
        ORDER BY j.suspicion, j.id LIMIT 1
        FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            SELECT j.* INTO picked FROM queue.unknown_kinds u JOIN queue.jobs j ON j.kind = u.kind
            WHERE u.kind = ANY (known) AND j.phase = 'parked' AND j.suspicion BETWEEN 1 AND worst AND j.pool = from_pool
              AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = u.kind)
            LIMIT 1
            FOR UPDATE OF j SKIP LOCKED;
            IF NOT FOUND THEN
                RETURN;
            END IF;
        END IF;
        EXIT WHEN known IS NULL OR picked.kind = ANY (known);
        UPDATE queue.jobs j SET state = 'parked' WHERE j.id = picked.id;
        INSERT INTO queue.unknown_kinds (kind) VALUES (picked.kind) ON CONFLICT DO NOTHING;
        IF clock_timestamp() > now() + interval '1 second' THEN
            RETURN;
        END IF;
    END LOOP;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = queue.new_fence(), claimed_at = clock_timestamp(), probing = TRUE
        WHERE j.id = picked.id
        RETURNING j.*;
END $$;

-- The one statement a process polls with, for all its pools: makes due jobs claimable, unparks what is not paused any more and what every live worker
-- knows, takes back the jobs of lost workers, and says which pools have work, which have suspects, which running jobs of this worker shall stop, whether
-- other workers live, and in how many milliseconds the next job or lease falls due (NULL: none is known). It looks at each parked kind once, however many
-- jobs of it there are. What is parked since a live worker does not know it stays so: its pool is ready where this worker knows it.
CREATE OR REPLACE FUNCTION queue.tick(
    for_worker BIGINT, pools TEXT[], crash_limit INTEGER,
    OUT ready TEXT[], OUT suspects TEXT[], OUT cancels BIGINT[], OUT rescued INTEGER, OUT others BOOLEAN,
    OUT next_ms DOUBLE PRECISION
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    parked TEXT;
    known TEXT[];
    takes_all BOOLEAN;
    is_unknown BOOLEAN;
    mixed TEXT[] := '{}';
    mixed_suspects TEXT[] := '{}';
BEGIN
    UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'scheduled' AND j.run_at <= now() ORDER BY j.run_at LIMIT 2000
        FOR UPDATE SKIP LOCKED));
    SELECT w.kinds INTO known FROM queue.workers w WHERE w.id = for_worker;
    takes_all := FOUND AND known IS NULL;
    parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.phase = 'parked');
    WHILE parked IS NOT NULL LOOP
        is_unknown := EXISTS (SELECT FROM queue.unknown_kinds u WHERE u.kind = parked);
        IF (parked = ANY (known) OR (takes_all AND NOT is_unknown)) AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = parked) THEN
            IF is_unknown AND EXISTS (SELECT FROM queue.workers w WHERE w.lease_until > now() AND parked <> ALL (w.kinds)) THEN
                mixed := mixed || (SELECT j.pool FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = parked LIMIT 1);
                mixed_suspects := mixed_suspects
                    || ARRAY(SELECT j.pool FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = parked AND j.suspicion > 0 LIMIT 1);
            ELSE
                DELETE FROM queue.unknown_kinds u WHERE u.kind = parked;
                UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
                    SELECT j.id FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = parked LIMIT 2000 FOR UPDATE SKIP LOCKED));
            END IF;
        END IF;
        parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind > parked);
    END LOOP;
    rescued := queue.rescue(crash_limit);
    ready := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE p.name = ANY (mixed)
           OR (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion = 0 LIMIT 1));
    suspects := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE p.name = ANY (mixed_suspects)
           OR (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.phase = 'due' AND j.state = 'waiting' AND j.suspicion > 0 LIMIT 1));
    cancels := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.cancel_asked AND j.worker_id = for_worker AND j.state = 'running');
    others := EXISTS (SELECT FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now());
    next_ms := extract(epoch FROM least(
        (SELECT min(j.run_at) FROM queue.jobs j WHERE j.phase = 'scheduled'),
        (SELECT min(w.lease_until) FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now())) - clock_timestamp()) * 1000;
    -- Last of all, since whoever parks a job locks it before it writes the kind here.
    DELETE FROM queue.unknown_kinds u WHERE u.kind = ANY (ARRAY(
        SELECT k.kind FROM queue.unknown_kinds k
        WHERE k.kind = ANY (known) AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = k.kind)
        FOR UPDATE SKIP LOCKED));
END $$;

-- -------- The queue: ending --------

-- Makes the next job of each lane its head. Called in the transaction that took the old head away. Returns the pools that got work.
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

-- The jobs are found from the claims. Joined to them, they could be the side that is begun with: all jobs, where hardly any were known of.
CREATE OR REPLACE FUNCTION queue.finish(
    job_ids BIGINT[], claims BIGINT[], patient BOOLEAN, OUT ended BIGINT[], OUT woken_pools TEXT[], OUT locked BIGINT[])
LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lanes TEXT[];
    places TID[];
BEGIN
    IF patient THEN
        WITH gone AS (
            DELETE FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)]
            RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
        ), kept AS (
            INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM gone g
        )
        SELECT array_agg(gone.id), array_agg(gone.lane) FILTER (WHERE gone.lane IS NOT NULL) INTO ended, lanes FROM gone;
    ELSE
        places := ARRAY(
            SELECT mine.place
            FROM unnest(job_ids, claims) AS given (id, claim)
                CROSS JOIN LATERAL (SELECT j.ctid AS place FROM queue.jobs j WHERE j.id = given.id AND j.claim = given.claim FOR UPDATE SKIP LOCKED) AS mine);
        WITH gone AS (
            DELETE FROM queue.jobs j WHERE j.ctid = ANY (places)
            RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
        ), kept AS (
            INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM gone g
        )
        SELECT array_agg(gone.id), array_agg(gone.lane) FILTER (WHERE gone.lane IS NOT NULL) INTO ended, lanes FROM gone;
        IF cardinality(places) < cardinality(job_ids) THEN
            -- Those that this statement has ended are not there any more.
            locked := ARRAY(
                SELECT j.id FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)]);
        END IF;
    END IF;
    ended := coalesce(ended, '{}');
    locked := coalesce(locked, '{}');
    woken_pools := CASE WHEN lanes IS NULL THEN '{}'::TEXT[] ELSE queue.advance(lanes) END;
END $$;

-- Ends one job inside the transaction of its handler, as queue.finish does with many; returns the pools that have work by it. Without the claim it fails, and
-- the COMMIT that is sent along with it is not executed. It runs for each job by itself, so it has as few settings and statements as a look by number needs: a
-- plan of another sort than the index scan is not possible.
CREATE OR REPLACE FUNCTION queue.complete_one(job_id BIGINT, fence BIGINT) RETURNS TEXT[] LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    its_lane TEXT;
BEGIN
    WITH gone AS (
        DELETE FROM queue.jobs j WHERE j.id = job_id AND j.claim = fence
        RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
    )
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
    SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
    FROM gone g RETURNING lane INTO its_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % is not claimed under %', job_id, fence USING ERRCODE = 'QLOST';
    END IF;
    IF its_lane IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN queue.advance(ARRAY[its_lane]);
END $$;

-- Ends jobs that stand in no lane and succeeded. One that is not there or belongs to another claim is left out: it has been completed by its own
-- transaction, or by a try whose answer was lost, or is another worker's. So nobody needs to be told which ended, and no pool gets work by it.
CREATE OR REPLACE FUNCTION queue.finish_free(job_ids BIGINT[], claims BIGINT[]) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH gone AS (
        DELETE FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)] AND j.lane IS NULL
        RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.unique_key, j.traceparent, j.payload
    )
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, unique_key, traceparent, payload)
    SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.unique_key, g.traceparent, g.payload
    FROM gone g;
END $$;

-- Ends jobs like finish_free, at the places where the claim left them. `job_ids` is in ascending order, `claims` are theirs, and `of_claims` each of these once.
-- A row whose place is another one by now, since somebody has written it, is found by its number. A place that holds another job of one of these claims by
-- now makes this fail, and nothing has happened then.
CREATE OR REPLACE FUNCTION queue.finish_at(places TID[], job_ids BIGINT[], claims BIGINT[], of_claims BIGINT[]) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ended BIGINT[];
BEGIN
    WITH gone AS (
        DELETE FROM queue.jobs j WHERE j.ctid = ANY (places) AND j.claim = ANY (of_claims) AND j.lane IS NULL
        RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.unique_key, j.traceparent, j.payload
    ), kept AS (
        INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, unique_key, traceparent, payload)
        SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.unique_key, g.traceparent, g.payload
        FROM gone g
    )
    SELECT array_agg(gone.id ORDER BY gone.id) INTO ended FROM gone;
    IF ended = job_ids THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT unnest(ended) EXCEPT SELECT unnest(job_ids)) THEN
        RAISE EXCEPTION 'another job lies where one of these was' USING ERRCODE = 'serialization_failure';
    END IF;
    SELECT array_agg(left_over.id), array_agg(left_over.claim) INTO job_ids, claims
    FROM unnest(job_ids, claims) AS left_over (id, claim) WHERE left_over.id NOT IN (SELECT unnest(ended));
    PERFORM queue.finish_free(job_ids, claims);
END $$;

-- Enqueues the follow-up of a job that died or was cancelled, if its kind has one.
CREATE OR REPLACE FUNCTION queue.follow_up(ended queue.jobs, ended_as TEXT, reason TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, traceparent, payload)
    SELECT k.on_end_attempts, 'waiting', k.on_end_kind, k.on_end_pool, ended.traceparent,
           jsonb_build_object('jobId', ended.id, 'kind', ended.kind, 'state', ended_as, 'reason', reason, 'payload', ended.payload)
    FROM queue.kinds k WHERE k.kind = ended.kind AND k.on_end_kind IS NOT NULL;
END $$;

-- An error without what differs from one job to the next, so that errors of one cause read alike: addresses on the web, ids, quoted words, numbers and
-- moments give way to a sign each. Of a long error the beginning tells.
CREATE OR REPLACE FUNCTION queue.error_shape(error TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(btrim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        left(error, 1000),
        '[a-z][a-z0-9+.-]*://[^\s"''`<>,;)\]}]+', '<url>', 'gi'),
        '"[^"\n]*"|`[^`\n]*`|''[^''\n]*''(?![[:alnum:]])', '<text>', 'g'),
        '\m[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\M', '<id>', 'gi'),
        -- Twilio's ids, hashes and tokens: a run of ten with a digit in it.
        '\m(?=[[:alpha:]_]*[0-9])(?=[[:alnum:]_]{10})[[:alnum:]_]*[[:alpha:]][[:alnum:]_]*\M', '<id>', 'g'),
        -- Not the codes of Twilio and HTTP: failures that differ in these have different causes.
        '(?<![0-9])(?<!\mcode |\mHTTP )[0-9]+(?:[.,:/-]?[0-9]+)*', '#', 'g'),
        '\s+', ' ', 'g')), 200)
$$;

-- Names the group of a dead job: twelve hexadecimal digits from its kind and the shape of its error.
CREATE OR REPLACE FUNCTION queue.failure_group(kind TEXT, error TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(md5(kind || E'\n' || queue.error_shape(error)), 12)
$$;

CREATE OR REPLACE FUNCTION queue.group_failure() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.failure_group := queue.failure_group(NEW.kind, NEW.reason);
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER group_failure BEFORE INSERT OR UPDATE OF kind, reason ON queue.dead
    FOR EACH ROW EXECUTE FUNCTION queue.group_failure();

-- Moves a job that gave up to the dead ones, with its follow-up, and lets its lane go on. The caller holds the row's lock.
CREATE OR REPLACE FUNCTION queue.bury(job_id BIGINT, reason TEXT) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    job queue.jobs;
BEGIN
    DELETE FROM queue.jobs j WHERE j.id = job_id RETURNING j.* INTO job;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (job.id, job.created_at, job.attempt, job.max_attempts, job.crashes, job.priority, job.kind, job.pool, job.lane, job.unique_key,
            job.traceparent, reason, job.payload);
    PERFORM queue.follow_up(job, 'dead', reason);
    IF job.lane IS NOT NULL THEN
        PERFORM queue.advance(ARRAY[job.lane]);
    END IF;
END $$;

-- Ends a live job as cancelled: its row goes to the history, its follow-up is enqueued, its lane goes on. The caller holds the row's lock.
CREATE OR REPLACE FUNCTION queue.end_cancelled(job_id BIGINT, why TEXT) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    job queue.jobs;
BEGIN
    DELETE FROM queue.jobs j WHERE j.id = job_id RETURNING j.* INTO job;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (job.id, job.created_at, job.claimed_at, job.worker_id, job.claim, job.attempt, job.crashes, TRUE, job.kind, job.pool, job.lane,
            job.unique_key, job.traceparent, why, job.payload);
    PERFORM queue.follow_up(job, 'cancelled', why);
    IF job.lane IS NOT NULL AND job.state <> 'held' THEN
        PERFORM queue.advance(ARRAY[job.lane]);
    END IF;
END $$;

-- Ends a claim that did not simply succeed, fenced by its number. The verdict is one of
--   failed      counts an attempt; waits `delay_secs`, or dies when the attempts are used up
--   aborted     counts an attempt and dies
--   snoozed     counts nothing; waits `delay_secs`, or no time if a wake came meanwhile
--   handed_back counts nothing; due at once
--   cancelled   ends without an attempt
-- Returns what became of the job (scheduled, waiting, dead, cancelled), or NULL when the claim no longer holds.
CREATE OR REPLACE FUNCTION queue.settle(job_id BIGINT, fence BIGINT, verdict TEXT, delay_secs DOUBLE PRECISION, error TEXT) RETURNS TEXT
LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    job queue.jobs;
    counted INTEGER := CASE WHEN verdict IN ('failed', 'aborted') THEN 1 ELSE 0 END;
    due TIMESTAMPTZ;
    dies BOOLEAN;
BEGIN
    SELECT * INTO job FROM queue.jobs j WHERE j.id = job_id AND j.claim = fence FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- However an attempt ends that a person has cancelled, no other one follows, also where its process had not heard of it yet.
    IF job.cancel_asked AND verdict <> 'cancelled' THEN
        verdict := 'cancelled';
        error := 'cancelled while it ran' || coalesce(': ' || error, '');
    END IF;
    dies := verdict = 'aborted' OR (verdict = 'failed' AND job.attempt + 1 >= job.max_attempts);
    INSERT INTO queue.attempts (job_id, attempt, outcome, worker_id, started_at, ended_at, error)
    VALUES (job.id, job.attempt + 1, CASE WHEN dies THEN 'dead' WHEN verdict = 'failed' THEN 'failed' ELSE verdict END,
            job.worker_id, job.claimed_at, clock_timestamp(), error);
    IF verdict = 'cancelled' THEN
        PERFORM queue.end_cancelled(job.id, error);
        RETURN 'cancelled';
    END IF;
    due := clock_timestamp() + make_interval(secs => CASE
        WHEN verdict = 'handed_back' OR (verdict = 'snoozed' AND job.woken) THEN 0
        ELSE coalesce(delay_secs, 0) END);
    UPDATE queue.jobs j
    SET state = (CASE WHEN due > clock_timestamp() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
        run_at = due, attempt = j.attempt + counted, snoozes = j.snoozes + (verdict = 'snoozed')::INTEGER,
        worker_id = NULL, claim = NULL, claimed_at = NULL, probing = FALSE, woken = FALSE,
        suspicion = CASE WHEN verdict = 'handed_back' THEN j.suspicion ELSE 0 END
    WHERE j.id = job.id
    RETURNING j.state::TEXT INTO verdict;
    IF dies THEN
        PERFORM queue.bury(job.id, coalesce(error, 'gave up'));
        RETURN 'dead';
    END IF;
    RETURN verdict;
END $$;

-- -------- The queue: workers that stop, are lost or have lost an answer --------

-- What these workers hold: looked for among all that is due, since the jobs of one worker have no index. For the rare cases that need it.
CREATE OR REPLACE FUNCTION queue.held_by(workers BIGINT[]) RETURNS BIGINT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion = 0 AND j.state = 'running' AND j.worker_id = ANY (workers)
        UNION ALL
        SELECT j.id FROM queue.jobs j WHERE j.phase = 'due' AND j.suspicion > 0 AND j.state = 'running' AND j.worker_id = ANY (workers));
END $$;

-- Hands back everything a worker still holds and forgets the worker; costs no attempt. For a stop. `known` is what it holds, NULL where it does not know.
CREATE OR REPLACE FUNCTION queue.leave(leaving BIGINT, known BIGINT[] DEFAULT NULL) RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
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

-- Takes back the jobs of workers whose lease is over. A row that is locked (a completion under way) is left for the next call; a worker is forgotten only
-- when nothing of it is left, so no job is stranded.
-- Who was running alone as a suspect killed its process: that crash counts, and `crash_limit` of them end the job. Where several suspects ran, none is
-- blamed and each will be tried alone.
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

-- A job whose worker has no row would run for ever: a rescue begins with the rows. They come back with a lease that is over. For a look once in a while;
-- returns how many workers that were.
CREATE OR REPLACE FUNCTION queue.find_strays() RETURNS INTEGER LANGUAGE plpgsql
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

-- After a claim of this number got no answer: hands back what the worker holds in this pool and does not know of, and lets no claim up to this one happen any
-- more. The lock waits for claims that are under way. A job is known by its claim too: the process may still have an earlier claim of it, whose verdict it
-- stores. Returns how many jobs were handed back.
CREATE OR REPLACE FUNCTION queue.hand_back_unknown(
    for_worker BIGINT, from_pool TEXT, suspects BOOLEAN, known BIGINT[], fences BIGINT[], call BIGINT) RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
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

-- What this worker runs, as far as the database knows, and the worker does not. A server that was killed forgets commits that were answered before they were
-- on its disk (synchronous_commit = off), and so does an asynchronous standby that takes over: a job whose end was forgotten would run under a lease that is
-- alive. `upto` is, for each of these pools, the greatest number of a job that the worker has ever claimed there: what waits behind it is not read. A claim
-- that is under way is among the answers.
CREATE OR REPLACE FUNCTION queue.unknown_claims(for_worker BIGINT, pools TEXT[], upto BIGINT[], known BIGINT[], fences BIGINT[], OUT id BIGINT, OUT claim BIGINT)
RETURNS SETOF RECORD LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    of_pool RECORD;
    urgency SMALLINT;
BEGIN
    FOR of_pool IN SELECT u.pool, u.last FROM unnest(pools, upto) AS u (pool, last) LOOP
        RETURN QUERY
            SELECT j.id, j.claim FROM queue.jobs j
            WHERE j.pool = of_pool.pool AND j.phase = 'due' AND j.suspicion > 0 AND j.state = 'running' AND j.worker_id = for_worker
              AND NOT EXISTS (SELECT FROM unnest(known, fences) AS k (id, claim) WHERE k.id = j.id AND k.claim = j.claim);
        urgency := (SELECT max(j.priority) FROM queue.jobs j WHERE j.pool = of_pool.pool AND j.phase = 'due' AND j.suspicion = 0);
        WHILE urgency IS NOT NULL LOOP
            RETURN QUERY
                SELECT j.id, j.claim FROM queue.jobs j
                WHERE j.pool = of_pool.pool AND j.phase = 'due' AND j.suspicion = 0 AND j.priority = urgency AND j.id <= of_pool.last
                  AND j.state = 'running' AND j.worker_id = for_worker
                  AND NOT EXISTS (SELECT FROM unnest(known, fences) AS k (id, claim) WHERE k.id = j.id AND k.claim = j.claim);
            urgency := (SELECT max(j.priority) FROM queue.jobs j
                        WHERE j.pool = of_pool.pool AND j.phase = 'due' AND j.suspicion = 0 AND j.priority < urgency);
        END LOOP;
    END LOOP;
END $$;

-- Hands back claims whose end was forgotten; how many they were. One that has ended meanwhile is left alone.
CREATE OR REPLACE FUNCTION queue.hand_back_forgotten(job_ids BIGINT[], claims BIGINT[]) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    forgotten RECORD;
    returned INTEGER := 0;
BEGIN
    FOR forgotten IN SELECT u.id, u.claim FROM unnest(job_ids, claims) AS u (id, claim) ORDER BY u.id LOOP
        IF queue.settle(forgotten.id, forgotten.claim, 'handed_back', 0, 'the database forgot its end') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    RETURN returned;
END $$;

-- Gives each lane in which jobs wait behind nobody its next head. Nothing that the queue does leaves such a lane behind in READ COMMITTED; a session with
-- another isolation level can. Returns the pools that have work now.
CREATE OR REPLACE FUNCTION queue.heal_lanes() RETURNS TEXT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    lane TEXT;
    pools TEXT[] := '{}';
BEGIN
    -- From lane to lane along the index of what is held, whatever stands in each.
    FOR lane IN
        WITH RECURSIVE held AS (
            (SELECT j.lane FROM queue.jobs j WHERE j.phase = 'held' ORDER BY j.lane LIMIT 1)
            UNION ALL
            SELECT (SELECT j.lane FROM queue.jobs j WHERE j.phase = 'held' AND j.lane > held.lane ORDER BY j.lane LIMIT 1)
            FROM held WHERE held.lane IS NOT NULL
        )
        SELECT held.lane FROM held
        WHERE held.lane IS NOT NULL AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.lane = held.lane AND j.phase <> 'held')
    LOOP
        BEGIN
            pools := pools || queue.advance(ARRAY[lane]);
        EXCEPTION WHEN unique_violation THEN
            -- A newcomer has become the head meanwhile, and makes the next one head when it ends.
            NULL;
        END;
    END LOOP;
    RETURN pools;
END $$;

-- -------- The queue: what administrators do, and the upkeep --------

-- Brings a dead job back under its own number, with all its attempts before it; in its lane it is the next after the one at the head.
-- Returns what came of it: retried, or why not.
CREATE OR REPLACE FUNCTION queue.retry_dead(dead_id BIGINT) RETURNS TEXT LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    job queue.dead;
    new_id BIGINT;
BEGIN
    SELECT * INTO job FROM queue.dead d WHERE d.id = dead_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'not dead';
    END IF;
    new_id := (queue.enqueue(ARRAY[job.kind], ARRAY[job.pool], ARRAY[job.payload], ARRAY[job.priority], ARRAY[NULL::TIMESTAMPTZ], ARRAY[job.lane],
                             ARRAY[job.unique_key], ARRAY[job.max_attempts], ARRAY[job.traceparent]))[1];
    IF new_id IS NULL THEN
        RETURN 'a live job has its unique key';
    END IF;
    UPDATE queue.jobs SET id = dead_id, created_at = job.created_at, crashes = 0, suspicion = (job.crashes > 0)::INTEGER WHERE id = new_id;
    DELETE FROM queue.dead WHERE id = dead_id;
    RETURN 'retried';
END $$;

-- Cancels a job: one that waits ends at once, one that runs is asked to stop, one that is dead is put away. Returns what came of it.
CREATE OR REPLACE FUNCTION queue.cancel(job_id BIGINT, why TEXT) RETURNS TEXT LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    job queue.jobs;
    gone queue.dead;
BEGIN
    SELECT * INTO job FROM queue.jobs j WHERE j.id = job_id FOR UPDATE;
    IF FOUND AND job.state = 'running' THEN
        UPDATE queue.jobs SET cancel_asked = TRUE WHERE id = job_id;
        RETURN 'asked to stop';
    ELSIF FOUND THEN
        PERFORM queue.end_cancelled(job_id, why);
        RETURN 'cancelled';
    END IF;
    DELETE FROM queue.dead d WHERE d.id = job_id RETURNING d.* INTO gone;
    IF NOT FOUND THEN
        RETURN 'not live';
    END IF;
    -- Its follow-up ran when it died.
    INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (gone.id, gone.created_at, gone.attempt, gone.crashes, TRUE, gone.kind, gone.pool, gone.lane, gone.unique_key, gone.traceparent,
            why || ' after: ' || gone.reason, gone.payload);
    RETURN 'put away';
END $$;

-- Partitions of the history from yesterday to `days` ahead. Safe to call from several processes at once. A new partition locks the whole history, so
-- beside a long transaction that has read or written it, a backup say, none is made: otherwise all jobs that end would wait behind. A later call
-- makes it; meanwhile the default partition has what ends on that day, and keeps it.
CREATE OR REPLACE FUNCTION queue.prepare_history(days INTEGER) RETURNS VOID LANGUAGE plpgsql
SET lock_timeout = '200ms' AS $$
DECLARE
    start_day DATE;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('queue.history'));
    FOR offset_days IN -1 .. days LOOP
        start_day := (now() AT TIME ZONE 'UTC')::date + offset_days;
        IF to_regclass(format('queue.finished_%s', to_char(start_day, 'YYYYMMDD'))) IS NULL THEN
            BEGIN
                EXECUTE format(
                    'CREATE TABLE queue.finished_%s PARTITION OF queue.finished FOR VALUES FROM (%L) TO (%L)',
                    to_char(start_day, 'YYYYMMDD'),
                    start_day::timestamp AT TIME ZONE 'UTC', (start_day + 1)::timestamp AT TIME ZONE 'UTC');
            EXCEPTION WHEN check_violation THEN
                NULL; -- the default partition has something of that day
            END;
        END IF;
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END $$;

-- Drops a partition of the history, unless a long transaction has read or written the history. Returns how many went.
CREATE OR REPLACE FUNCTION queue.drop_history(partition TEXT) RETURNS INTEGER LANGUAGE plpgsql
SET lock_timeout = '200ms' AS $$
BEGIN
    EXECUTE format('DROP TABLE queue.%I', partition);
    RETURN 1;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;

-- The upkeep of the history, once in a while by any process: partitions ahead, partitions and attempts older than `days` gone. The attempts
-- of live and dead jobs stay. Returns how many partitions went.
CREATE OR REPLACE FUNCTION queue.prune(days INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    partition RECORD;
    dropped INTEGER := 0;
    horizon DATE := (now() AT TIME ZONE 'UTC')::DATE - days;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('queue.prune')) THEN
        RETURN 0;
    END IF;
    DELETE FROM queue.finished_default WHERE finished_at < horizon;
    DELETE FROM queue.attempts WHERE ctid = ANY (ARRAY(
        SELECT a.ctid FROM queue.attempts a
        WHERE a.ended_at < horizon AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.id = a.job_id)
          AND NOT EXISTS (SELECT FROM queue.dead d WHERE d.id = a.job_id)
        ORDER BY a.ended_at LIMIT 100000));
    -- Last, since what is made or dropped keeps the history locked until the commit, and every job that ends waits for that.
    PERFORM queue.prepare_history(3);
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'queue.finished'::regclass AND c.relname ~ '^finished_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < horizon
    LOOP
        dropped := dropped + queue.drop_history(partition.relname);
    END LOOP;
    RETURN dropped;
END $$;

-- Writes a page, undoes that, and leaves a commit that has to reach the disk. Whatever keeps that from happening is its error: a full disk refuses what needs
-- a new page, and nothing else.
CREATE OR REPLACE FUNCTION queue.write_on_trial() RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO queue.trials (filler) VALUES (repeat('x', 7900));
        RAISE EXCEPTION USING ERRCODE = 'QU001';
    EXCEPTION WHEN SQLSTATE 'QU001' THEN
        NULL;
    END;
END $$;

-- For the first days; the upkeep goes on with it.
SELECT queue.prepare_history(3);

-- -------- Who writes --------

-- The person who has one of these names, made if there is none, and locked until the caller's transaction ends. Names that come together belong to
-- one person, so unseen ones are added to the row. `twins` are other rows that the names prove to be the same person, locked too: the caller merges them.
-- For each alias `canonical_names` has the one spelling of all that mean the same.
--
-- `holder` is set where a number comes with another opaque id than the one that its person has. Nothing is written then: `holder` has the number,
-- `address_id` is the row that has the id, NULL where the id is unseen, and both rows are locked.
CREATE OR REPLACE FUNCTION channel_identify_writer(
    aliases TEXT[], canonical_names TEXT[], OUT address_id BIGINT, OUT last_inbound_at TIMESTAMPTZ, OUT twins BIGINT[], OUT holder BIGINT
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    known BIGINT[];
    present BIGINT[];
    one BIGINT;
    owner BIGINT;
    arrived TIMESTAMPTZ;
BEGIN
    -- Two first webhooks of one person must not make two addresses; without a row there is nothing else to lock.
    -- The keys are locked in one order, so that two webhooks with the same names cannot wait for each other.
    PERFORM pg_advisory_xact_lock(k.key)
    FROM (SELECT DISTINCT hashtextextended('address ' || c, 0) AS key FROM unnest(canonical_names) AS c ORDER BY key) AS k;
    -- Before anything refers to the rows: whoever refers to one first and locks it then can meet another who does the same.
    LOOP
        present := ARRAY(
            SELECT DISTINCT a.address_id FROM channel_address_aliases a
            WHERE coalesce(a.canonical, a.alias) = ANY (canonical_names) ORDER BY a.address_id);
        -- Somebody may have merged them while the locks were waited for.
        EXIT WHEN present = known OR cardinality(present) = 0;
        known := present;
        FOREACH one IN ARRAY known LOOP
            PERFORM FROM channel_addresses a WHERE a.id = one FOR NO KEY UPDATE;
        END LOOP;
    END LOOP;
    -- A number shows by its +; every other name is an opaque id, which stands for one person for ever.
    IF cardinality(present) > 0 AND EXISTS (SELECT FROM unnest(aliases) AS given (alias) WHERE given.alias NOT LIKE 'whatsapp:+%') THEN
        SELECT min(a.address_id) INTO owner
        FROM unnest(aliases, canonical_names) AS given (alias, canonical)
            JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
        WHERE given.alias NOT LIKE 'whatsapp:+%';
        SELECT min(a.address_id) INTO channel_identify_writer.holder
        FROM unnest(aliases, canonical_names) AS given (alias, canonical)
            JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
        WHERE given.alias LIKE 'whatsapp:+%' AND a.address_id IS DISTINCT FROM owner
          AND EXISTS (SELECT FROM channel_address_aliases o WHERE o.address_id = a.address_id AND o.alias NOT LIKE 'whatsapp:+%');
        IF channel_identify_writer.holder IS NOT NULL THEN
            channel_identify_writer.address_id := owner;
            RETURN;
        END IF;
    END IF;
    arrived := clock_timestamp();
    IF cardinality(present) = 0 THEN
        INSERT INTO channel_addresses (last_inbound_at) VALUES (arrived) RETURNING id INTO channel_identify_writer.address_id;
    ELSE
        channel_identify_writer.address_id := present[1];
        UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id = channel_identify_writer.address_id;
    END IF;
    channel_identify_writer.last_inbound_at := arrived;
    channel_identify_writer.twins := present[2:];
    -- A name may be given twice: where a number is hidden, Twilio fills both of its fields with the same id.
    INSERT INTO channel_address_aliases AS a (alias, canonical, address_id, last_seen_at)
    SELECT given.alias, min(given.canonical), channel_identify_writer.address_id, arrived - min(given.place) * interval '1 microsecond'
    FROM unnest(aliases, canonical_names) WITH ORDINALITY AS given (alias, canonical, place)
    GROUP BY given.alias
    ON CONFLICT (alias) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at;
END $$;

-- Which of the messages come from one known person each: all of a message's names are there, and lead to one row. `places` says which message a
-- name belongs to.
CREATE OR REPLACE FUNCTION channel_known_writers(places INTEGER[], aliases TEXT[], canonical_names TEXT[]) RETURNS TABLE (place INTEGER, address_id BIGINT)
LANGUAGE sql STABLE AS $$
    SELECT given.place, min(a.address_id)
    FROM unnest(places, aliases, canonical_names) AS given (place, alias, canonical)
        LEFT JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
    GROUP BY given.place
    HAVING min(a.address_id) = max(a.address_id) AND count(*) = count(a.address_id)
       AND count(DISTINCT given.alias) = count(DISTINCT given.alias) FILTER (WHERE a.alias = given.alias)
$$;

-- Stores the messages of known people whom nobody has locked, and locks them until the caller's transaction ends. Who is new, is to be merged or is locked
-- is left out: nobody's message waits for another person. The messages come in the order of their arrival, no SID twice, each with its names, the one to
-- write to first. `message_id` is NULL for a message that was stored before.
--
-- Messages are matched to their writers by their place in the arrays, so that one of many costs no more than one alone.
CREATE OR REPLACE FUNCTION channel_take_in(
    places INTEGER[], aliases TEXT[], canonical_names TEXT[], sids TEXT[], bodies TEXT[], all_params JSONB[]
) RETURNS TABLE (place INTEGER, address_id BIGINT, message_id BIGINT, written_at TIMESTAMPTZ, waiting_user TEXT) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    free BIGINT[];
    arrived TIMESTAMPTZ;
    -- Messages of one known person each, and who that is.
    known INTEGER[];
    writers BIGINT[];
    -- Those that were not stored before, and their numbers.
    new_places INTEGER[];
    new_writers BIGINT[];
    new_ids BIGINT[];
    -- Who has more names than one.
    several BIGINT[];
BEGIN
    free := ARRAY(
        SELECT a.id FROM channel_addresses a
        WHERE a.id = ANY (ARRAY(
            SELECT n.address_id FROM unnest(canonical_names) AS given (canonical)
                JOIN channel_address_aliases n ON coalesce(n.canonical, n.alias) = given.canonical))
        ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(free) = 0 THEN
        RETURN;
    END IF;
    arrived := clock_timestamp();
    -- Looked up with the locks held: somebody may have merged or erased them before.
    SELECT array_agg(k.place ORDER BY k.place), array_agg(k.address_id ORDER BY k.place) INTO known, writers
    FROM channel_known_writers(places, aliases, canonical_names) k WHERE k.address_id = ANY (free);

    WITH stored AS (
        INSERT INTO channel_messages (sid, address_id, body, params, written_at, backfilled)
        SELECT sids[k.place], k.address_id, bodies[k.place], all_params[k.place], arrived, FALSE
        FROM unnest(known, writers) AS k (place, address_id)
        ON CONFLICT (sid) DO NOTHING
        RETURNING id, sid, address_id
    )
    SELECT array_agg(array_position(sids, s.sid)), array_agg(s.address_id), array_agg(s.id) INTO new_places, new_writers, new_ids FROM stored s;
    UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id = ANY (new_writers);

    -- The latest name is the one to write to.
    several := ARRAY(
        SELECT n.id FROM unnest(new_writers) AS n (id)
        WHERE EXISTS (SELECT FROM channel_address_aliases o WHERE o.address_id = n.id OFFSET 1));
    IF cardinality(several) > 0 THEN
        -- Most people have written from the same name before, and it is known as the latest one.
        UPDATE channel_address_aliases a SET last_seen_at = arrived
        FROM (SELECT DISTINCT ON (names.address_id) names.address_id, names.alias
              FROM (SELECT new_writers[array_position(new_places, u.place)] AS address_id, u.alias, u.place, u.rank
                    FROM unnest(places, aliases) WITH ORDINALITY AS u (place, alias, rank)) AS names
              WHERE names.address_id = ANY (several)
              ORDER BY names.address_id, names.place DESC, names.rank) AS latest
        WHERE a.alias = latest.alias AND EXISTS (
            SELECT FROM channel_address_aliases o
            WHERE o.address_id = latest.address_id AND o.alias <> latest.alias AND o.last_seen_at >= a.last_seen_at);
    END IF;

    RETURN QUERY
        SELECT k.place, k.address_id, k.new_id, CASE WHEN k.new_id IS NOT NULL THEN arrived END,
               (SELECT l.user_id FROM channel_links l
                -- "IS TRUE" keeps this from becoming a join, which may begin at the wrong end.
                WHERE l.address_id = k.address_id AND l.ended_at IS NULL AND k.new_id IS NOT NULL
                  AND (EXISTS (SELECT FROM channel_deliveries d WHERE d.user_id = l.user_id AND d.state = 'waiting' AND (d.waits_for_inbound OR d.waits_for_room))) IS TRUE)
        FROM (SELECT u.place, u.address_id, new_ids[array_position(new_places, u.place)] AS new_id
              FROM unnest(known, writers) AS u (place, address_id)) AS k;
END $$;

-- -------- Threads --------

-- Continues a thread with what a person wrote or the assistant said.
CREATE OR REPLACE FUNCTION channel_add_entry(conversation BIGINT, message BIGINT, turn BIGINT) RETURNS VOID LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH next AS (UPDATE channel_conversations SET entries = entries + 1 WHERE id = conversation RETURNING entries)
    INSERT INTO channel_entries (conversation_id, number, message_id, turn_id) SELECT conversation, entries, message, turn FROM next;
END $$;

-- Every accepted message continues its thread, whoever accepts it.
CREATE OR REPLACE FUNCTION channel_note_message() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM channel_add_entry(NEW.conversation_id, NEW.id, NULL);
    RETURN NULL;
END $$;

-- A turn that ends with a reply or an apology continues its thread. A failed turn of a schedule leaves no apology, since nobody waits for it, and a failed
-- retry by hand leaves no second one.
CREATE OR REPLACE FUNCTION channel_note_turn() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM channel_add_entry(NEW.conversation_id, NULL, NEW.id);
    RETURN NULL;
END $$;

-- Turns that are stored with their reply continue their threads, all of a statement at once.
CREATE OR REPLACE FUNCTION channel_note_turns() RETURNS TRIGGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
BEGIN
    WITH said AS (
        SELECT s.id, s.conversation_id, row_number() OVER (PARTITION BY s.conversation_id ORDER BY s.id) AS place
        FROM said_now s WHERE s.state = 'replied'
    ), grown AS (
        UPDATE channel_conversations c SET entries = c.entries + more.number
        FROM (SELECT conversation_id, count(*) AS number FROM said GROUP BY conversation_id) AS more
        WHERE c.id = more.conversation_id
        RETURNING c.id, c.entries - more.number AS before
    )
    INSERT INTO channel_entries (conversation_id, number, turn_id)
    SELECT said.conversation_id, grown.before + said.place, said.id FROM said JOIN grown ON grown.id = said.conversation_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER channel_note_message AFTER INSERT ON channel_messages
    FOR EACH ROW WHEN (NEW.accepted_at IS NOT NULL AND NEW.conversation_id IS NOT NULL) EXECUTE FUNCTION channel_note_message();
CREATE OR REPLACE TRIGGER channel_note_accepted AFTER UPDATE OF accepted_at ON channel_messages
    FOR EACH ROW WHEN (NEW.accepted_at IS NOT NULL AND OLD.accepted_at IS NULL AND NEW.conversation_id IS NOT NULL) EXECUTE FUNCTION channel_note_message();
CREATE OR REPLACE TRIGGER channel_note_turn AFTER INSERT ON channel_turns REFERENCING NEW TABLE AS said_now
    FOR EACH STATEMENT EXECUTE FUNCTION channel_note_turns();
CREATE OR REPLACE TRIGGER channel_note_reply AFTER UPDATE OF state ON channel_turns
    FOR EACH ROW WHEN (OLD.state = 'running' AND (NEW.state = 'replied' OR NEW.state = 'failed' AND NEW.slot_id IS NULL AND NEW.no_apology IS NULL))
    EXECUTE FUNCTION channel_note_turn();

-- -------- Allowances --------

-- Reserves in allowances that there are, for each user all or nothing; returns the users who got theirs. A row at a time and by its key, which is the right
-- plan whatever the table's statistics say.
CREATE OR REPLACE FUNCTION whatsapp_reserve(users TEXT[], starts TIMESTAMPTZ[], numbers INTEGER[], caps BIGINT[]) RETURNS SETOF TEXT LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wish RECORD;
BEGIN
    FOR wish IN
        SELECT * FROM unnest(users, starts, numbers, caps) AS w (user_id, period_start, number, cap) ORDER BY w.user_id
    LOOP
        UPDATE whatsapp_sends s SET reserved = s.reserved + wish.number
        WHERE s.user_id = wish.user_id AND s.period_start = wish.period_start AND s.used + s.reserved + wish.number <= wish.cap + s.credited;
        IF FOUND THEN
            RETURN NEXT wish.user_id;
        END IF;
    END LOOP;
END $$;

-- Moves a metered chunk in the allowance and writes that down. What is used stays used; what was given back and then proves to have been sent is
-- used after all.
CREATE OR REPLACE FUNCTION whatsapp_meter(metered channel_chunks, event TEXT) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    delivery RECORD;
BEGIN
    SELECT d.user_id, d.period_start INTO delivery FROM channel_deliveries d WHERE d.id = metered.delivery_id;
    UPDATE whatsapp_sends s
    SET used = s.used + (event = 'used')::INTEGER,
        reserved = s.reserved - (metered.metering = 'reserved')::INTEGER,
        credited = s.credited + (event = 'credited')::INTEGER
    WHERE s.user_id = delivery.user_id AND s.period_start = delivery.period_start;
    INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was)
    VALUES (delivery.user_id, delivery.period_start, metered.id, event, metered.metering);
    UPDATE channel_chunks SET metering = event WHERE id = metered.id;
END $$;

-- The allowance follows a chunk's state in the statement that changes it, whoever does that.
CREATE OR REPLACE FUNCTION whatsapp_meter_state() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('accepted', 'sent', 'delivered', 'read', 'unknown') AND NEW.metering IN ('reserved', 'released') THEN
        PERFORM whatsapp_meter(NEW, 'used');
    ELSIF NEW.state IN ('failed', 'cancelled', 'blocked', 'expired') AND NEW.metering = 'reserved' THEN
        PERFORM whatsapp_meter(NEW, 'released');
    END IF;
    RETURN NULL;
END $$;

-- A credit for a message that failed is taken back when the message proves to have been delivered after all.
CREATE OR REPLACE FUNCTION whatsapp_withdraw_credit() RETURNS TRIGGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    delivery RECORD;
BEGIN
    SELECT d.user_id, d.period_start INTO delivery FROM channel_deliveries d WHERE d.id = NEW.delivery_id;
    UPDATE whatsapp_sends s SET credited = s.credited - 1
    WHERE s.user_id = delivery.user_id AND s.period_start = delivery.period_start;
    INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was)
    VALUES (delivery.user_id, delivery.period_start, NEW.id, 'withdrawn', 'credited');
    UPDATE channel_chunks SET metering = 'used' WHERE id = NEW.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER whatsapp_meter_state AFTER UPDATE OF state ON channel_chunks
    FOR EACH ROW WHEN (NEW.metering IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION whatsapp_meter_state();
CREATE OR REPLACE TRIGGER whatsapp_withdraw_credit AFTER UPDATE OF state ON channel_chunks
    FOR EACH ROW WHEN (NEW.metering = 'credited' AND OLD.state = 'failed' AND NEW.state <> 'failed') EXECUTE FUNCTION whatsapp_withdraw_credit();

-- -------- What the product is told --------

-- Enqueues what the product is told, in the transaction of the change and in a lane of what it is about. The callers have looked whether anybody is told.
CREATE OR REPLACE FUNCTION channel_tell_product(about TEXT, content JSONB) RETURNS VOID LANGUAGE sql AS $$
    SELECT queue.enqueue(ARRAY[c.kind], ARRAY[c.pool], ARRAY[content], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY['callback:' || about],
                         ARRAY[NULL::TEXT], ARRAY[c.max_attempts], ARRAY[NULL::TEXT])
    FROM channel_callbacks c
$$;

-- A delivery comes to a state. What is planned at once is told by the answer to the request, or by what becomes of it.
CREATE OR REPLACE FUNCTION channel_tell_delivery() RETURNS TRIGGER LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM channel_callbacks) THEN
        PERFORM channel_tell_product('delivery:' || NEW.id, jsonb_build_object('delivery', NEW.id, 'state', NEW.state));
        -- Nobody may have reported the delivery before the reading.
        IF NEW.state = 'delivered' AND NOT EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = NEW.id AND c.state <> 'read') THEN
            PERFORM channel_tell_product('delivery:' || NEW.id, jsonb_build_object('delivery', NEW.id, 'state', 'read'));
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- A person has seen a chunk; told when it was the last one of a delivery that is known to have arrived.
CREATE OR REPLACE FUNCTION channel_tell_read() RETURNS TRIGGER LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM channel_callbacks)
       AND EXISTS (SELECT FROM channel_deliveries d WHERE d.id = NEW.delivery_id AND d.state = 'delivered')
       AND NOT EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = NEW.delivery_id AND c.state <> 'read') THEN
        PERFORM channel_tell_product('delivery:' || NEW.delivery_id, jsonb_build_object('delivery', NEW.delivery_id, 'state', 'read'));
    END IF;
    RETURN NULL;
END $$;

-- A user agreed to something or took it back.
CREATE OR REPLACE FUNCTION channel_tell_consent() RETURNS TRIGGER LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM channel_callbacks) THEN
        PERFORM channel_tell_product('user:' || NEW.user_id, jsonb_build_object('consent', NEW.id));
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER channel_tell_delivery AFTER UPDATE OF state ON channel_deliveries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND num_nonnulls(NEW.user_id, NEW.conversation_id) > 0) EXECUTE FUNCTION channel_tell_delivery();
CREATE OR REPLACE TRIGGER channel_tell_new_delivery AFTER INSERT ON channel_deliveries
    FOR EACH ROW WHEN (NEW.state <> 'open' AND NEW.user_id IS NOT NULL) EXECUTE FUNCTION channel_tell_delivery();
CREATE OR REPLACE TRIGGER channel_tell_read AFTER UPDATE OF state ON channel_chunks
    FOR EACH ROW WHEN (NEW.state = 'read' AND OLD.state <> 'read') EXECUTE FUNCTION channel_tell_read();
CREATE OR REPLACE TRIGGER channel_tell_consent AFTER INSERT ON whatsapp_consents
    FOR EACH ROW EXECUTE FUNCTION channel_tell_consent();
