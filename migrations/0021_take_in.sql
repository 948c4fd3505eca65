-- Whoever writes is looked up in one round trip. Before, it took six, and a webhook waited for each.

-- The person who has one of these names, made if there is none, and locked until the caller's transaction ends. Names that come together belong to
-- one person, so unseen ones are added to the row. `twins` are other rows that the names prove to be the same person, locked too: the caller merges them.
-- For each alias `canonical` has the one spelling of all that mean the same.
CREATE FUNCTION channel_find_sender(aliases TEXT[], canonical_names TEXT[], OUT address_id BIGINT, OUT last_inbound_at TIMESTAMPTZ, OUT twins BIGINT[])
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    known BIGINT[];
    present BIGINT[];
    one BIGINT;
    arrived TIMESTAMPTZ;
BEGIN
    -- Two first webhooks of one person must not make two addresses; without a row there is nothing else to lock.
    -- The keys are locked in one order, so that two webhooks with the same names cannot wait for each other.
    PERFORM pg_advisory_xact_lock(k.key)
    FROM (SELECT DISTINCT hashtextextended('address ' || c, 0) AS key FROM unnest(canonical_names) AS c ORDER BY key) AS k;
    -- Before anything refers to the rows: whoever refers to one first and locks it then can meet another who does the same.
    LOOP
        present := ARRAY(
            SELECT DISTINCT a.address_id FROM channel_address_aliases a
            WHERE coalesce(a.canonical, a.alias) = ANY (canonical_names) ORDER BY a.address_id);
        -- Somebody may have merged them while the locks were waited for.
        EXIT WHEN present = known OR cardinality(present) = 0;
        known := present;
        FOREACH one IN ARRAY known LOOP
            PERFORM FROM channel_addresses a WHERE a.id = one FOR NO KEY UPDATE;
        END LOOP;
    END LOOP;
    arrived := clock_timestamp();
    IF cardinality(present) = 0 THEN
        INSERT INTO channel_addresses (last_inbound_at) VALUES (arrived) RETURNING id INTO channel_find_sender.address_id;
    ELSE
        channel_find_sender.address_id := present[1];
        UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id = channel_find_sender.address_id;
    END IF;
    channel_find_sender.last_inbound_at := arrived;
    channel_find_sender.twins := present[2:];
    -- A name may be given twice: where a number is hidden, Twilio fills both of its fields with the same id.
    INSERT INTO channel_address_aliases AS a (alias, canonical, address_id, last_seen_at)
    SELECT given.alias, min(given.canonical), channel_find_sender.address_id, arrived - min(given.place) * interval '1 microsecond'
    FROM unnest(aliases, canonical_names) WITH ORDINALITY AS given (alias, canonical, place)
    GROUP BY given.alias
    ON CONFLICT (alias) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at;
END $$;

-- As before, planned once: one job alone was planned anew each time, which took longer than to enqueue it. A plan that does not know how many jobs
-- there are must be right for one and for a hundred thousand, so arrays are joined by hash and never searched once for each job.
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
