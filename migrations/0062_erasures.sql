-- A person is forgotten at once; what was said goes page by page, each page in a transaction of its own. Before, all of it was one transaction: over a
-- minute for a thread of 200,000 messages, during which that person's webhooks were refused, and a request that was given up undid it.

-- What is still to be emptied. A row goes with its last page.
CREATE TABLE channel_erasures (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of asking
    user_id       TEXT NOT NULL,                           -- whose erasure; no reference, since the user is gone
    part          TEXT NOT NULL CHECK (part IN -- chunk: it may have reached Twilio, whose list is compared with it, so it keeps its text until that is settled
        ('messages_of_conversation', 'messages_of_address', 'turns_of_conversation', 'deliveries_of_address', 'deliveries_of_user', 'chunk')),
    subject       BIGINT,                                  -- the conversation, address or chunk; NULL: the user
    begun_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- what came about later is somebody else's under the same id
    due_at        TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- not before
    next_id       BIGINT NOT NULL DEFAULT 9223372036854775807, -- of messages and turns: the newest first, and those from here on are done
    next_delivery UUID NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff', -- the same of deliveries
    CHECK ((part = 'deliveries_of_user') = (subject IS NULL))
);

-- Deliveries of a person are read in the order of their ids, which is that of their planning. Nothing asked for them by `created_at`.
CREATE INDEX channel_deliveries_of_address ON channel_deliveries (address_id, id);
CREATE INDEX channel_deliveries_of_user ON channel_deliveries (user_id, id) WHERE user_id IS NOT NULL;
DROP INDEX channel_deliveries_address, channel_deliveries_user;
