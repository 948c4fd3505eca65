-- A server that was killed forgets commits that were answered before they were on its disk (synchronous_commit = off), and so does an asynchronous standby
-- that takes over. An end of a job that was forgotten leaves the job running under a lease that is alive, and nobody runs it.

-- What this worker runs, as far as the database knows, and the worker does not. `upto` is, for each of these pools, the greatest number of a job that the
-- worker has ever claimed there: what waits behind it is not read. A claim that is under way is among the answers.
CREATE FUNCTION queue.unknown_claims(for_worker BIGINT, pools TEXT[], upto BIGINT[], known BIGINT[], fences BIGINT[], OUT id BIGINT, OUT claim BIGINT)
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
CREATE FUNCTION queue.hand_back_forgotten(job_ids BIGINT[], claims BIGINT[]) RETURNS INTEGER LANGUAGE plpgsql AS $$
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
