-- A number that comes with another opaque id has perhaps changed hands: what its former holder proved does not hold for whoever has it now.

ALTER TABLE channel_links ADD COLUMN unproven_since TIMESTAMPTZ;
COMMENT ON COLUMN channel_links.unproven_since IS 'since when its number belongs to somebody else, so that nothing is said under it until a new claim; NULL: it is proven';

-- A linked person's number that came with another opaque id than the person's own.
CREATE TABLE channel_changed_ids (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of the first messages
    link_id     BIGINT NOT NULL REFERENCES channel_links (id), -- the link that was proven with this number
    newcomer_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- who has the other id
    seen_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the first such message arrived
    state       TEXT NOT NULL CHECK (state IN ('held', 'let_through', 'trusted')), -- the link is held back; the number counts until an operator decides; both are one person
    UNIQUE (link_id, newcomer_id)
);
CREATE INDEX channel_changed_ids_newcomer ON channel_changed_ids (newcomer_id);
CREATE INDEX channel_changed_ids_seen ON channel_changed_ids (seen_at);

-- Times at which ours, the sender, seemed to have moved to another business portfolio, which gives everybody another opaque id.
CREATE TABLE channel_sender_moves (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of noticing
    noticed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when too many ids had changed at once, or an operator said so
    decided_at TIMESTAMPTZ,                                -- when an operator decided; NULL: nobody has yet
    trusted_since TIMESTAMPTZ,                             -- ids that came from then on are the same people's; NULL: undecided or refused
    CHECK (trusted_since IS NULL OR decided_at IS NOT NULL)
);
CREATE UNIQUE INDEX channel_sender_moves_undecided ON channel_sender_moves ((TRUE)) WHERE decided_at IS NULL;

-- The person who has one of these names, made if there is none, and locked until the caller's transaction ends. Names that come together belong to
-- one person, so unseen ones are added to the row. `twins` are other rows that the names prove to be the same person, locked too: the caller merges them.
-- For each alias `canonical_names` has the one spelling of all that mean the same.
--
-- `holder` is set where a number comes with another opaque id than the one that its person has. Nothing is written then: `holder` has the number,
-- `address_id` is the row that has the id, NULL where the id is unseen, and both rows are locked.
CREATE FUNCTION channel_identify_sender(
    aliases TEXT[], canonical_names TEXT[], OUT address_id BIGINT, OUT last_inbound_at TIMESTAMPTZ, OUT twins BIGINT[], OUT holder BIGINT
) LANGUAGE plpgsql SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    known BIGINT[];
    present BIGINT[];
    one BIGINT;
    owner BIGINT;
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
    -- A number shows by its +; every other name is an opaque id, which stands for one person for ever.
    IF cardinality(present) > 0 AND EXISTS (SELECT FROM unnest(aliases) AS given (alias) WHERE given.alias NOT LIKE 'whatsapp:+%') THEN
        SELECT min(a.address_id) INTO owner
        FROM unnest(aliases, canonical_names) AS given (alias, canonical)
            JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
        WHERE given.alias NOT LIKE 'whatsapp:+%';
        SELECT min(a.address_id) INTO channel_identify_sender.holder
        FROM unnest(aliases, canonical_names) AS given (alias, canonical)
            JOIN channel_address_aliases a ON coalesce(a.canonical, a.alias) = given.canonical
        WHERE given.alias LIKE 'whatsapp:+%' AND a.address_id IS DISTINCT FROM owner
          AND EXISTS (SELECT FROM channel_address_aliases o WHERE o.address_id = a.address_id AND o.alias NOT LIKE 'whatsapp:+%');
        IF channel_identify_sender.holder IS NOT NULL THEN
            channel_identify_sender.address_id := owner;
            RETURN;
        END IF;
    END IF;
    arrived := clock_timestamp();
    IF cardinality(present) = 0 THEN
        INSERT INTO channel_addresses (last_inbound_at) VALUES (arrived) RETURNING id INTO channel_identify_sender.address_id;
    ELSE
        channel_identify_sender.address_id := present[1];
        UPDATE channel_addresses a SET last_inbound_at = arrived WHERE a.id = channel_identify_sender.address_id;
    END IF;
    channel_identify_sender.last_inbound_at := arrived;
    channel_identify_sender.twins := present[2:];
    -- A name may be given twice: where a number is hidden, Twilio fills both of its fields with the same id.
    INSERT INTO channel_address_aliases AS a (alias, canonical, address_id, last_seen_at)
    SELECT given.alias, min(given.canonical), channel_identify_sender.address_id, arrived - min(given.place) * interval '1 microsecond'
    FROM unnest(aliases, canonical_names) WITH ORDINALITY AS given (alias, canonical, place)
    GROUP BY given.alias
    ON CONFLICT (alias) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at;
END $$;
