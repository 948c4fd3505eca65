-- Many jobs of a paused kind may be parked for days; a tick must not read them all to find that nothing changed. It looks at each parked
-- kind once, and moves only jobs of kinds that are not paused any more.
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
        SELECT j.id FROM queue.jobs j WHERE j.state = 'scheduled' AND j.run_at <= now() ORDER BY j.run_at LIMIT 2000
        FOR UPDATE SKIP LOCKED));
    parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.state = 'parked');
    WHILE parked IS NOT NULL LOOP
        IF NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = parked) THEN
            UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
                SELECT j.id FROM queue.jobs j WHERE j.state = 'parked' AND j.kind = parked LIMIT 2000 FOR UPDATE SKIP LOCKED));
        END IF;
        parked := (SELECT min(j.kind) FROM queue.jobs j WHERE j.state = 'parked' AND j.kind > parked);
    END LOOP;
    rescued := queue.rescue(crash_limit);
    ready := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.state = 'waiting' AND j.suspicion = 0 LIMIT 1));
    suspects := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE (SELECT TRUE FROM queue.jobs j WHERE j.pool = p.name AND j.state = 'waiting' AND j.suspicion > 0 LIMIT 1));
    cancels := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.worker_id = for_worker AND j.state = 'running' AND j.cancel_asked);
    others := EXISTS (SELECT FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now());
    next_ms := extract(epoch FROM least(
        (SELECT min(j.run_at) FROM queue.jobs j WHERE j.state = 'scheduled'),
        (SELECT min(w.lease_until) FROM queue.workers w WHERE w.id <> for_worker)) - clock_timestamp()) * 1000;
END $$;
