-- During a rolling deploy a process meets jobs of kinds that it does not know. They wait for one that does, parked like those of a paused kind; before, they
-- died at the first try.

ALTER TABLE queue.workers ADD COLUMN kinds TEXT[]; -- what this process can run; NULL: a process of before this migration, which takes everything

-- Kinds that were met by processes which do not know them, for people.
CREATE TABLE queue.unknown_kinds (
    kind  TEXT PRIMARY KEY,                          -- of parked jobs
    since TIMESTAMPTZ NOT NULL DEFAULT now()         -- when the first one was parked; the row goes when a process comes that knows the kind
);

-- As before; and what the worker cannot run, since it is paused or not known, is parked a stretch at a time, so that a backlog of it delays one claim by
-- seconds and every later one by nothing.
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
BEGIN
    SELECT w.kinds INTO known FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF (NOT FOUND AND is_work) OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
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
END $$;

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
            RETURN;
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

-- As before; and what is parked comes back where this worker knows the kind.
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
        IF NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = parked)
           AND EXISTS (SELECT FROM queue.workers w WHERE w.id = for_worker AND (w.kinds IS NULL OR parked = ANY (w.kinds))) THEN
            DELETE FROM queue.unknown_kinds u WHERE u.kind = parked;
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
