-- A lane goes on though the job that would be next is being cancelled. Before, the completion of the head chose that job, waited for the
-- cancellation, found the job gone and left the lane without a head: what stood behind it waited until somebody enqueued into the lane, and was
-- then overtaken by the newcomer.
CREATE OR REPLACE FUNCTION queue.advance(lanes TEXT[]) RETURNS TEXT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    next_ids BIGINT[];
    pools TEXT[];
BEGIN
    -- Most lanes have nobody behind their head: one look at the index tells of all of them.
    IF NOT EXISTS (SELECT FROM queue.jobs h WHERE h.lane = ANY (lanes) AND h.state = 'held') THEN
        RETURN '{}';
    END IF;
    -- The lock waits for a cancellation under way and passes to the one behind what is gone. Nobody joins the lane meanwhile: the old head's lock
    -- is the caller's.
    next_ids := ARRAY(
        SELECT n.id
        FROM (SELECT DISTINCT unnest(lanes) AS lane) AS l
            CROSS JOIN LATERAL (
                SELECT h.id FROM queue.jobs h WHERE h.lane = l.lane AND h.state = 'held'
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

-- Lanes that this has left without a head go on now.
LOCK TABLE queue.jobs IN SHARE ROW EXCLUSIVE MODE;
SELECT queue.advance(ARRAY(
    SELECT DISTINCT h.lane FROM queue.jobs h
    WHERE h.state = 'held' AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.lane = h.lane AND j.state <> 'held')));
