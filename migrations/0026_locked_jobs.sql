-- A completion in lanes tells jobs that somebody else has locked from jobs that are gone. Before, both came back alike, and each was tried once more by
-- itself: hundreds of statements after a claim had met jobs that had been taken while it looked, since it holds what it meets until it commits.

-- Another result cannot replace the old one. Processes of before this migration name the columns that they read, and find them.
DROP FUNCTION queue.finish(BIGINT[], BIGINT[], BOOLEAN);

-- Ends jobs that succeeded. A patient one waits for locks; any other passes what is locked and tells of it. What is in neither answer is gone: it has been
-- completed by its own transaction, or by a try whose answer was lost, or belongs to another claim by now.
CREATE FUNCTION queue.finish(
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
        IF cardinality(places) < cardinality(job_ids) THEN
            -- Those that this statement has ended are not there any more.
            locked := ARRAY(
                SELECT j.id FROM unnest(job_ids, claims) AS mine (id, claim) JOIN queue.jobs j ON j.id = mine.id AND j.claim = mine.claim);
        END IF;
    END IF;
    ended := coalesce(ended, '{}');
    locked := coalesce(locked, '{}');
    woken_pools := CASE WHEN lanes IS NULL THEN '{}'::TEXT[] ELSE queue.advance(lanes) END;
END $$;
