-- Whoever writes is looked up in one round trip. Before, it took six, and a webhook waited for each.

-- The person who has one of these names, made if there is none, and locked until the caller's transaction ends. Names that come together belong to
-- one person, so unseen ones are added to the row. `twins` are other rows that the names prove to be the same person, locked too: the caller merges them.
-- For each alias `canonical` has the one spelling of all that mean the same.
CREATE FUNCTION channel_find_sender(aliases TEXT[], canonical_names TEXT[], OUT address_id BIGINT, OUT last_inbound_at TIMESTAMPTZ, OUT twins BIGINT[])
LANGUAGE plpgsql SET jit = off SET plan_cache_mode = force_generic_plan AS $$
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
