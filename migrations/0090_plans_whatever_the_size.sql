-- A session keeps the plans of a function's statements until the next ANALYZE of their tables. Those that were made while a table was nearly empty read
-- all of it, once it is full, for each row that they look for: the queue is often empty, and an allowance's table until the first duty.

ALTER FUNCTION queue.settle(BIGINT, BIGINT, TEXT, DOUBLE PRECISION, TEXT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.bury(BIGINT, TEXT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.end_cancelled(BIGINT, TEXT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.cancel(BIGINT, TEXT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.retry_dead(BIGINT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.leave(BIGINT, BIGINT[]) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.hand_back_unknown(BIGINT, TEXT, BOOLEAN, BIGINT[], BIGINT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.hand_back_unknown(BIGINT, TEXT, BOOLEAN, BIGINT[], BIGINT[], BIGINT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION queue.prune(INTEGER) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION channel_identify_sender(TEXT[], TEXT[]) SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
-- What foreign keys ask behind these is planned inside of them, too.
ALTER FUNCTION whatsapp_meter(channel_chunks, TEXT) SET enable_seqscan = off SET jit = off;
ALTER FUNCTION whatsapp_withdraw_credit() SET enable_seqscan = off SET jit = off;
ALTER FUNCTION channel_note_turns() SET enable_seqscan = off SET jit = off;

CREATE OR REPLACE FUNCTION channel_take_in(
    places INTEGER[], aliases TEXT[], canonical_names TEXT[], sids TEXT[], bodies TEXT[], all_params JSONB[]
) RETURNS TABLE (place INTEGER, address_id BIGINT, message_id BIGINT, written_at TIMESTAMPTZ, waiting_user TEXT) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    free BIGINT[];
    arrived TIMESTAMPTZ;
    -- Messages of one known person each, and who that is.
    known INTEGER[];
    senders BIGINT[];
    -- Those that were not stored before, and their numbers.
    new_places INTEGER[];
    new_senders BIGINT[];
    new_ids BIGINT[];
    -- Who has more names than one.
    several BIGINT[];
BEGIN
    free := ARRAY(
        SELECT a.id FROM channel_addresses a
        WHERE a.id = ANY (ARRAY(
            SELECT n.address_id FROM unnest(canonical_names) AS given (canonical)
                JOIN channel_address_aliases n ON coalesce(n.canonical, n.alias) = given.canonical))
        ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(free) = 0 THEN
        RETURN;
    END IF;
    arrived := clock_timestamp();
    -- Looked up with the locks held: somebody may have merged or erased them before.
    SELECT array_agg(k.place ORDER BY k.place), array_agg(k.address_id ORDER BY k.place) INTO known, senders
    FROM channel_known_senders(places, aliases, canonical_names) k WHERE k.address_id = ANY (free);

    WITH stored AS (
        INSERT INTO channel_messages (sid, address_id, body, params, written_at, backfilled)
        SELECT sids[k.place], k.address_id, bodies[k.place], all_params[k.place], arrived, FALSE
        FROM unnest(known, senders) AS k (place, address_id)
        ON CONFLICT (sid) DO NOTHING
        RETURNING id, sid, address_id
    )
    SELECT array_agg(array_position(sids, s.sid)), array_agg(s.address_id), array_agg(s.id) INTO new_places, new_senders, new_ids FROM stored s;
    UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id = ANY (new_senders);

    -- The latest name is the one to write to.
    several := ARRAY(
        SELECT n.id FROM unnest(new_senders) AS n (id)
        WHERE EXISTS (SELECT FROM channel_address_aliases o WHERE o.address_id = n.id OFFSET 1));
    IF cardinality(several) > 0 THEN
        -- Most people have written from the same name before, and it is known as the latest one.
        UPDATE channel_address_aliases a SET last_seen_at = arrived
        FROM (SELECT DISTINCT ON (names.address_id) names.address_id, names.alias
              FROM (SELECT new_senders[array_position(new_places, u.place)] AS address_id, u.alias, u.place, u.rank
                    FROM unnest(places, aliases) WITH ORDINALITY AS u (place, alias, rank)) AS names
              WHERE names.address_id = ANY (several)
              ORDER BY names.address_id, names.place DESC, names.rank) AS latest
        WHERE a.alias = latest.alias AND EXISTS (
            SELECT FROM channel_address_aliases o
            WHERE o.address_id = latest.address_id AND o.alias <> latest.alias AND o.last_seen_at >= a.last_seen_at);
    END IF;

    RETURN QUERY
        SELECT k.place, k.address_id, k.new_id, CASE WHEN k.new_id IS NOT NULL THEN arrived END,
               (SELECT l.user_id FROM channel_links l
                -- "IS TRUE" keeps this from becoming a join, which may begin at the wrong end.
                WHERE l.address_id = k.address_id AND l.ended_at IS NULL AND k.new_id IS NOT NULL
                  AND (EXISTS (SELECT FROM channel_deliveries d WHERE d.user_id = l.user_id AND d.state = 'waiting')) IS TRUE)
        FROM (SELECT u.place, u.address_id, new_ids[array_position(new_places, u.place)] AS new_id
              FROM unnest(known, senders) AS u (place, address_id)) AS k;
END $$;

-- The jobs are found from the claims. Joined to them, they could be the side that is begun with: all jobs, where hardly any were known of.
CREATE OR REPLACE FUNCTION queue.finish(
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
            DELETE FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)]
            RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.lane, j.unique_key, j.traceparent, j.payload
        ), kept AS (
            INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM gone g
        )
        SELECT array_agg(gone.id), array_agg(gone.lane) FILTER (WHERE gone.lane IS NOT NULL) INTO ended, lanes FROM gone;
    ELSE
        places := ARRAY(
            SELECT mine.place
            FROM unnest(job_ids, claims) AS given (id, claim)
                CROSS JOIN LATERAL (SELECT j.ctid AS place FROM queue.jobs j WHERE j.id = given.id AND j.claim = given.claim FOR UPDATE SKIP LOCKED) AS mine);
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
                SELECT j.id FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)]);
        END IF;
    END IF;
    ended := coalesce(ended, '{}');
    locked := coalesce(locked, '{}');
    woken_pools := CASE WHEN lanes IS NULL THEN '{}'::TEXT[] ELSE queue.advance(lanes) END;
END $$;

CREATE OR REPLACE FUNCTION queue.finish_free(job_ids BIGINT[], claims BIGINT[]) RETURNS VOID LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH gone AS (
        DELETE FROM queue.jobs j WHERE j.id = ANY (job_ids) AND j.claim = claims[array_position(job_ids, j.id)] AND j.lane IS NULL
        RETURNING j.id, j.created_at, j.claimed_at, j.worker_id, j.claim, j.attempt, j.crashes, j.kind, j.pool, j.unique_key, j.traceparent, j.payload
    )
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, unique_key, traceparent, payload)
    SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.unique_key, g.traceparent, g.payload
    FROM gone g;
END $$;
