-- A retry by hand makes a successor of what gave up. What has ended stays as it is, and each has one successor at most.

-- NULL in nearly every row, so the indexes hold the successors alone.
ALTER TABLE channel_deliveries ADD COLUMN resent_from BIGINT REFERENCES channel_chunks (id); -- the failed chunk that this delivery begins with anew; NULL: it is nobody's successor
CREATE UNIQUE INDEX channel_deliveries_resent_from ON channel_deliveries (resent_from) WHERE resent_from IS NOT NULL;
ALTER TABLE channel_turns ADD COLUMN retry_of BIGINT REFERENCES channel_turns (id); -- the failed turn whose messages this one answers; NULL: it is nobody's successor
CREATE UNIQUE INDEX channel_turns_retry_of ON channel_turns (retry_of) WHERE retry_of IS NOT NULL;
ALTER TABLE channel_messages ADD COLUMN retried_at TIMESTAMPTZ; -- when its outcome `failed` gave way to another try by hand
ALTER TABLE channel_slots ADD COLUMN retry_of BIGINT REFERENCES channel_slots (id); -- the failed slot whose audience this one goes on with; NULL: it is nobody's successor
CREATE UNIQUE INDEX channel_slots_retry_of ON channel_slots (retry_of) WHERE retry_of IS NOT NULL;
ALTER TABLE channel_slot_users ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1; -- how often the agent was given this part, retries by hand included

-- The person reads one apology: a turn that fails again by hand says nothing more.
DROP TRIGGER channel_note_reply ON channel_turns;
CREATE TRIGGER channel_note_reply AFTER UPDATE OF state ON channel_turns
    FOR EACH ROW WHEN (OLD.state = 'running' AND (NEW.state = 'replied' OR NEW.state = 'failed' AND NEW.slot_id IS NULL AND NEW.retry_of IS NULL))
    EXECUTE FUNCTION channel_note_turn();
