-- Messages that arrive together are stored in one transaction. Before, each webhook had one of its own, and the server spent most of its time on
-- beginning, committing and setting up statements of one row.

-- Which of the messages come from one known person each: all of a message's names are there, and lead to one row. `places` says which message a
-- name belongs to.
CREATE FUNCTION channel_known_senders(places INTEGER[], aliases TEXT[], canonical_names TEXT[]) RETURNS TABLE (place INTEGER, address_id BIGINT)
LANGUAGE sql STABLE AS $$
    SELECT given.place, min(a.address_id)
    FROM unnest(places, aliases, canonical_names) AS given (place, alias, canonical)
        LEFT JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
    GROUP BY given.place
    HAVING min(a.address_id) = max(a.address_id) AND count(*) = count(a.address_id)
       AND count(DISTINCT given.alias) = count(DISTINCT given.alias) FILTER (WHERE a.alias = given.alias)
$$;

-- Stores the messages of known people whom nobody has locked, and locks them until the caller's transaction ends. Who is new, is to be merged or is
-- locked is left out: nobody's message waits for another person. The messages come in the order of their arrival, no SID twice, each with its names, the
-- one to write to first. `message_id` is NULL for a message that was stored before.
CREATE FUNCTION channel_take_in(
    places INTEGER[], aliases TEXT[], canonical_names TEXT[], sids TEXT[], bodies TEXT[], all_params JSONB[]
) RETURNS TABLE (place INTEGER, address_id BIGINT, message_id BIGINT, written_at TIMESTAMPTZ, waiting_user TEXT) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    free BIGINT[];
    arrived TIMESTAMPTZ;
BEGIN
    free := ARRAY(
        SELECT a.id FROM channel_addresses a
        WHERE a.id = ANY (ARRAY(SELECT k.address_id FROM channel_known_senders(places, aliases, canonical_names) k))
        ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(free) = 0 THEN
        RETURN;
    END IF;
    arrived := clock_timestamp();
    -- Looked up again: somebody may have merged or erased them before the locks were there.
    RETURN QUERY
        WITH given AS MATERIALIZED (
            SELECT k.place, k.address_id, sids[k.place] AS sid
            FROM channel_known_senders(places, aliases, canonical_names) k
            WHERE k.address_id = ANY (free)
        ), stored AS MATERIALIZED (
            INSERT INTO channel_messages (sid, address_id, body, params, written_at, backfilled)
            SELECT g.sid, g.address_id, bodies[g.place], all_params[g.place], arrived, FALSE FROM given g ORDER BY g.place
            ON CONFLICT (sid) DO NOTHING
            RETURNING id, sid, address_id, written_at
        ), noted AS (
            UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id IN (SELECT s.address_id FROM stored s)
        ), seen AS (
            -- Most people have written from the same name before, and it is known as the latest one.
            UPDATE channel_address_aliases a SET last_seen_at = arrived
            FROM (SELECT DISTINCT ON (g.address_id) g.address_id, names.alias
                  FROM unnest(places, aliases) WITH ORDINALITY AS names (place, alias, rank)
                      JOIN given g ON g.place = names.place JOIN stored s ON s.sid = g.sid
                  ORDER BY g.address_id, names.place DESC, names.rank) AS latest
            WHERE a.alias = latest.alias AND EXISTS (
                SELECT FROM channel_address_aliases o
                WHERE o.address_id = latest.address_id AND o.alias <> latest.alias AND o.last_seen_at >= a.last_seen_at)
        )
        SELECT g.place, g.address_id, s.id, s.written_at,
               (SELECT l.user_id FROM channel_links l
                WHERE l.address_id = g.address_id AND l.ended_at IS NULL AND s.id IS NOT NULL
                  AND EXISTS (SELECT FROM channel_deliveries d WHERE d.user_id = l.user_id AND d.state = 'waiting'))
        FROM given g LEFT JOIN stored s ON s.sid = g.sid
        ORDER BY g.place;
END $$;
