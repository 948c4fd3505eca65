-- Who writes, and what they want: users, links, claims, consents, opt-outs, limits.

-- CloudyBot accounts that this channel knows.
CREATE TABLE channel_users (
    id                TEXT PRIMARY KEY,                    -- CloudyBot's id, opaque
    plan              TEXT NOT NULL,                       -- as the configuration spells it, in small letters
    anchor_day        SMALLINT CHECK (anchor_day BETWEEN 1 AND 31), -- billing periods begin on it; NULL: calendar months
    anchor_since      TIMESTAMPTZ,                         -- the end of the period that ran when it was set; NULL: it always held
    former_anchor_day SMALLINT CHECK (former_anchor_day BETWEEN 1 AND 31), -- what holds until then
    paused            BOOLEAN NOT NULL DEFAULT FALSE,      -- the assistant is silent; keywords still work
    created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),  -- when we first heard of the account
    updated_at        TIMESTAMPTZ NOT NULL DEFAULT now()   -- of the last change
);

-- Two rows that prove to be one person become one: the other only points to it.
ALTER TABLE channel_addresses
    ADD COLUMN merged_into BIGINT REFERENCES channel_addresses (id), -- this row is that person; NULL: it stands for itself
    ADD COLUMN last_keyword TEXT CHECK (last_keyword IN ('STOP', 'START')), -- the latest keyword, whichever word was used
    ADD COLUMN last_keyword_at TIMESTAMPTZ;                -- when it was written; an older one that arrives later changes nothing
-- STOP and START of a number and of its other spellings are found by this.
ALTER TABLE channel_address_aliases ADD COLUMN canonical TEXT; -- one spelling for all of a number's; NULL in rows of older versions: the alias itself
CREATE INDEX channel_address_aliases_canonical ON channel_address_aliases (coalesce(canonical, alias));

-- Which user writes from which address, from claim to unlink.
CREATE TABLE channel_links (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named by deliveries: a number that changed hands gets nothing of its former owner
    user_id    TEXT NOT NULL REFERENCES channel_users (id), -- whose
    address_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- which person on WhatsApp
    linked_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the claim was redeemed
    ended_at   TIMESTAMPTZ,                                -- NULL while it holds
    ended_why  TEXT CHECK (ended_why IN ('unlinked', 'replaced', 'moved', 'merged', 'erased')), -- how it ended
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
-- One number per user, one user per number.
CREATE UNIQUE INDEX channel_links_user ON channel_links (user_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX channel_links_address ON channel_links (address_id) WHERE ended_at IS NULL;

-- Tokens by which a phone proves whose it is. Only a keyed hash is kept.
CREATE TABLE channel_claim_tokens (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of making
    token_hash BYTEA NOT NULL UNIQUE,                      -- keyed with CLOUDYBOT_SECRET_KEY
    user_id    TEXT NOT NULL REFERENCES channel_users (id), -- for whom
    replaces   BOOLEAN NOT NULL,                           -- may take a number from another user, or the user's own from another phone
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when it was handed out
    expires_at TIMESTAMPTZ NOT NULL,                       -- worth nothing from then on
    ended_at   TIMESTAMPTZ,                                -- when it was used up or voided
    ending     TEXT CHECK (ending IN ('redeemed', 'voided', 'number_linked_elsewhere', 'plan')), -- how
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
-- A new token voids the one before it.
CREATE UNIQUE INDEX channel_claim_tokens_live ON channel_claim_tokens (user_id) WHERE ended_at IS NULL;
CREATE INDEX channel_claim_tokens_user ON channel_claim_tokens (user_id, id DESC);

-- Wrong tries: after five in an hour a phone's further tries are worth nothing.
CREATE TABLE channel_claim_tries (
    message_id BIGINT PRIMARY KEY REFERENCES channel_messages (id), -- the message that held the token
    address_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- who tried
    tried_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX channel_claim_tries_address ON channel_claim_tries (address_id, tried_at);

-- What people agreed to and took back. Rows are only ever added; an erasure empties `phone`.
CREATE TABLE whatsapp_consents (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of recording
    user_id     TEXT NOT NULL,                             -- whose; no reference, since it outlives the user
    phone       TEXT,                                      -- E.164; NULL: the person hides the number, or was erased
    phone_hash  BYTEA NOT NULL,                            -- keyed hash of the number or opaque id
    method      TEXT NOT NULL CHECK (method IN ('claim_flow', 'inbound_start', 'inbound_stop', 'admin', 'provider')), -- how
    action      TEXT NOT NULL CHECK (action IN ('granted', 'revoked')), -- what
    text        TEXT NOT NULL,                             -- what the person was shown, or wrote
    version     TEXT NOT NULL,                             -- of that text
    message_sid TEXT,                                      -- Twilio's id of the message that says so
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_consents_user ON whatsapp_consents (user_id, id);

-- Who wants no proactive messages: a row exists = opted out. START and a claim delete it; the history is in whatsapp_consents.
CREATE TABLE whatsapp_proactive_opt_outs (
    phone_hash BYTEA PRIMARY KEY,                          -- keyed hash of the number or opaque id; the only thing that is looked up
    phone      TEXT,                                       -- E.164; NULL: the person hides the number, or was erased
    user_id    TEXT,                                       -- linked at that moment; NULL: nobody
    keyword    TEXT NOT NULL,                              -- the word that was written, or admin, or provider
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_proactive_opt_outs_user ON whatsapp_proactive_opt_outs (user_id) WHERE user_id IS NOT NULL;

-- A user's allowance of metered messages in a billing period.
CREATE TABLE whatsapp_sends (
    user_id      TEXT NOT NULL,                            -- whose; no reference, since it outlives the user
    period_start TIMESTAMPTZ NOT NULL,                     -- the first moment
    period_end   TIMESTAMPTZ NOT NULL,                     -- the first moment after it
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0), -- accepted by Twilio; never falls
    reserved     INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- planned, not yet accepted
    credited     INTEGER NOT NULL DEFAULT 0 CHECK (credited >= 0), -- accepted, and failed for good afterwards
    PRIMARY KEY (user_id, period_start),
    CHECK (period_start < period_end)
);

-- Token buckets, shared by all processes.
CREATE TABLE channel_rate_buckets (
    name      TEXT PRIMARY KEY,                            -- whose: sender:N, unlinked:N, total
    tokens    DOUBLE PRECISION NOT NULL,                   -- left at `filled_at`
    filled_at TIMESTAMPTZ NOT NULL                         -- of the latest arrival that was counted
);

-- When a person was last told something that must not be told at every message.
CREATE TABLE channel_notices (
    address_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- who
    about      TEXT NOT NULL,                              -- linking, plan, rate
    told_at    TIMESTAMPTZ NOT NULL,                       -- when
    PRIMARY KEY (address_id, about)
);

-- Secrets that development makes for itself; production brings its own.
CREATE TABLE channel_secrets (
    name       TEXT PRIMARY KEY,                           -- secret_key
    secret     TEXT NOT NULL,                              -- in the spelling of the environment variable
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()          -- when it was made
);

-- A conversation belongs to a user, who may change phones; only those of older versions belong to an address.
ALTER TABLE channel_conversations
    ALTER COLUMN address_id DROP NOT NULL,
    ADD COLUMN user_id TEXT UNIQUE REFERENCES channel_users (id);

-- A message belongs to a conversation only once its sender is known to be a user.
ALTER TABLE channel_messages
    ALTER COLUMN conversation_id DROP NOT NULL,
    ADD COLUMN written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the person wrote it, as far as Twilio tells
    ADD COLUMN backfilled BOOLEAN NOT NULL DEFAULT FALSE,  -- its webhook never came; Twilio's list had it
    ADD COLUMN admitted_at TIMESTAMPTZ,                    -- the limits let it through: it is not counted again
    DROP CONSTRAINT channel_messages_outcome_check,
    ADD CONSTRAINT channel_messages_outcome_check CHECK (outcome IN (
        'answered', 'silent', 'failed',                    -- by a turn
        'keyword', 'claim', 'browser',                     -- it was for the channel itself
        'not_linked', 'plan', 'paused', 'disabled', 'rate_limited', 'moderated', 'late', 'erased')); -- the agent did not see it, and why
CREATE INDEX channel_messages_address ON channel_messages (address_id, id);

-- A notice answers a message, once, and is no turn's reply.
ALTER TABLE channel_deliveries
    ADD COLUMN message_id BIGINT UNIQUE REFERENCES channel_messages (id), -- the message that a notice answers
    ADD COLUMN link_id BIGINT REFERENCES channel_links (id), -- sent only while this link holds; NULL: whoever has the address
    DROP CONSTRAINT channel_deliveries_purpose_check,
    ADD CONSTRAINT channel_deliveries_purpose_check CHECK (purpose IN ('reply', 'notice'));
CREATE INDEX channel_deliveries_link ON channel_deliveries (link_id) WHERE state = 'open';
