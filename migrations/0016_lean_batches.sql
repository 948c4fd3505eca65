-- Batches of claims and completions at less cost. Before, a claim looked every row up twice and gave all columns back, a completion carried whole
-- rows from one statement to the next and locked what stands in lanes in a pass of its own before it looked it up again.
--
-- Rows that a statement has locked are found again by their place (ctid): nobody else can move them until the commit. The plans are generic: they
-- cannot depend on how many jobs a batch has, and planning for arrays of hundreds of values takes longer than a look at each.

-- As queue.claim, which processes of before this migration call, with the columns that a worker needs.
CREATE FUNCTION queue.claim_jobs(for_worker BIGINT, from_pool TEXT, slots INTEGER, call BIGINT)
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
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() AND w.calls_from <= call FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
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
        EXIT WHEN cardinality(places) = 0;
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

CREATE OR REPLACE FUNCTION queue.finish(job_ids BIGINT[], claims BIGINT[], patient BOOLEAN, OUT ended BIGINT[], OUT woken_pools TEXT[])
LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lanes TEXT[];
    places TID[];
BEGIN
    IF patient THEN
        WITH gone AS (
            DELETE FROM queue.jobs j USING unnest(job_ids, claims) AS mine (id, claim)
            WHERE j.id = mine.id AND j.claim = mine.claim
            RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
        ), kept AS (
            INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM gone g
        )
        SELECT array_agg(gone.id), array_agg(gone.lane) FILTER (WHERE gone.lane IS NOT NULL) INTO ended, lanes FROM gone;
    ELSE
        places := ARRAY(
            SELECT j.ctid
            FROM unnest(job_ids, claims) AS mine (id, claim) JOIN queue.jobs j ON j.id = mine.id AND j.claim = mine.claim
            FOR UPDATE OF j SKIP LOCKED);
        WITH gone AS (
            DELETE FROM queue.jobs j WHERE j.ctid = ANY (places)
            RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
        ), kept AS (
            INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM gone g
        )
        SELECT array_agg(gone.id), array_agg(gone.lane) FILTER (WHERE gone.lane IS NOT NULL) INTO ended, lanes FROM gone;
    END IF;
    ended := coalesce(ended, '{}');
    woken_pools := CASE WHEN lanes IS NULL THEN '{}'::TEXT[] ELSE queue.advance(lanes) END;
END $$;

-- Most lanes have nobody behind their head: one look at the index tells of all of them.
CREATE OR REPLACE FUNCTION queue.advance(lanes TEXT[]) RETURNS TEXT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    pools TEXT[];
BEGIN
    IF NOT EXISTS (SELECT FROM queue.jobs h WHERE h.lane = ANY (lanes) AND h.state = 'held') THEN
        RETURN '{}';
    END IF;
    WITH next_ids AS MATERIALIZED (
        SELECT (SELECT h.id FROM queue.jobs h WHERE h.lane = l.lane AND h.state = 'held'
                ORDER BY h.priority DESC, h.id LIMIT 1) AS id
        FROM (SELECT DISTINCT unnest(lanes) AS lane) AS l
    ), moved AS (
        UPDATE queue.jobs j
        SET state = (CASE WHEN j.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state
        FROM next_ids WHERE j.id = next_ids.id AND j.state = 'held'
        RETURNING j.pool
    )
    SELECT array_agg(DISTINCT moved.pool) INTO pools FROM moved;
    RETURN coalesce(pools, '{}');
END $$;

-- The lock waits for claims that are under way, or their jobs would stay with a worker that nobody knows any more.
CREATE OR REPLACE FUNCTION queue.leave(leaving BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    returned INTEGER := 0;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = leaving FOR UPDATE;
    FOR job IN SELECT * FROM queue.jobs j WHERE j.worker_id = leaving AND j.state = 'running' LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the worker stopped') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    DELETE FROM queue.workers WHERE id = leaving;
    RETURN returned;
END $$;
