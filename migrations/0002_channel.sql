-- The channel's own memory: who writes, what was said, what goes out. The queue (schema queue) only ever holds ids of these rows.

-- One WhatsApp person.
CREATE TABLE channel_addresses (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what the queue's lanes and other tables call this person
    last_inbound_at TIMESTAMPTZ,                           -- opens WhatsApp's 24-hour window for free text
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now()     -- when they first wrote
);

-- The names under which that person writes: a number, and since 2026 also an id that hides it.
CREATE TABLE channel_address_aliases (
    alias        TEXT PRIMARY KEY,                         -- as Twilio spells it: whatsapp:+E164 or whatsapp:CC.id
    address_id   BIGINT NOT NULL REFERENCES channel_addresses (id), -- whose name it is; the first one seen beside it
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),       -- the latest one is written back to
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()        -- when it was first seen
);
CREATE INDEX channel_address_aliases_address ON channel_address_aliases (address_id, last_seen_at DESC);

-- A thread with the agent. Until users exist there is one for each address.
CREATE TABLE channel_conversations (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named in the agent's session, so it outlives the address's aliases
    address_id BIGINT NOT NULL UNIQUE REFERENCES channel_addresses (id), -- with whom
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()          -- when it began
);

-- One run of the agent over all messages that were unanswered when it began.
CREATE TABLE channel_turns (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of beginning
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- where it happens
    state           TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'replied', 'silent', 'failed')), -- running until it ends once, for good
    attempt         INTEGER NOT NULL DEFAULT 1,            -- calls of the agent, counted before each call
    agent           TEXT NOT NULL,                         -- which agent was asked: echo, openclaw
    reply           TEXT,                                  -- what it said; set once, never changed
    error           TEXT,                                  -- the last failure
    started_at      TIMESTAMPTZ NOT NULL DEFAULT now(),    -- when the first call of the agent began
    finished_at     TIMESTAMPTZ,                           -- when it ended; NULL while it runs
    CHECK ((state = 'replied') = (reply IS NOT NULL)),
    CHECK ((state = 'running') = (finished_at IS NULL))
);
-- One running turn per conversation: the agent never talks to one person twice at a time.
CREATE UNIQUE INDEX channel_turns_running ON channel_turns (conversation_id) WHERE state = 'running';
CREATE INDEX channel_turns_conversation ON channel_turns (conversation_id, id);

-- Each call of the agent within a turn; a second one after a crash is seen here as attempt 2.
CREATE TABLE channel_turn_attempts (
    turn_id    BIGINT NOT NULL REFERENCES channel_turns (id), -- of which turn
    attempt    INTEGER NOT NULL,                           -- from 1
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),         -- before the call
    ended_at   TIMESTAMPTZ,                                -- NULL after a crash: nobody was there to write it
    error      TEXT,                                       -- why the call failed
    PRIMARY KEY (turn_id, attempt)
);

-- What people wrote.
CREATE TABLE channel_messages (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of arrival within a conversation
    sid             TEXT NOT NULL UNIQUE,                  -- Twilio's id: a message is taken in once, for ever
    address_id      BIGINT NOT NULL REFERENCES channel_addresses (id), -- who wrote it
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- where it belongs
    body            TEXT NOT NULL,                         -- its text; empty for media and locations
    params          JSONB NOT NULL,                        -- everything Twilio sent, as it sent it
    received_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when its webhook was stored
    accepted_at     TIMESTAMPTZ,                           -- the agent shall see it
    turn_id         BIGINT REFERENCES channel_turns (id),  -- the turn that has it
    outcome         TEXT CHECK (outcome IN ('answered', 'silent', 'failed')), -- how it ended; NULL while it has not
    outcome_reason  TEXT,                                  -- why it was not answered
    outcome_at      TIMESTAMPTZ,                           -- when it ended
    CHECK ((outcome IS NULL) = (outcome_at IS NULL))
);
CREATE INDEX channel_messages_unanswered ON channel_messages (conversation_id, id) WHERE turn_id IS NULL AND outcome IS NULL;
CREATE INDEX channel_messages_turn ON channel_messages (turn_id) WHERE turn_id IS NOT NULL;

-- One logical outbound message.
CREATE TABLE channel_deliveries (
    id              UUID PRIMARY KEY,                      -- a UUID v7: in order of planning
    address_id      BIGINT NOT NULL REFERENCES channel_addresses (id), -- to whom
    conversation_id BIGINT REFERENCES channel_conversations (id), -- in which thread; NULL when it belongs to none
    turn_id         BIGINT UNIQUE REFERENCES channel_turns (id), -- a turn is answered once, by a reply or by an apology
    purpose         TEXT NOT NULL CHECK (purpose IN ('reply')), -- why it is sent
    text            TEXT NOT NULL,                         -- the author's text; the chunks cover it
    state           TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'sent', 'delivered', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')), -- follows the chunks
    reason          TEXT,                                  -- why it ended other than well
    expires_at      TIMESTAMPTZ NOT NULL,                  -- what is not sent by then is not sent any more
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),    -- when it was planned
    closed_at       TIMESTAMPTZ,                           -- when nothing was left to send
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE INDEX channel_deliveries_address ON channel_deliveries (address_id, created_at);

-- The part of a delivery that is one Twilio message.
CREATE TABLE channel_chunks (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- part of the status callback's URL
    delivery_id     UUID NOT NULL REFERENCES channel_deliveries (id), -- of which delivery
    index           INTEGER NOT NULL,                      -- from 0, in order
    body            TEXT NOT NULL,                         -- exactly what is sent
    source_start    INTEGER NOT NULL,                      -- bytes of the delivery's text that it covers
    source_end      INTEGER NOT NULL,                      -- the byte after the last one
    meter_proactive BOOLEAN NOT NULL,                      -- counts against the allowance
    proactive       BOOLEAN NOT NULL,                      -- carries the footer
    state           TEXT NOT NULL DEFAULT 'planned' CHECK (state IN -- sending: Twilio may have it, and only proof leads on from there
        ('planned', 'sending', 'accepted', 'sent', 'delivered', 'read', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    attempt         INTEGER NOT NULL DEFAULT 0,            -- of the send; part of the status callback's URL
    sent_to         TEXT,                                  -- the alias of the last attempt
    deadline_at     TIMESTAMPTZ,                           -- the request of the last attempt is given up then
    sid             TEXT UNIQUE,                           -- Twilio's id once it accepted
    accepted_at     TIMESTAMPTZ,                           -- when we learned that
    error_code      INTEGER,                               -- Twilio's
    error_message   TEXT,                                  -- Twilio's or our own words: why it failed, waits or ended
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),    -- of the last change of state
    UNIQUE (delivery_id, index),
    CHECK (source_start <= source_end),
    CHECK ((state = 'sending') <= (deadline_at IS NOT NULL)),
    CHECK ((state IN ('accepted', 'sent', 'delivered', 'read')) <= (sid IS NOT NULL))
);

-- Each attempt to send a chunk. `in_doubt` is an attempt of which nobody knows whether Twilio took it.
CREATE TABLE channel_chunk_attempts (
    chunk_id      BIGINT NOT NULL REFERENCES channel_chunks (id), -- of which chunk
    attempt       INTEGER NOT NULL,                        -- from 1
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- before the request; Twilio's list is searched from here
    deadline_at   TIMESTAMPTZ NOT NULL,                    -- the request was given up then
    outcome       TEXT CHECK (outcome IN ('accepted', 'refused', 'not_sent', 'in_doubt', 'missed')), -- NULL: under way, or its process died
    sid           TEXT,                                    -- Twilio's id, if this attempt was accepted
    error_code    INTEGER,                                 -- Twilio's
    error_message TEXT,                                    -- why nothing is known, or why nothing was sent
    first_miss_at TIMESTAMPTZ,                             -- a first list did not have it
    PRIMARY KEY (chunk_id, attempt)
);

-- A second Twilio message for one chunk: what must never happen, kept so that it cannot happen unseen.
CREATE TABLE channel_double_sends (
    sid       TEXT PRIMARY KEY,                            -- the surplus message
    chunk_id  BIGINT NOT NULL REFERENCES channel_chunks (id), -- sent twice
    first_sid TEXT NOT NULL,                               -- the message that counts
    seen_at   TIMESTAMPTZ NOT NULL DEFAULT now()           -- when it came to light
);

-- Every status callback, also those that moved nothing or that nobody understands yet.
CREATE TABLE channel_status_callbacks (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of storing, which is not the order of Twilio's events
    chunk_id    BIGINT REFERENCES channel_chunks (id),     -- NULL: none of ours, or none that we know
    attempt     INTEGER,                                   -- named in the callback's URL
    sid         TEXT NOT NULL,                             -- of Twilio's message
    status      TEXT NOT NULL,                             -- in Twilio's word
    error_code  INTEGER,                                   -- Twilio's
    params      JSONB NOT NULL,                            -- everything Twilio sent, as it sent it
    received_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when it was stored
);
CREATE INDEX channel_status_callbacks_sid ON channel_status_callbacks (sid);

-- What a person must look at. One row per cause and hour, until somebody acknowledges it.
CREATE TABLE channel_alerts (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what an administrator acknowledges
    cause           TEXT NOT NULL,                         -- double_send, unknown_send, sender_configuration
    detail          TEXT NOT NULL,                         -- of the latest time
    times           INTEGER NOT NULL DEFAULT 1,            -- how often it was raised within the hour
    opened_at       TIMESTAMPTZ NOT NULL DEFAULT now(),    -- the first time
    last_seen_at    TIMESTAMPTZ NOT NULL DEFAULT now(),    -- the latest time
    acknowledged_at TIMESTAMPTZ                            -- when a person had looked; NULL until then
);
CREATE INDEX channel_alerts_cause ON channel_alerts (cause, opened_at DESC);
