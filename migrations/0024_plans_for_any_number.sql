-- Plans that fit any number of rows.

-- Who writes is found by index, also while the tables were too small for that when the plan was made.
ALTER FUNCTION channel_find_sender(TEXT[], TEXT[]) SET enable_seqscan = off;

-- Enqueuing is planned once. Before, one job alone was planned anew each time, which took longer than to enqueue it. A plan that does not know how
-- many jobs there are must be right for one and for a hundred thousand, so arrays are joined by hash and never searched once for each job. But for that
-- the function is that of 0015.
CREATE OR REPLACE FUNCTION queue.enqueue(
    kinds TEXT[], pools TEXT[], payloads JSONB[], priorities SMALLINT[], run_ats TIMESTAMPTZ[],
    lanes TEXT[], unique_keys TEXT[], max_attempts SMALLINT[], traceparents TEXT[]
) RETURNS BIGINT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids BIGINT[];
    behind TEXT[];
    following RECORD;
    new_id BIGINT;
BEGIN
    IF cardinality(array_remove(lanes, NULL)) = 0 AND cardinality(array_remove(unique_keys, NULL)) = 0 THEN
        WITH added AS (
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, traceparent, payload)
            SELECT coalesce(u.run_at, now()), u.priority, u.attempts,
                   (CASE WHEN u.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   u.kind, u.pool, u.traceparent, u.payload
            FROM unnest(kinds, pools, payloads, priorities, run_ats, max_attempts, traceparents)
                AS u (kind, pool, payload, priority, run_at, attempts, traceparent)
            RETURNING id
        )
        SELECT array_agg(id) INTO ids FROM added;
        RETURN coalesce(ids, '{}');
    END IF;

    IF cardinality(kinds) = 1 AND lanes[1] IS NOT NULL THEN
        ids := ARRAY[NULL::BIGINT];
    ELSE
        -- The first job of each lane tries to be its head. Only the first: were a head to end meanwhile, a later one would overtake.
        -- One order for all: two batches cannot wait for each other.
        WITH given AS MATERIALIZED (
            SELECT nextval('queue.job_ids') AS id, sorted.*
            FROM (SELECT u.*, row_number() OVER (PARTITION BY u.lane COLLATE "C" ORDER BY u.place) AS in_lane
                  FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents)
                      WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, place)
                  ORDER BY u.lane COLLATE "C", u.place) AS sorted
            WHERE sorted.lane IS NULL OR sorted.in_lane = 1
        ), added AS (
            INSERT INTO queue.jobs (id, run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, coalesce(g.run_at, now()), g.priority, g.attempts,
                   (CASE WHEN g.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM given g ORDER BY g.id
            ON CONFLICT DO NOTHING
            RETURNING queue.jobs.id
        )
        SELECT array_agg(added.id ORDER BY p.place) INTO ids
        FROM generate_series(1, cardinality(kinds)) AS p (place)
            LEFT JOIN given ON given.place = p.place LEFT JOIN added ON added.id = given.id;
        IF array_position(ids, NULL) IS NULL THEN
            RETURN ids;
        END IF;

        -- What is left stands behind the head of its lane, or is a duplicate. A head is locked until the caller commits.
        SELECT array_agg(lane) INTO behind FROM (
            SELECT l.lane
            FROM (SELECT DISTINCT ON (u.lane COLLATE "C") u.lane FROM unnest(lanes, ids) AS u (lane, id)
                  WHERE u.id IS NULL AND u.lane IS NOT NULL ORDER BY u.lane COLLATE "C" OFFSET 0) AS l
                CROSS JOIN LATERAL (SELECT FROM queue.jobs j WHERE j.lane = l.lane AND j.state <> 'held' LIMIT 1 FOR NO KEY UPDATE) AS head
        ) AS locked;
        WITH given AS MATERIALIZED (
            SELECT nextval('queue.job_ids') AS id, sorted.*
            FROM (SELECT u.* FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents, ids)
                      WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, added_id, place)
                  WHERE u.added_id IS NULL AND u.lane IN (SELECT unnest(behind))
                  ORDER BY u.lane COLLATE "C", u.place) AS sorted
        ), added AS (
            INSERT INTO queue.jobs (id, run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, coalesce(g.run_at, now()), g.priority, g.attempts, 'held', g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM given g ORDER BY g.id
            ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
            RETURNING queue.jobs.id
        )
        SELECT array_agg(coalesce(p.id, added.id) ORDER BY p.place) INTO ids
        FROM unnest(ids) WITH ORDINALITY AS p (id, place)
            LEFT JOIN given ON given.place = p.place LEFT JOIN added ON added.id = given.id;
    END IF;

    -- One alone, or those whose heads ended between the two looks: one after the other stands behind a head, or tries for its place.
    FOR following IN
        SELECT * FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents, ids)
            WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, added_id, place)
        WHERE u.added_id IS NULL AND u.lane IS NOT NULL AND u.lane NOT IN (SELECT unnest(behind))
        ORDER BY u.lane COLLATE "C", u.place
    LOOP
        LOOP
            PERFORM FROM queue.jobs j WHERE j.lane = following.lane AND j.state <> 'held' FOR NO KEY UPDATE;
            IF FOUND THEN
                INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
                VALUES (coalesce(following.run_at, now()), following.priority, following.attempts, 'held', following.kind,
                        following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
                ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
                RETURNING id INTO new_id;
                EXIT;
            END IF;
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            VALUES (coalesce(following.run_at, now()), following.priority, following.attempts,
                    (CASE WHEN following.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state, following.kind,
                    following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
            ON CONFLICT DO NOTHING
            RETURNING id INTO new_id;
            EXIT WHEN new_id IS NOT NULL;
            EXIT WHEN EXISTS (SELECT FROM queue.jobs j WHERE j.unique_key = following.unique_key);
        END LOOP;
        ids[following.place] := new_id;
    END LOOP;
    RETURN ids;
END $$;
