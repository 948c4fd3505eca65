-- What came of each file that people sent. The files themselves stay at Twilio: a second call of the agent fetches them again.
CREATE TABLE channel_attachments (
    message_id   BIGINT NOT NULL REFERENCES channel_messages (id), -- with which message; where Twilio keeps it stands in its params
    index        INTEGER NOT NULL,                       -- from 0, as Twilio counts
    content_type TEXT NOT NULL,                          -- what its sender says it is
    state        TEXT NOT NULL CHECK (state IN ('shown', 'named', 'refused', 'failed')), -- the agent saw it, or was told its name, or its name and why not
    size_bytes   BIGINT,                                 -- of what was fetched
    reason       TEXT,                                   -- why it could not be shown
    fetched_at   TIMESTAMPTZ NOT NULL DEFAULT now(),     -- the last time that a turn needed it
    PRIMARY KEY (message_id, index),
    CHECK ((state IN ('refused', 'failed')) = (reason IS NOT NULL))
);
