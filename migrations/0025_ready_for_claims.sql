-- New connections that are ready for work, completions that answer nothing, and room for claims where the rows are.

-- A claim of no slots takes no job, and no more than a number for its fence: it has a connection plan a claim's statements before there is work.
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
            WHERE j.pool = from_pool AND j.state = 'waiting' AND j.suspicion = 0
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

-- Ends jobs that stand in no lane and succeeded. One that is not there or belongs to another claim by now is left out: it has been completed by its own
-- transaction, or by a try whose answer was lost, or is another worker's. So nobody needs to be told which ended, and no pool gets work by it.
CREATE FUNCTION queue.finish_free(job_ids BIGINT[], claims BIGINT[]) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH gone AS (
        DELETE FROM queue.jobs j USING unnest(job_ids, claims) AS mine (id, claim)
        WHERE j.id = mine.id AND j.claim = mine.claim AND j.lane IS NULL
        RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.unique_key, j.traceparent, j.payload
    )
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, unique_key, traceparent, payload)
    SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.unique_key, g.traceparent, g.payload
    FROM gone g;
END $$;

-- A claimed row stays on its page, where the new version costs half as much to write and to log as on another one. For that, pages are filled to less
-- than a half.
ALTER TABLE queue.jobs SET (fillfactor = 45);
