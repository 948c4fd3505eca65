-- A credit for a message that failed is taken back when the message proves to have been delivered after all.
ALTER TABLE whatsapp_send_ledger
    DROP CONSTRAINT whatsapp_send_ledger_event_check,
    ADD CONSTRAINT whatsapp_send_ledger_event_check CHECK (event IN ('reserved', 'used', 'released', 'credited', 'withdrawn')); -- withdrawn: a credit

CREATE FUNCTION whatsapp_withdraw_credit() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    delivery RECORD;
BEGIN
    SELECT d.user_id, d.period_start INTO delivery FROM channel_deliveries d WHERE d.id = NEW.delivery_id;
    UPDATE whatsapp_sends s SET credited = s.credited - 1
    WHERE s.user_id = delivery.user_id AND s.period_start = delivery.period_start;
    INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was)
    VALUES (delivery.user_id, delivery.period_start, NEW.id, 'withdrawn', 'credited');
    UPDATE channel_chunks SET metering = 'used' WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER whatsapp_withdraw_credit AFTER UPDATE OF state ON channel_chunks
    FOR EACH ROW WHEN (NEW.metering = 'credited' AND OLD.state = 'failed' AND NEW.state <> 'failed') EXECUTE FUNCTION whatsapp_withdraw_credit();

-- A chunk whose callbacks were lost is looked up in Twilio's list after a while, a few times.
ALTER TABLE channel_chunks
    ADD COLUMN status_look_ups SMALLINT NOT NULL DEFAULT 0; -- how often Twilio was asked for its final state
CREATE INDEX channel_chunks_unsettled ON channel_chunks (status_look_ups, accepted_at) WHERE state IN ('accepted', 'sent') AND sid IS NOT NULL;

-- Entries of Twilio's lists of inbound messages that could not be taken in. They hold nothing that a person wrote.
CREATE TABLE channel_unusable_entries (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of appearance
    sid           TEXT UNIQUE,                             -- Twilio's id; NULL: it cannot be read
    reason        TEXT NOT NULL,                           -- what is wrong with it
    listed_at     TIMESTAMPTZ,                             -- when the message was written, as Twilio lists it; NULL: Twilio does not say
    times         INTEGER NOT NULL DEFAULT 1,              -- how many rounds have met it
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),      -- in the first round
    last_seen_at  TIMESTAMPTZ NOT NULL DEFAULT now(),      -- in the latest round
    taken_in_at   TIMESTAMPTZ                              -- when it could be taken in after all; NULL: not yet
);
