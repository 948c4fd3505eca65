-- The channel's own memory: who writes, what was said, what goes out. The queue (schema queue) only ever holds ids of these rows.

-- One WhatsApp person.
CREATE TABLE channel_addresses (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_inbound_at TIMESTAMPTZ,                           -- opens WhatsApp's 24-hour window for free text
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- The names under which that person writes: a number, and since 2026 also an id that hides it.
CREATE TABLE channel_address_aliases (
    alias        TEXT PRIMARY KEY,                         -- as Twilio spells it: whatsapp:+E164 or whatsapp:CC.id
    address_id   BIGINT NOT NULL REFERENCES channel_addresses (id),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),       -- the latest one is written back to
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX channel_address_aliases_address ON channel_address_aliases (address_id, last_seen_at DESC);

-- A thread with the agent. Until users exist there is one for each address.
CREATE TABLE channel_conversations (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address_id BIGINT NOT NULL UNIQUE REFERENCES channel_addresses (id),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- One run of the agent over all messages that were unanswered when it began.
CREATE TABLE channel_turns (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id),
    state           TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'replied', 'silent', 'failed')),
    attempt         INTEGER NOT NULL DEFAULT 1,            -- calls of the agent, counted before each call
    agent           TEXT NOT NULL,                         -- which agent was asked: echo, openclaw
    reply           TEXT,                                  -- what it said; set once, never changed
    error           TEXT,                                  -- the last failure
    started_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at     TIMESTAMPTZ,
    CHECK ((state = 'replied') = (reply IS NOT NULL)),
    CHECK ((state = 'running') = (finished_at IS NULL))
);
-- One running turn per conversation: the agent never talks to one person twice at a time.
CREATE UNIQUE INDEX channel_turns_running ON channel_turns (conversation_id) WHERE state = 'running';
CREATE INDEX channel_turns_conversation ON channel_turns (conversation_id, id);

-- Each call of the agent within a turn; a second one after a crash is seen here as attempt 2.
CREATE TABLE channel_turn_attempts (
    turn_id    BIGINT NOT NULL REFERENCES channel_turns (id),
    attempt    INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ended_at   TIMESTAMPTZ,                                -- NULL after a crash: nobody was there to write it
    error      TEXT,
    PRIMARY KEY (turn_id, attempt)
);

-- What people wrote.
CREATE TABLE channel_messages (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sid             TEXT NOT NULL UNIQUE,                  -- Twilio's id: a message is taken in once, for ever
    address_id      BIGINT NOT NULL REFERENCES channel_addresses (id),
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id),
    body            TEXT NOT NULL,
    params          JSONB NOT NULL,                        -- everything Twilio sent, as it sent it
    received_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    accepted_at     TIMESTAMPTZ,                           -- the agent shall see it
    turn_id         BIGINT REFERENCES channel_turns (id),  -- the turn that has it
    outcome         TEXT CHECK (outcome IN ('answered', 'silent', 'failed')), -- how it ended; NULL while it has not
    outcome_reason  TEXT,
    outcome_at      TIMESTAMPTZ,
    CHECK ((outcome IS NULL) = (outcome_at IS NULL))
);
CREATE INDEX channel_messages_unanswered ON channel_messages (conversation_id, id) WHERE turn_id IS NULL AND outcome IS NULL;
CREATE INDEX channel_messages_turn ON channel_messages (turn_id) WHERE turn_id IS NOT NULL;

-- One logical outbound message.
CREATE TABLE channel_deliveries (
    id              UUID PRIMARY KEY,
    address_id      BIGINT NOT NULL REFERENCES channel_addresses (id),
    conversation_id BIGINT REFERENCES channel_conversations (id),
    turn_id         BIGINT UNIQUE REFERENCES channel_turns (id), -- a turn is answered once, by a reply or by an apology
    purpose         TEXT NOT NULL CHECK (purpose IN ('reply')),
    text            TEXT NOT NULL,                         -- the author's text; the chunks cover it
    state           TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'sent', 'delivered', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    reason          TEXT,                                  -- why it ended other than well
    expires_at      TIMESTAMPTZ NOT NULL,                  -- what is not sent by then is not sent any more
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    closed_at       TIMESTAMPTZ,
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE INDEX channel_deliveries_address ON channel_deliveries (address_id, created_at);

-- The part of a delivery that is one Twilio message.
CREATE TABLE channel_chunks (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id     UUID NOT NULL REFERENCES channel_deliveries (id),
    index           INTEGER NOT NULL,                      -- from 0, in order
    body            TEXT NOT NULL,                         -- exactly what is sent
    source_start    INTEGER NOT NULL,                      -- bytes of the delivery's text that it covers
    source_end      INTEGER NOT NULL,
    meter_proactive BOOLEAN NOT NULL,                      -- counts against the allowance
    proactive       BOOLEAN NOT NULL,                      -- carries the footer
    state           TEXT NOT NULL DEFAULT 'planned' CHECK (state IN
        ('planned', 'sending', 'accepted', 'sent', 'delivered', 'read', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    attempt         INTEGER NOT NULL DEFAULT 0,            -- of the send; part of the status callback's URL
    sent_to         TEXT,                                  -- the alias of the last attempt
    deadline_at     TIMESTAMPTZ,                           -- the request of the last attempt is given up then
    sid             TEXT UNIQUE,                           -- Twilio's id once it accepted
    accepted_at     TIMESTAMPTZ,
    error_code      INTEGER,                               -- Twilio's
    error_message   TEXT,
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (delivery_id, index),
    CHECK (source_start <= source_end),
    CHECK ((state = 'sending') <= (deadline_at IS NOT NULL)),
    CHECK ((state IN ('accepted', 'sent', 'delivered', 'read')) <= (sid IS NOT NULL))
);

-- Each attempt to send a chunk. `in_doubt` is an attempt of which nobody knows whether Twilio took it.
CREATE TABLE channel_chunk_attempts (
    chunk_id      BIGINT NOT NULL REFERENCES channel_chunks (id),
    attempt       INTEGER NOT NULL,
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    deadline_at   TIMESTAMPTZ NOT NULL,
    outcome       TEXT CHECK (outcome IN ('accepted', 'refused', 'not_sent', 'in_doubt', 'missed')), -- NULL: under way, or its process died
    sid           TEXT,
    error_code    INTEGER,
    error_message TEXT,
    first_miss_at TIMESTAMPTZ,                             -- a first list did not have it
    PRIMARY KEY (chunk_id, attempt)
);

-- A second Twilio message for one chunk: what must never happen, kept so that it cannot happen unseen.
CREATE TABLE channel_double_sends (
    sid       TEXT PRIMARY KEY,
    chunk_id  BIGINT NOT NULL REFERENCES channel_chunks (id),
    first_sid TEXT NOT NULL,
    seen_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Every status callback, also those that moved nothing or that nobody understands yet.
CREATE TABLE channel_status_callbacks (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chunk_id    BIGINT REFERENCES channel_chunks (id),     -- NULL: none of ours, or none that we know
    attempt     INTEGER,
    sid         TEXT NOT NULL,
    status      TEXT NOT NULL,
    error_code  INTEGER,
    params      JSONB NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX channel_status_callbacks_sid ON channel_status_callbacks (sid);

-- What a person must look at. One row per cause and hour, until somebody acknowledges it.
CREATE TABLE channel_alerts (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause           TEXT NOT NULL,
    detail          TEXT NOT NULL,
    times           INTEGER NOT NULL DEFAULT 1,
    opened_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    acknowledged_at TIMESTAMPTZ
);
CREATE INDEX channel_alerts_cause ON channel_alerts (cause, opened_at DESC);
