-- A lane without a head goes on by itself. Nothing that the queue does leaves one behind in READ COMMITTED; a session with another isolation level has.

-- Gives each lane in which jobs wait behind nobody its next head. Returns the pools that have work now.
CREATE FUNCTION queue.heal_lanes() RETURNS TEXT[] LANGUAGE plpgsql
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
