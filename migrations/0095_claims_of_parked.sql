-- While one live process knows a kind and another one does not, as in a rolling deploy, the first one takes jobs of it where they are parked. Before, it handed
-- them back, two thousand at each look, and the other one parked them again: they went back and forth, and the first one got hardly any.

-- What was parked as a suspect; there is next to none.
CREATE INDEX jobs_parked_suspect ON queue.jobs (kind) WHERE phase = 'parked' AND suspicion > 0;

-- Jobs of kinds that others do not know and this worker does, as queue.claim_jobs returns them. A kind is looked for in the pool of one of its jobs.
CREATE FUNCTION queue.claim_parked(for_worker BIGINT, from_pool TEXT, slots INTEGER, fence BIGINT, known TEXT[], paused TEXT[])
RETURNS TABLE (
    id BIGINT, claim BIGINT, kind TEXT, lane TEXT, attempt SMALLINT, max_attempts SMALLINT, crashes SMALLINT, suspicion SMALLINT,
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
        RETURNING j.id, j.claim, j.kind, j.lane, j.attempt, j.max_attempts, j.crashes, j.suspicion, j.traceparent, j.payload, j.ctid;
END $$;

-- As before; and where there are jobs of unknown kinds, this worker takes those that it knows.
CREATE OR REPLACE FUNCTION queue.claim_jobs(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
RETURNS TABLE (
    id BIGINT, claim BIGINT, kind TEXT, lane TEXT, attempt SMALLINT, max_attempts SMALLINT, crashes SMALLINT, suspicion SMALLINT,
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
    paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
    IF is_work AND EXISTS (SELECT FROM queue.unknown_kinds u WHERE u.kind > '') THEN
        is_mixed := TRUE;
        fence := nextval('queue.claim_ids');
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
        fence := coalesce(fence, nextval('queue.claim_ids'));
        RETURN QUERY
            UPDATE queue.jobs j
            SET state = 'running', worker_id = for_worker, claim = fence, claimed_at = clock_timestamp()
            WHERE j.ctid = ANY (places) AND j.state = 'waiting' AND j.kind <> ALL (paused) AND (known IS NULL OR j.kind = ANY (known))
            RETURNING j.id, j.claim, j.kind, j.lane, j.attempt, j.max_attempts, j.crashes, j.suspicion, j.traceparent, j.payload, j.ctid;
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

-- As before; and a suspect that is parked as unknown is taken where it is.
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
        SET state = 'running', worker_id = for_worker, claim = nextval('queue.claim_ids'), claimed_at = clock_timestamp(), probing = TRUE
        WHERE j.id = picked.id
        RETURNING j.*;
END $$;

-- As before; and what is parked as unknown stays so while a live worker does not know it: its pool is ready where this worker knows it.
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
