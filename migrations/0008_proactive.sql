-- What goes out of our own accord: metered, stoppable, and explained when it does not.

ALTER TABLE channel_deliveries
    ALTER COLUMN address_id DROP NOT NULL,                 -- NULL: the user has no phone, so nothing was planned
    ADD COLUMN user_id TEXT,                               -- whose allowance it takes; no reference, since it outlives the user
    ADD COLUMN period_start TIMESTAMPTZ,                   -- the billing period in which its chunks were reserved
    ADD COLUMN content_sid TEXT,                           -- the approved template for when the 24-hour window is closed
    ADD COLUMN content_variables JSONB,                    -- its variables
    ADD COLUMN waits_for_inbound BOOLEAN NOT NULL DEFAULT FALSE, -- planned only when the person writes again
    DROP CONSTRAINT channel_deliveries_purpose_check,
    ADD CONSTRAINT channel_deliveries_purpose_check CHECK (purpose IN ('reply', 'notice', 'notification', 'scheduled')),
    DROP CONSTRAINT channel_deliveries_state_check,
    ADD CONSTRAINT channel_deliveries_state_check CHECK (state IN -- waiting: for the person's next message, with no job and no reservation
        ('waiting', 'open', 'sent', 'delivered', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    DROP CONSTRAINT channel_deliveries_check,
    ADD CONSTRAINT channel_deliveries_check CHECK ((state IN ('open', 'waiting')) = (closed_at IS NULL));
CREATE INDEX channel_deliveries_waiting ON channel_deliveries (user_id, created_at) WHERE state = 'waiting';
CREATE INDEX channel_deliveries_open ON channel_deliveries (address_id) WHERE state = 'open';
CREATE INDEX channel_deliveries_user ON channel_deliveries (user_id, created_at) WHERE user_id IS NOT NULL;

ALTER TABLE channel_chunks
    ADD COLUMN form TEXT NOT NULL DEFAULT 'text' CHECK (form IN ('text', 'template')), -- what Twilio is given
    ADD COLUMN metering TEXT CHECK (metering IN ('reserved', 'used', 'released', 'credited')), -- where it stands in the allowance; NULL: not metered
    ADD COLUMN slot_at TIMESTAMPTZ,                        -- the moment that the sender's pace gave it; NULL: none yet
    ADD COLUMN verdict TEXT CHECK (verdict IN ('arrived', 'send_again')), -- what an administrator said of a send in doubt
    DROP CONSTRAINT channel_chunks_check2,
    ADD CONSTRAINT channel_chunks_check2 CHECK ((state IN ('accepted', 'sent', 'delivered', 'read')) <= (sid IS NOT NULL OR verdict = 'arrived'));

-- Every movement of an allowance, for ever: the counters of whatsapp_sends can be recomputed from it.
CREATE TABLE whatsapp_send_ledger (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of writing
    user_id      TEXT NOT NULL,                            -- whose
    period_start TIMESTAMPTZ NOT NULL,                     -- of which period
    chunk_id     BIGINT NOT NULL,                          -- for what
    event        TEXT NOT NULL CHECK (event IN ('reserved', 'used', 'released', 'credited')), -- what happened
    was          TEXT,                                     -- where the chunk stood before
    at           TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_send_ledger_user ON whatsapp_send_ledger (user_id, period_start);

-- Moves a metered chunk in the allowance and writes that down. What is used stays used; what was given back and then proves to have been sent is
-- used after all.
CREATE FUNCTION whatsapp_meter(metered channel_chunks, event TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    delivery RECORD;
BEGIN
    SELECT d.user_id, d.period_start INTO delivery FROM channel_deliveries d WHERE d.id = metered.delivery_id;
    UPDATE whatsapp_sends s
    SET used = s.used + (event = 'used')::INTEGER,
        reserved = s.reserved - (metered.metering = 'reserved')::INTEGER,
        credited = s.credited + (event = 'credited')::INTEGER
    WHERE s.user_id = delivery.user_id AND s.period_start = delivery.period_start;
    INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was)
    VALUES (delivery.user_id, delivery.period_start, metered.id, event, metered.metering);
    UPDATE channel_chunks SET metering = event WHERE id = metered.id;
END $$;

-- The allowance follows a chunk's state in the statement that changes it, whoever does that.
CREATE FUNCTION whatsapp_meter_state() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('accepted', 'sent', 'delivered', 'read', 'unknown') AND NEW.metering IN ('reserved', 'released') THEN
        PERFORM whatsapp_meter(NEW, 'used');
    ELSIF NEW.state IN ('failed', 'cancelled', 'blocked', 'expired') AND NEW.metering = 'reserved' THEN
        PERFORM whatsapp_meter(NEW, 'released');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER whatsapp_meter_state AFTER UPDATE OF state ON channel_chunks
    FOR EACH ROW WHEN (NEW.metering IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION whatsapp_meter_state();

-- The same request of the product within a day is the same delivery.
CREATE TABLE channel_idempotency_keys (
    user_id     TEXT NOT NULL,                             -- for whom
    key         TEXT NOT NULL,                             -- Idempotency-Key
    body_hash   BYTEA NOT NULL,                            -- of the request
    delivery_id UUID NOT NULL REFERENCES channel_deliveries (id), -- what came of it
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- a day later the key is free again
    PRIMARY KEY (user_id, key)
);

-- The sender's pace over all processes: the next free moment of each stream.
CREATE TABLE channel_sender_pace (
    stream  TEXT PRIMARY KEY,                              -- all, proactive
    free_at TIMESTAMPTZ NOT NULL                           -- nothing more goes out before
);

-- How far periodic work has come.
CREATE TABLE channel_cursors (
    name     TEXT PRIMARY KEY,                             -- backfill
    moment   TIMESTAMPTZ NOT NULL                          -- everything before is done
);
