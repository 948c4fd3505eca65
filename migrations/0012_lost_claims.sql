-- A claim whose answer was lost has happened, and the process that made it knows nothing of it: its lease would hold the jobs for ever. So a process
-- that got no answer takes back what it does not know of.

ALTER TABLE queue.workers ADD COLUMN calls_from BIGINT NOT NULL DEFAULT 0; -- a claim with a lower number comes too late: nobody waits for its answer

-- As before, with the caller's own number of this claim.
CREATE FUNCTION queue.claim(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
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
        WHERE j.pool = from_pool AND j.state = 'waiting' AND j.suspicion = 0
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

CREATE FUNCTION queue.claim_suspect(for_worker BIGINT, from_pool TEXT, worst SMALLINT, call BIGINT)
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
    WHERE j.pool = from_pool AND j.state = 'waiting' AND j.suspicion BETWEEN 1 AND worst
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

-- What processes of before this migration call.
CREATE OR REPLACE FUNCTION queue.claim(for_worker BIGINT, from_pool TEXT, slots INTEGER)
RETURNS SETOF queue.jobs LANGUAGE sql AS $$ SELECT * FROM queue.claim(for_worker, from_pool, slots, 9223372036854775807) $$;
CREATE OR REPLACE FUNCTION queue.claim_suspect(for_worker BIGINT, from_pool TEXT, worst SMALLINT)
RETURNS SETOF queue.jobs LANGUAGE sql AS $$ SELECT * FROM queue.claim_suspect(for_worker, from_pool, worst, 9223372036854775807) $$;

-- After a claim of this number got no answer: hands back what the worker holds in this pool and does not know of, and lets no claim up to this one
-- happen any more. The lock waits for claims that are under way. Returns how many jobs were handed back.
CREATE FUNCTION queue.hand_back_unknown(for_worker BIGINT, from_pool TEXT, suspects BOOLEAN, known BIGINT[], call BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    returned INTEGER := 0;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker FOR UPDATE;
    UPDATE queue.workers w SET calls_from = call + 1 WHERE w.id = for_worker AND w.calls_from <= call;
    FOR job IN
        SELECT * FROM queue.jobs j
        WHERE j.worker_id = for_worker AND j.state = 'running' AND j.pool = from_pool AND j.probing = suspects AND j.id <> ALL (known)
    LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the answer to its claim was lost') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    RETURN returned;
END $$;
