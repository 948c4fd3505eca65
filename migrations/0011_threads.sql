-- One thread for the dashboard and WhatsApp: what was written in either, and what the assistant said, in one order.

ALTER TABLE channel_messages
    ALTER COLUMN address_id DROP NOT NULL,                 -- NULL: written in the dashboard
    ADD COLUMN channel TEXT NOT NULL DEFAULT 'whatsapp' CHECK (channel IN ('whatsapp', 'dashboard')), -- where it was written
    ADD CONSTRAINT channel_messages_channel_check2 CHECK ((channel = 'whatsapp') = (address_id IS NOT NULL));
-- A turn answers where it was asked; one that was asked in both answers in WhatsApp, and the thread shows it anyway.
ALTER TABLE channel_turns ADD COLUMN channel TEXT NOT NULL DEFAULT 'whatsapp' CHECK (channel IN ('whatsapp', 'dashboard'));

-- Entries are numbered under the conversation's lock, so a reader who has seen a number never misses a smaller one.
ALTER TABLE channel_conversations ADD COLUMN entries BIGINT NOT NULL DEFAULT 0; -- the last entry's number
CREATE TABLE channel_entries (
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- of which thread
    number          BIGINT NOT NULL,                       -- from 1, in the order in which they came about
    message_id      BIGINT REFERENCES channel_messages (id), -- what a person wrote; NULL: the assistant spoke
    turn_id         BIGINT REFERENCES channel_turns (id),  -- what the assistant said; NULL: a person wrote
    at              TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when
    PRIMARY KEY (conversation_id, number),
    CHECK ((message_id IS NULL) <> (turn_id IS NULL))
);

CREATE FUNCTION channel_add_entry(conversation BIGINT, message BIGINT, turn BIGINT) RETURNS VOID LANGUAGE sql AS $$
    WITH next AS (UPDATE channel_conversations SET entries = entries + 1 WHERE id = conversation RETURNING entries)
    INSERT INTO channel_entries (conversation_id, number, message_id, turn_id) SELECT conversation, entries, message, turn FROM next;
$$;

-- No path can forget the thread.
CREATE FUNCTION channel_note_message() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM channel_add_entry(NEW.conversation_id, NEW.id, NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER channel_note_message AFTER INSERT ON channel_messages
    FOR EACH ROW WHEN (NEW.accepted_at IS NOT NULL AND NEW.conversation_id IS NOT NULL) EXECUTE FUNCTION channel_note_message();
CREATE TRIGGER channel_note_accepted AFTER UPDATE OF accepted_at ON channel_messages
    FOR EACH ROW WHEN (NEW.accepted_at IS NOT NULL AND OLD.accepted_at IS NULL AND NEW.conversation_id IS NOT NULL) EXECUTE FUNCTION channel_note_message();
-- A turn that failed leaves the apology, unless a schedule asked for it: that one tries again, and nobody waits.
CREATE FUNCTION channel_note_turn() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM channel_add_entry(NEW.conversation_id, NULL, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER channel_note_turn AFTER INSERT ON channel_turns
    FOR EACH ROW WHEN (NEW.state = 'replied') EXECUTE FUNCTION channel_note_turn();
CREATE TRIGGER channel_note_reply AFTER UPDATE OF state ON channel_turns
    FOR EACH ROW WHEN (OLD.state = 'running' AND (NEW.state = 'replied' OR NEW.state = 'failed' AND NEW.slot_id IS NULL)) EXECUTE FUNCTION channel_note_turn();

-- What was said before there were entries.
INSERT INTO channel_entries (conversation_id, number, message_id, turn_id, at)
SELECT conversation_id, row_number() OVER (PARTITION BY conversation_id ORDER BY at, message_id, turn_id), message_id, turn_id, at
FROM (SELECT conversation_id, id AS message_id, NULL::BIGINT AS turn_id, accepted_at AS at FROM channel_messages WHERE accepted_at IS NOT NULL AND conversation_id IS NOT NULL
      UNION ALL
      SELECT conversation_id, NULL, id, finished_at FROM channel_turns WHERE state = 'replied' OR state = 'failed' AND slot_id IS NULL) said;
UPDATE channel_conversations c SET entries = (SELECT max(number) FROM channel_entries e WHERE e.conversation_id = c.id)
WHERE EXISTS (SELECT FROM channel_entries e WHERE e.conversation_id = c.id);
