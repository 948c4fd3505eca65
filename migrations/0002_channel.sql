-- The channel's own memory: who writes, what was said, what goes out, what it costs. The queue (schema queue) only ever holds ids of these rows. Functions
-- and triggers stand in functions.sql.

-- Which text of functions.sql the database has.
CREATE TABLE channel_functions (
    is_only  BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- there is one row
    revision INTEGER NOT NULL,                             -- a process of an earlier one leaves the functions alone
    hash     BYTEA NOT NULL                                -- SHA-256 of the text
);

-- -------- Who is who --------

-- CloudyBot accounts that this channel knows.
CREATE TABLE channel_users (
    id                TEXT PRIMARY KEY,                    -- CloudyBot's id, opaque
    plan              TEXT NOT NULL,                       -- as the configuration spells it, in small letters
    anchor_day        SMALLINT CHECK (anchor_day BETWEEN 1 AND 31), -- billing periods begin on it; NULL: calendar months
    anchor_since      TIMESTAMPTZ,                         -- the end of the period that ran when it was set; NULL: it always held
    former_anchor_day SMALLINT CHECK (former_anchor_day BETWEEN 1 AND 31), -- what holds until then
    paused            BOOLEAN NOT NULL DEFAULT FALSE,      -- the assistant is silent; keywords still work
    timezone          TEXT,                                -- the user's own, by its IANA name; NULL: not known
    quiet_from        TIME,                                -- on the clocks of that zone, nothing is sent of our own accord from this time of the day …
    quiet_to          TIME,                                -- … to this one, possibly over midnight; both NULL: at any time
    attributes        JSONB NOT NULL DEFAULT '{}',         -- what the product tells of the user, a text for each name, for {{user.attributes.NAME}}
    created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),  -- when we first heard of the account
    updated_at        TIMESTAMPTZ NOT NULL DEFAULT now(),  -- of the last change
    CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
    CHECK (quiet_from <> quiet_to),
    CHECK (jsonb_typeof(attributes) = 'object')
);
-- An audience of a plan is read in pages, in the order of the users.
CREATE INDEX channel_users_plan ON channel_users (plan, id);
-- An administrator looks for the beginning of an id or of a name, byte by byte.
CREATE INDEX channel_users_id_begins ON channel_users (id text_pattern_ops);
CREATE INDEX channel_users_name_begins ON channel_users (lower(attributes ->> 'name') text_pattern_ops);
-- An audience whose users have zones of their own is read zone by zone, in the order of the users.
CREATE INDEX channel_users_timezone ON channel_users (timezone, id);

-- Users of other cells, as administrators have said. A cell is a sender's number with its database and processes; a user is in one of them.
CREATE TABLE channel_users_elsewhere (
    user_id  TEXT PRIMARY KEY,                             -- CloudyBot's id; no reference, since this cell may never have known the user
    cell     TEXT NOT NULL,                                -- the name of the user's cell, as whoever moves users calls it
    since    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when that was said of this cell
);

-- Deployments commonly give each user a gateway of their own. What is NULL is the deployment's.
CREATE TABLE channel_user_agents (
    user_id    TEXT PRIMARY KEY REFERENCES channel_users (id) ON DELETE CASCADE, -- whose
    base_url   TEXT,                                       -- the user's own gateway
    token      BYTEA,                                      -- its token, sealed with the secret key; NULL: it wants none
    sealed_by  TEXT,                                       -- fingerprint of the key that opens the token; NULL: no token
    agent_id   TEXT,                                       -- which agent of the gateway
    model      TEXT,                                       -- which model behind it
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),         -- of the last change
    CHECK (token IS NULL OR base_url IS NOT NULL),         -- one gateway's token is never shown to another
    CHECK ((token IS NULL) = (sealed_by IS NULL))
);
CREATE INDEX channel_user_agents_sealed_by ON channel_user_agents (sealed_by, user_id) WHERE token IS NOT NULL;

-- What was found out about agents' gateways, the deployment's and users' own. All processes go by it.
CREATE TABLE channel_gateways (
    address_hash BYTEA PRIMARY KEY,                        -- SHA-256 of its address, which may be a person's own
    memory       TEXT CHECK (memory IN ('gateway', 'thread')), -- who keeps the history of conversations: the gateway, or nobody there, so that each turn brings its thread along; NULL: it has never told
    answered     BOOLEAN NOT NULL,                         -- whether it answered when it was last asked
    asked_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when it was last asked; a month later it is forgotten
);
CREATE INDEX channel_gateways_asked ON channel_gateways (asked_at);

-- One WhatsApp person.
CREATE TABLE channel_addresses (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what the queue's lanes and other tables call this person
    last_inbound_at TIMESTAMPTZ,                           -- opens WhatsApp's 24-hour window for free text
    last_keyword    TEXT CHECK (last_keyword IN ('STOP', 'START')), -- the latest keyword, whichever word was used
    last_keyword_at TIMESTAMPTZ,                           -- when it was written; an older one that arrives later changes nothing
    merged_into     BIGINT REFERENCES channel_addresses (id), -- this row proved to be that person; NULL: it stands for itself
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now()     -- when they first wrote
);
CREATE INDEX channel_addresses_merged ON channel_addresses (merged_into) WHERE merged_into IS NOT NULL;

-- The names under which that person writes: a number, and an opaque id that hides it.
CREATE TABLE channel_address_aliases (
    alias        TEXT PRIMARY KEY,                         -- as Twilio spells it: whatsapp:+E164 or whatsapp:CC.id
    canonical    TEXT,                                     -- one spelling for all of a number's; NULL: the alias itself
    address_id   BIGINT NOT NULL REFERENCES channel_addresses (id), -- whose name it is; the first one seen beside it
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),       -- the latest one is written back to
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()        -- when it was first seen
);
CREATE INDEX channel_address_aliases_address ON channel_address_aliases (address_id, last_seen_at DESC);
-- STOP and START of a number and of its other spellings are found by this.
CREATE INDEX channel_address_aliases_canonical ON channel_address_aliases (coalesce(canonical, alias));

-- Which user writes from which address, from claim to unlink.
CREATE TABLE channel_links (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named by deliveries: a number that changed hands gets nothing of its former owner
    user_id        TEXT REFERENCES channel_users (id),     -- whose; NULL: the user was erased
    address_id     BIGINT NOT NULL REFERENCES channel_addresses (id), -- which person on WhatsApp
    linked_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the claim was redeemed
    unproven_since TIMESTAMPTZ,                            -- since when its number belongs to somebody else, so that nothing is said under it until a new claim; NULL: it is proven
    ended_at       TIMESTAMPTZ                             -- NULL while it holds; how it ended is in the consents
);
-- One number per user, one user per number.
CREATE UNIQUE INDEX channel_links_user ON channel_links (user_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX channel_links_address ON channel_links (address_id) WHERE ended_at IS NULL;
-- A reply looks for the latest link of its conversation's user, also one that has ended; erasing a user looks for all of them.
CREATE INDEX channel_links_of_user ON channel_links (user_id, address_id, id);
-- Two addresses that prove to be one person take each other's links over, also those that have ended.
CREATE INDEX channel_links_of_address ON channel_links (address_id);

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
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of noticing
    noticed_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when too many ids had changed at once, or an operator said so
    decided_at    TIMESTAMPTZ,                             -- when an operator decided; NULL: nobody has yet
    trusted_since TIMESTAMPTZ,                             -- ids that came from then on are the same people's; NULL: undecided or refused
    CHECK (trusted_since IS NULL OR decided_at IS NOT NULL)
);
CREATE UNIQUE INDEX channel_sender_moves_undecided ON channel_sender_moves ((TRUE)) WHERE decided_at IS NULL;

-- Tokens by which a phone proves whose it is. Only a keyed hash is kept.
CREATE TABLE channel_claim_tokens (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of making
    token_hash BYTEA NOT NULL UNIQUE,                      -- keyed with CLOUDYBOT_SECRET_KEY
    user_id    TEXT NOT NULL REFERENCES channel_users (id), -- for whom
    replaces   BOOLEAN NOT NULL,                           -- may take a number from another user, or the user's own from another phone
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when it was handed out
    expires_at TIMESTAMPTZ NOT NULL,                       -- worth nothing from then on
    ended_at   TIMESTAMPTZ,                                -- when it was used up or voided
    ending     TEXT CHECK (ending IN ('redeemed', 'voided', 'number_linked_elsewhere', 'plan', 'country')), -- how
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
-- A new token voids the one before it.
CREATE UNIQUE INDEX channel_claim_tokens_live ON channel_claim_tokens (user_id) WHERE ended_at IS NULL;
CREATE INDEX channel_claim_tokens_user ON channel_claim_tokens (user_id, id DESC);

-- What people agreed to and took back. The channel only adds rows. An erasure empties `phone`, and a rotation of the secret keys hashes anew.
CREATE TABLE whatsapp_consents (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of recording
    user_id     TEXT NOT NULL,                             -- whose; no reference, since it outlives the user
    phone       TEXT,                                      -- E.164; NULL: the person hides the number, or was erased
    phone_hash  BYTEA NOT NULL,                            -- keyed hash of the number or opaque id
    hashed_by   TEXT NOT NULL,                             -- fingerprint of the key behind phone_hash
    method      TEXT NOT NULL CHECK (method IN ('claim_flow', 'inbound_start', 'inbound_stop', 'admin', 'provider')), -- how
    action      TEXT NOT NULL CHECK (action IN ('granted', 'revoked')), -- what
    text        TEXT NOT NULL,                             -- what the person was shown, or wrote
    version     TEXT NOT NULL,                             -- of that text
    message_sid TEXT,                                      -- Twilio's id of the message that says so
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_consents_user ON whatsapp_consents (user_id, id);
CREATE INDEX whatsapp_consents_hashed_by ON whatsapp_consents (hashed_by, id);

-- Who wants no proactive messages: a row exists = opted out. START and a claim delete it; the history is in whatsapp_consents.
CREATE TABLE whatsapp_proactive_opt_outs (
    phone_hash BYTEA PRIMARY KEY,                          -- keyed hash of the number or opaque id; the only thing that is looked up
    hashed_by  TEXT NOT NULL,                              -- fingerprint of the key behind phone_hash
    phone      TEXT,                                       -- E.164; NULL: the person hides the number, or was erased
    user_id    TEXT,                                       -- linked at that moment; NULL: nobody
    keyword    TEXT NOT NULL,                              -- the word that was written, or admin, provider or erased
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_proactive_opt_outs_user ON whatsapp_proactive_opt_outs (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX whatsapp_proactive_opt_outs_hashed_by ON whatsapp_proactive_opt_outs (hashed_by, phone_hash);

-- The keys that this database has been used with. A start that has lost a key on which rows hang would forget every STOP in silence, so it is refused.
CREATE TABLE channel_secret_keys (
    fingerprint    TEXT PRIMARY KEY,                       -- sixteen hexadecimal digits made from the key; nothing leads back from them
    first_used_at  TIMESTAMPTZ NOT NULL DEFAULT now(),     -- the first start with it
    last_used_at   TIMESTAMPTZ NOT NULL DEFAULT now(),     -- the latest start with it
    hashed_anew_at TIMESTAMPTZ,                            -- when all that could be was last hashed with it, as the first of the keys; NULL: never
    given_up_at    TIMESTAMPTZ                             -- an administrator said that the key is lost: what hangs on it is missed by nobody
);

-- Secrets that development makes for itself; production brings its own.
CREATE TABLE channel_secrets (
    name       TEXT PRIMARY KEY,                           -- secret_key
    secret     TEXT NOT NULL,                              -- in the spelling of the environment variable
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()          -- when it was made
);

-- What tells this database from others: several deployments may share an agent's gateway, whose sessions are told apart by their keys alone, and ids
-- begin at 1 in every database.
CREATE TABLE channel_deployment (
    is_only    BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- there is one row
    name       TEXT NOT NULL,                              -- random, made at the first start; part of every session key, in small letters since gateways fold case
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()          -- when it was made
);

-- -------- Schedules --------

-- Operators' cron duties: their present definitions.
CREATE TABLE channel_schedules (
    name          TEXT PRIMARY KEY,                        -- the file's stem
    hash          TEXT NOT NULL,                           -- of the definition: a process fires only what it has the same of
    definition    JSONB NOT NULL,                          -- as the last process that loaded it had it
    loaded_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when it became the present one
    fired_until   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- every moment up to here is a slot, or was left out on purpose
    enabled       BOOLEAN NOT NULL DEFAULT TRUE,           -- an administrator's switch, beside the file's own
    off_cause     TEXT CHECK (off_cause IN ('by_hand', 'failed_in_row')), -- what switched it off; NULL while it is enabled
    off_since     TIMESTAMPTZ,                             -- when it was switched off
    off_by        TEXT,                                    -- who did it by hand
    off_reason    TEXT,                                    -- why: as whoever did it said, or how its last slot failed; NULL: nobody said
    failed_in_row INTEGER NOT NULL DEFAULT 0,              -- slots that failed one after the other
    removed_at    TIMESTAMPTZ,                             -- its file is gone; NULL while it is there
    CHECK (enabled = (off_cause IS NULL)),
    CHECK ((off_cause IS NULL) = (off_since IS NULL)),
    CHECK ((off_cause IS NOT DISTINCT FROM 'by_hand') = (off_by IS NOT NULL)),
    CHECK (enabled <= (off_reason IS NULL))
);

-- The processes of the service and what each of them does, for people; those that run jobs have a row in queue.workers as well.
CREATE TABLE channel_processes (
    process    TEXT PRIMARY KEY,                           -- host and process id
    roles      TEXT[] NOT NULL CHECK (roles <@ ARRAY['receiver', 'workers', 'scheduler', 'console']), -- what it was started for
    version    TEXT NOT NULL,                              -- of the program
    started_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when it first said so
    seen_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- it lives: written about twice a minute
);

-- Figures of the whole database for metrics: one of all processes reads them every so often, and the others take what it has kept.
CREATE TABLE channel_gauges (
    is_only    BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- there is one row
    asked_at   TIMESTAMPTZ NOT NULL,                       -- when a process last took its turn to read them
    read_at    TIMESTAMPTZ,                                -- when the figures were read; NULL: never yet
    figures    JSONB                                       -- each by its name
);

-- Which process has which version of the schedules' files, for people: a machine that a configuration has not reached yet is seen here.
CREATE TABLE channel_schedulers (
    process  TEXT PRIMARY KEY,                             -- host and process id
    set_hash TEXT NOT NULL,                                -- of everything it has loaded: two processes with one hash do the same
    hashes   JSONB NOT NULL,                               -- of each schedule by name
    zone_release TEXT NOT NULL,                            -- of tzdata, whose rules it fires by: with another release a slot may have another moment
    seen_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- it lives: written about twice a minute
);

-- A moment of a schedule, in each zone of its audience: two schedulers, a restart or an edit cannot fire it twice.
CREATE TABLE channel_slots (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named by jobs
    schedule         TEXT NOT NULL REFERENCES channel_schedules (name), -- of which schedule
    zone             TEXT NOT NULL DEFAULT '',             -- of a schedule in users' own zones, whose users it is for; '': everybody of the audience
    moment           TIMESTAMPTZ NOT NULL,                 -- when it fell due; of a manual one, when it was asked for
    local_time       TIMESTAMP,                            -- of a schedule in users' own zones, what stands for the moment in each of them; NULL: one zone, or by hand
    manual           BOOLEAN NOT NULL DEFAULT FALSE,       -- somebody fired it by hand
    is_test          BOOLEAN NOT NULL DEFAULT FALSE,       -- somebody tried the schedule with one user
    retry_of         BIGINT REFERENCES channel_slots (id), -- the failed slot whose audience this one goes on with; NULL: it is nobody's successor
    definition       JSONB NOT NULL,                       -- what it does, whatever the schedule becomes meanwhile
    state            TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed', 'skipped')), -- open until the last user is planned or given up
    reason           TEXT,                                 -- why it was skipped or failed
    last_user        TEXT,                                 -- of the audience, the last one that was dealt with: a crash goes on from here
    audience_done_at TIMESTAMPTZ,                          -- when the last user of the audience was dealt with or given to the agent
    fired_at         TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when this row was made
    finished_at      TIMESTAMPTZ,                          -- when it ended
    UNIQUE (schedule, zone, moment),
    CHECK (manual OR NOT is_test),
    CHECK ((state = 'open') = (finished_at IS NULL))
);
CREATE INDEX channel_slots_schedule ON channel_slots (schedule, moment DESC);
CREATE INDEX channel_slots_open ON channel_slots (schedule, zone) WHERE state = 'open';
CREATE UNIQUE INDEX channel_slots_retry_of ON channel_slots (retry_of) WHERE retry_of IS NOT NULL;

-- -------- What is said --------

-- A user's thread with the agent, shared by WhatsApp and the dashboard.
CREATE TABLE channel_conversations (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named in the agent's session
    user_id    TEXT UNIQUE REFERENCES channel_users (id),  -- whose; NULL: the user was erased
    entries    BIGINT NOT NULL DEFAULT 0,                  -- the last entry's number
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()          -- when it began
    -- Half of each page is kept free: a duty changes the counters of hundreds of neighbours at once, and each new version stays beside the old one.
) WITH (fillfactor = 50);

-- Conversations in which a person of the operator's answers instead of the agent. What is written meanwhile waits unanswered; what is left at the end is
-- the agent's again.
CREATE TABLE channel_takeovers (
    conversation_id BIGINT PRIMARY KEY REFERENCES channel_conversations (id), -- which one
    begun_by        TEXT NOT NULL,                         -- which administrator
    begun_at        TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when
    ends_at         TIMESTAMPTZ NOT NULL                   -- the agent answers again from then on; each answer by hand puts it off
);
CREATE INDEX channel_takeovers_due ON channel_takeovers (ends_at);

-- The times in which an agent answered nobody: from the first turn of a person that it failed to its next answer to anybody. In each of them a person
-- reads one apology at most.
CREATE TABLE channel_agent_outages (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of beginning; named by the turns that failed
    agent     TEXT NOT NULL,                               -- whose: a gateway and an agent's name; of a user's own gateway also the conversation
    trouble   TEXT NOT NULL CHECK (trouble IN              -- what was wrong at first
        ('token', 'endpoint', 'name', 'unreachable', 'locked_out', 'busy', 'provider', 'setup', 'failing')),
    opened_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the first turn had failed
    failed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the latest one had
    closed_at TIMESTAMPTZ                                  -- when the agent answered again, or was not asked any more; NULL: it has done neither
);
CREATE UNIQUE INDEX channel_agent_outages_open ON channel_agent_outages (agent) WHERE closed_at IS NULL;
-- An administrator sees the longest first.
CREATE INDEX channel_agent_outages_open_since ON channel_agent_outages (opened_at) WHERE closed_at IS NULL;
CREATE INDEX channel_agent_outages_closed ON channel_agent_outages (closed_at) WHERE closed_at IS NOT NULL;

-- One run of the agent over all messages that were unanswered when it began.
CREATE TABLE channel_turns (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of beginning
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- where it happens
    channel         TEXT NOT NULL DEFAULT 'whatsapp' CHECK (channel IN ('whatsapp', 'dashboard')), -- where it was asked; one that was asked in both answers in WhatsApp
    slot_id         BIGINT REFERENCES channel_slots (id),  -- the slot that asked for it; NULL: somebody wrote
    retry_of        BIGINT REFERENCES channel_turns (id),  -- the failed turn whose messages this one answers; NULL: it is nobody's successor
    state           TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'replied', 'silent', 'failed')), -- running until it ends once, for good
    calls           INTEGER NOT NULL DEFAULT 1 CHECK (calls >= 0), -- calls of the agent, counted before each call; one that began no run is given back
    ask_again_at    TIMESTAMPTZ,                           -- after a failed call: the agent is not asked before; NULL: a call is under way
    told_at         TIMESTAMPTZ,                           -- when the person was told that it takes longer, once, or was not since they had read an apology in the same outage, which counts as told; NULL: not yet
    agent           TEXT NOT NULL,                         -- which agent was asked: echo, openclaw, none; channel: the channel itself answered; or which schedule spoke
    in_hand         TEXT,                                  -- what it has said while the reply could not be stored as a whole, '' if it chose silence; NULL: nothing
    reply           TEXT,                                  -- what it said; set once, never changed
    withheld        TEXT[] NOT NULL DEFAULT '{}' CHECK (withheld <@ ARRAY['silence', 'heartbeat', 'thought', 'media_directive', 'control_character']), -- kinds of what the answer held that is not for a person, without the words
    error           TEXT,                                  -- the last failure
    outage_id       BIGINT REFERENCES channel_agent_outages (id), -- the outage of its agent in which it failed; NULL: there was none, or the turn has lost its words
    no_apology      TEXT CHECK (no_apology IN ('retried', 'same_outage')), -- why nobody apologised though it failed; NULL: somebody did, where somebody had asked
    started_at      TIMESTAMPTZ NOT NULL DEFAULT now(),    -- when the first call of the agent began
    finished_at     TIMESTAMPTZ,                           -- when it ended; NULL while it runs
    CHECK ((state = 'replied') = (reply IS NOT NULL)),
    CHECK ((state = 'running') = (finished_at IS NULL))
);
-- One running turn per conversation: the agent never talks to one person twice at a time.
CREATE UNIQUE INDEX channel_turns_running ON channel_turns (conversation_id) WHERE state = 'running';
CREATE INDEX channel_turns_conversation ON channel_turns (conversation_id, id);
-- What people of the operator's have answered: an agent that keeps the history itself is told of it.
CREATE INDEX channel_turns_by_hand ON channel_turns (conversation_id, id) WHERE agent = 'person';
CREATE UNIQUE INDEX channel_turns_retry_of ON channel_turns (retry_of) WHERE retry_of IS NOT NULL;
-- Administrators look for what did not end as most things do, of one user or of all. What ended as usual is everywhere, and needs no index.
CREATE INDEX channel_turns_unusual ON channel_turns (state, id) WHERE state IN ('failed', 'silent');
CREATE INDEX channel_turns_unusual_of ON channel_turns (conversation_id, state, id) WHERE state IN ('failed', 'silent');

-- Whether somebody apologised to a person in an outage, and what failed in outages since a moment.
CREATE INDEX channel_turns_outage ON channel_turns (outage_id, conversation_id) WHERE outage_id IS NOT NULL;
CREATE INDEX channel_turns_failed_in_outage ON channel_turns (finished_at, id) WHERE outage_id IS NOT NULL;

-- Answers that people of the operator's wrote by hand: a form that is sent twice answers once.
CREATE TABLE channel_answers_by_hand (
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- in which one
    key             TEXT NOT NULL,                         -- of the request
    turn_id         BIGINT NOT NULL REFERENCES channel_turns (id), -- what came of it
    answered_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when; after a day the key is forgotten
    PRIMARY KEY (conversation_id, key)
);
CREATE INDEX channel_answers_by_hand_old ON channel_answers_by_hand (answered_at);

-- Each call of the agent within a turn; a second one after a crash is seen here as call 2.
CREATE TABLE channel_agent_calls (
    turn_id    BIGINT NOT NULL REFERENCES channel_turns (id), -- of which turn
    call       INTEGER NOT NULL,                           -- from 1
    tries      INTEGER NOT NULL DEFAULT 1,                 -- how often it was asked under this number: more than once while no run began
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),         -- before the latest of these calls
    ended_at   TIMESTAMPTZ,                                -- NULL after a crash: nobody was there to write it
    error      TEXT,                                       -- why the call failed
    PRIMARY KEY (turn_id, call)
);

-- What people wrote.
CREATE TABLE channel_messages (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of arrival within a conversation
    sid             TEXT NOT NULL UNIQUE,                  -- Twilio's id: a message is taken in once, for ever
    channel         TEXT NOT NULL DEFAULT 'whatsapp' CHECK (channel IN ('whatsapp', 'dashboard')), -- where it was written
    address_id      BIGINT REFERENCES channel_addresses (id), -- who wrote it; NULL: in the dashboard
    conversation_id BIGINT REFERENCES channel_conversations (id), -- where it belongs; NULL: its writer is not known to be a user
    body            TEXT NOT NULL,                         -- its text; empty for media and locations; a claim token is taken out when the message has its outcome
    params          JSONB NOT NULL,                        -- everything Twilio sent, as it sent it, without claim tokens
    written_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when the person wrote it, as far as Twilio tells
    received_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when its webhook was stored
    backfilled      BOOLEAN NOT NULL DEFAULT FALSE,        -- its webhook never came; Twilio's list had it
    admitted_at     TIMESTAMPTZ,                           -- the limits let it through: it is not counted again
    accepted_at     TIMESTAMPTZ,                           -- it belongs to its thread; the agent shall see it unless it had its outcome from the beginning
    turn_id         BIGINT REFERENCES channel_turns (id),  -- the turn that has it
    outcome         TEXT CHECK (outcome IN (               -- how it ended; NULL while it has not
        'answered', 'silent', 'failed',                    -- by a turn
        'keyword', 'claim', 'browser', 'human',                     -- it was for the channel itself
        'not_linked', 'country', 'plan', 'paused', 'disabled', 'rate_limited', 'moderated', 'late', 'erased')), -- the agent did not see it, and why
    outcome_reason  TEXT,                                  -- why it was not answered
    outcome_at      TIMESTAMPTZ,                           -- when it ended
    retried_at      TIMESTAMPTZ,                           -- when its outcome `failed` gave way to another try by hand
    CHECK ((outcome IS NULL) = (outcome_at IS NULL)),
    CHECK ((channel = 'whatsapp') = (address_id IS NOT NULL))
);
CREATE INDEX channel_messages_address ON channel_messages (address_id, id);
CREATE INDEX channel_messages_conversation ON channel_messages (conversation_id, id) WHERE conversation_id IS NOT NULL;
CREATE INDEX channel_messages_unanswered ON channel_messages (conversation_id, id) WHERE turn_id IS NULL AND outcome IS NULL;
CREATE INDEX channel_messages_turn ON channel_messages (turn_id) WHERE turn_id IS NOT NULL;
CREATE INDEX channel_messages_unusual ON channel_messages (outcome, id) WHERE outcome <> 'answered';
CREATE INDEX channel_messages_unusual_of ON channel_messages (conversation_id, outcome, id) WHERE outcome <> 'answered';

-- What came of each file that people sent. The files themselves stay at Twilio: a second call of the agent fetches them again.
CREATE TABLE channel_attachments (
    message_id   BIGINT NOT NULL REFERENCES channel_messages (id), -- with which message; where Twilio keeps it stands in its params
    index        INTEGER NOT NULL,                         -- from 0, as Twilio counts
    content_type TEXT NOT NULL,                            -- what its writer says it is
    state        TEXT NOT NULL CHECK (state IN ('shown', 'named', 'refused', 'failed')), -- the agent saw it, or was told its name, or its name and why not
    size_bytes   BIGINT,                                   -- of what was fetched
    reason       TEXT,                                     -- why it could not be shown
    fetched_at   TIMESTAMPTZ NOT NULL DEFAULT now(),       -- the last time that a turn needed it
    PRIMARY KEY (message_id, index),
    CHECK ((state IN ('refused', 'failed')) = (reason IS NOT NULL))
);

-- One thread for the dashboard and WhatsApp: what was written in either, and what the assistant said. Entries are numbered under the conversation's lock,
-- so a reader who has seen a number never misses a smaller one.
CREATE TABLE channel_entries (
    conversation_id BIGINT NOT NULL REFERENCES channel_conversations (id), -- of which thread
    number          BIGINT NOT NULL,                       -- from 1, in the order in which they came about
    message_id      BIGINT REFERENCES channel_messages (id), -- what a person wrote; NULL: the assistant spoke
    turn_id         BIGINT REFERENCES channel_turns (id),  -- what the assistant said; NULL: a person wrote
    at              TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when
    PRIMARY KEY (conversation_id, number),
    CHECK ((message_id IS NULL) <> (turn_id IS NULL))
);

-- Wrong tries of claim tokens: after five in an hour a phone's further tries are worth nothing.
CREATE TABLE channel_claim_tries (
    message_id BIGINT PRIMARY KEY REFERENCES channel_messages (id), -- the message that held the token
    address_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- who tried
    tried_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX channel_claim_tries_address ON channel_claim_tries (address_id, tried_at);

-- When a person was last told something that must not be told at every message.
CREATE TABLE channel_notices (
    address_id BIGINT NOT NULL REFERENCES channel_addresses (id), -- who
    about      TEXT NOT NULL CHECK (about IN ('linking', 'plan', 'country', 'human', 'rate')), -- what
    told_at    TIMESTAMPTZ NOT NULL,                       -- when
    PRIMARY KEY (address_id, about)
);

-- Token buckets, shared by all processes.
CREATE TABLE channel_rate_buckets (
    name      TEXT PRIMARY KEY CHECK (split_part(name, ':', 1) IN ('writer', 'unlinked', 'page', 'total', 'to')), -- writer:N, unlinked:N and to:N of address N, page:N of conversation N, total of all
    tokens    DOUBLE PRECISION NOT NULL,                   -- left at `filled_at`
    filled_at TIMESTAMPTZ NOT NULL                         -- of the latest arrival that was counted
);

-- -------- What goes out --------

-- One logical outbound message.
CREATE TABLE channel_deliveries (
    id                UUID PRIMARY KEY,                    -- a UUID v7: in order of planning
    address_id        BIGINT REFERENCES channel_addresses (id), -- to whom; NULL: the user has no phone, so nothing was planned
    link_id           BIGINT REFERENCES channel_links (id), -- sent only while this link holds; NULL: whoever has the address
    user_id           TEXT,                                -- whose allowance it takes; no reference, since it outlives the user
    period_start      TIMESTAMPTZ,                         -- the billing period in which its chunks were reserved
    conversation_id   BIGINT REFERENCES channel_conversations (id), -- in which thread; NULL when it belongs to none
    turn_id           BIGINT UNIQUE REFERENCES channel_turns (id), -- a turn is answered once, by a reply or by an apology
    message_id        BIGINT UNIQUE REFERENCES channel_messages (id), -- the message that a notice answers, once
    resent_from       BIGINT,                              -- the failed chunk that this delivery begins with anew; NULL: it is nobody's successor
    purpose           TEXT NOT NULL CHECK (purpose IN ('reply', 'notice', 'notification', 'scheduled')), -- why it is sent
    text              TEXT NOT NULL,                       -- what is said, with WhatsApp's signs; the chunks cover it, and nobody converts it again
    content_sid       TEXT,                                -- the approved template for when the 24-hour window is closed
    content_variables JSONB,                               -- its variables
    waits_for_inbound BOOLEAN NOT NULL DEFAULT FALSE,      -- planned only when the person writes again
    waits_for_room    BOOLEAN NOT NULL DEFAULT FALSE,      -- planned only when it has a place among the people of a day
    waits_until       TIMESTAMPTZ,                         -- planned only then, when quiet hours end; NULL: it has never waited for that
    quiet_rule        JSONB,                               -- what quiet hours mean for it: its schedule's, wait or skip, how long it lasts from their end; NULL: nothing
    state             TEXT NOT NULL DEFAULT 'open' CHECK (state IN -- follows the chunks; waiting: for the person's next message, the end of quiet hours or a place, with no job and no reservation
        ('waiting', 'open', 'sent', 'delivered', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    reason            TEXT,                                -- why it ended other than well
    expires_at        TIMESTAMPTZ NOT NULL,                -- what is not sent by then is not sent any more
    created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),  -- when it was planned
    closed_at         TIMESTAMPTZ,                         -- when nothing was left to send
    CHECK ((state IN ('open', 'waiting')) = (closed_at IS NULL)),
    CHECK ((state = 'waiting') <= (waits_for_inbound OR waits_for_room OR waits_until IS NOT NULL))
);
-- Deliveries of a person or a user are read in the order of their ids, which is that of their planning.
CREATE INDEX channel_deliveries_of_address ON channel_deliveries (address_id, id);
CREATE INDEX channel_deliveries_of_user ON channel_deliveries (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX channel_deliveries_open ON channel_deliveries (address_id) WHERE state = 'open';
-- Administrators look for what did not end well, by its state. What has waited longest is found here, too, whatever waits behind it: the probe of a sender
-- in trouble tries it.
CREATE INDEX channel_deliveries_unusual ON channel_deliveries (state, id) WHERE state NOT IN ('sent', 'delivered');
CREATE INDEX channel_deliveries_waiting_until ON channel_deliveries (expires_at) WHERE state = 'waiting';
CREATE INDEX channel_deliveries_waiting_for_time ON channel_deliveries (waits_until, id) WHERE state = 'waiting' AND NOT waits_for_inbound;
-- Those that wait for a place get one in the order of their planning.
CREATE INDEX channel_deliveries_waiting_for_room ON channel_deliveries (id) WHERE state = 'waiting' AND waits_for_room;
CREATE INDEX channel_deliveries_link ON channel_deliveries (link_id) WHERE state = 'open';
CREATE INDEX channel_deliveries_waiting ON channel_deliveries (user_id, created_at) WHERE state = 'waiting';

-- The part of a delivery that is one Twilio message.
CREATE TABLE channel_chunks (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- part of the status callback's URL
    delivery_id     UUID NOT NULL REFERENCES channel_deliveries (id), -- of which delivery
    index           INTEGER NOT NULL,                      -- from 0, in order
    form            TEXT NOT NULL DEFAULT 'text' CHECK (form IN ('text', 'template')), -- what Twilio is given
    body            TEXT NOT NULL,                         -- exactly what is sent; empty for a template
    source_start    INTEGER NOT NULL,                      -- bytes of the delivery's text that it covers
    source_end      INTEGER NOT NULL,                      -- the byte after the last one
    meter_proactive BOOLEAN NOT NULL,                      -- counts against the allowance
    metering        TEXT CHECK (metering IN ('reserved', 'used', 'released', 'credited')), -- where it stands in the allowance; NULL: not metered
    has_footer      BOOLEAN NOT NULL,                      -- `proactive` in JSON
    state           TEXT NOT NULL DEFAULT 'planned' CHECK (state IN -- sending: Twilio may have it, and only proof leads on from there
        ('planned', 'sending', 'accepted', 'sent', 'delivered', 'read', 'failed', 'cancelled', 'blocked', 'expired', 'unknown')),
    verdict         TEXT CHECK (verdict IN ('arrived', 'send_again')), -- what an administrator said of a send in doubt
    attempt         INTEGER NOT NULL DEFAULT 0,            -- of the send; part of the status callback's URL
    send_at         TIMESTAMPTZ,                           -- its send time, given by the sender's pace; NULL: none yet
    sent_to         TEXT,                                  -- the alias of the last attempt
    deadline_at     TIMESTAMPTZ,                           -- the request of the last attempt is given up then
    sid             TEXT UNIQUE,                           -- Twilio's id once it accepted
    accepted_at     TIMESTAMPTZ,                           -- when we learned that
    status_look_ups SMALLINT NOT NULL DEFAULT 0,           -- how often Twilio was asked for its final state, since its callbacks were lost
    error_code      INTEGER,                               -- Twilio's
    error_message   TEXT,                                  -- Twilio's or our own words: why it failed, waits or ended
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),    -- of the last change of state
    UNIQUE (delivery_id, index),
    CHECK (source_start <= source_end),
    CHECK ((state = 'sending') <= (deadline_at IS NOT NULL)),
    CHECK ((state IN ('accepted', 'sent', 'delivered', 'read')) <= (sid IS NOT NULL OR verdict = 'arrived'))
);
-- Sends in doubt, which each round of the upkeep and an administrator look at.
CREATE INDEX channel_chunks_in_doubt ON channel_chunks (id) WHERE state IN ('sending', 'unknown');
-- Administrators look for what Twilio refused, by its code.
CREATE INDEX channel_chunks_error ON channel_chunks (error_code, delivery_id, index) WHERE error_code IS NOT NULL;
-- They look for what did not end well, by its state.
CREATE INDEX channel_chunks_unusual ON channel_chunks (state, delivery_id, index) WHERE state IN ('failed', 'cancelled', 'blocked', 'expired', 'unknown');
-- What has no final state is looked up in Twilio's list after a while, a few times.
CREATE INDEX channel_chunks_unsettled ON channel_chunks (status_look_ups, accepted_at) WHERE state IN ('accepted', 'sent') AND sid IS NOT NULL;

-- How many messages failed of late.
CREATE INDEX channel_chunks_failed ON channel_chunks (updated_at) WHERE state = 'failed';

-- Each failed chunk has one successor at most.
ALTER TABLE channel_deliveries ADD FOREIGN KEY (resent_from) REFERENCES channel_chunks (id);
CREATE UNIQUE INDEX channel_deliveries_resent_from ON channel_deliveries (resent_from) WHERE resent_from IS NOT NULL;

-- Each attempt to send a chunk. `in_doubt` is an attempt of which nobody knows whether Twilio took it.
CREATE TABLE channel_send_attempts (
    chunk_id      BIGINT NOT NULL REFERENCES channel_chunks (id), -- of which chunk
    attempt       INTEGER NOT NULL,                        -- from 1
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- before the request; Twilio's list is searched from here
    deadline_at   TIMESTAMPTZ NOT NULL,                    -- the request was given up then
    outcome       TEXT CHECK (outcome IN ('accepted', 'refused', 'not_sent', 'in_doubt', 'missed')), -- NULL: under way, or its process died
    sid           TEXT,                                    -- Twilio's id, if this attempt was accepted
    error_code    INTEGER,                                 -- Twilio's
    error_message TEXT,                                    -- why nothing is known, or why nothing was sent
    first_miss_at TIMESTAMPTZ,                             -- a first list did not have it
    history       JSONB,                                   -- what was known of it in turn, once it was in doubt: objects with "at", "outcome", "reason", and for an administrator's word "verdict" and "by"; NULL: it was clear at once
    traceparent   TEXT,                                    -- W3C trace context of the job that made the attempt
    PRIMARY KEY (chunk_id, attempt)
);

-- A second Twilio message for one chunk: what must never happen, kept so that it cannot happen unseen.
CREATE TABLE channel_double_sends (
    sid       TEXT PRIMARY KEY,                            -- the surplus message
    chunk_id  BIGINT NOT NULL REFERENCES channel_chunks (id), -- sent twice
    first_sid TEXT NOT NULL,                               -- the message that counts
    seen_at   TIMESTAMPTZ NOT NULL DEFAULT now()           -- when it came to light
);
CREATE INDEX channel_double_sends_chunk ON channel_double_sends (chunk_id);

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
CREATE INDEX channel_status_callbacks_chunk ON channel_status_callbacks (chunk_id) WHERE chunk_id IS NOT NULL;

-- What a slot came to for each user, once.
CREATE TABLE channel_slot_users (
    slot_id     BIGINT NOT NULL REFERENCES channel_slots (id), -- of which slot
    user_id     TEXT NOT NULL,                             -- for whom; no reference, since it outlives the user
    outcome     TEXT NOT NULL CHECK (outcome IN ('asked', 'agent_failed', 'planned', 'blocked', 'empty')), -- asked: the agent is at work on it
    reason      TEXT,                                      -- why it came to nothing
    times_given INTEGER NOT NULL DEFAULT 1,                -- how often the agent was given this part, retries by hand included
    runs        INTEGER NOT NULL DEFAULT 0 CHECK (runs >= 0), -- calls of the agent since it was given this part, counted as those of a turn
    delivery_id UUID REFERENCES channel_deliveries (id),   -- the WhatsApp copy, whose own state tells the rest
    schedule    TEXT,                                      -- of the slot, where users go by zones of their own; NULL: one zone, by hand, or handed on by a failed slot
    local_time  TIMESTAMP,                                 -- of the slot, likewise
    PRIMARY KEY (slot_id, user_id),
    CHECK ((schedule IS NULL) = (local_time IS NULL))
);
-- A user who moves to another zone does not see a moment twice.
CREATE UNIQUE INDEX channel_slot_users_local_time ON channel_slot_users (schedule, local_time, user_id) WHERE local_time IS NOT NULL;
-- Whether the agent is still at work for somebody of a slot is asked after each answer, whatever its audience.
CREATE INDEX channel_slot_users_asked ON channel_slot_users (slot_id) WHERE outcome = 'asked';

-- The same request of the product within a day is the same delivery.
CREATE TABLE channel_idempotency_keys (
    user_id     TEXT NOT NULL,                             -- for whom
    key         TEXT NOT NULL,                             -- Idempotency-Key
    body_hash   BYTEA NOT NULL,                            -- of the request
    delivery_id UUID NOT NULL REFERENCES channel_deliveries (id), -- what came of it
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- a day later the key is free again
    PRIMARY KEY (user_id, key)
);

CREATE INDEX channel_idempotency_keys_created ON channel_idempotency_keys (created_at);

-- The people to whom a conversation was opened within 24 hours: as many places as whatsapp.people_per_day says. A transaction takes places that no other
-- one has locked, so the limit holds and nobody waits for it.
CREATE TABLE channel_people_places (
    place      INTEGER PRIMARY KEY,                        -- from 1; those above the limit are given to nobody
    address_id BIGINT,                                     -- who has it, or had it last; NULL: nobody yet
    taken_at   TIMESTAMPTZ NOT NULL DEFAULT '-infinity'    -- when the person was planned for or sent to last; 24 hours later the place is free
);
CREATE INDEX channel_people_places_taken ON channel_people_places (taken_at);
CREATE INDEX channel_people_places_address ON channel_people_places (address_id, taken_at);

-- The sender's pace over all processes: the next free moment of each stream.
CREATE TABLE channel_sender_pace (
    stream  TEXT PRIMARY KEY CHECK (stream IN ('all', 'proactive')), -- all that the sender says, or what it says of our own accord
    free_at TIMESTAMPTZ NOT NULL                           -- nothing more goes out before
);

-- -------- What it costs --------

-- A user's allowance of metered messages in a billing period.
CREATE TABLE whatsapp_sends (
    user_id      TEXT NOT NULL,                            -- whose; no reference, since it outlives the user
    period_start TIMESTAMPTZ NOT NULL,                     -- the first moment
    period_end   TIMESTAMPTZ NOT NULL,                     -- the first moment after it
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0), -- accepted by Twilio, or nobody will ever know; never falls
    reserved     INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- planned, not yet accepted
    credited     INTEGER NOT NULL DEFAULT 0 CHECK (credited >= 0), -- accepted, and failed for good afterwards
    PRIMARY KEY (user_id, period_start),
    CHECK (period_start < period_end)
) WITH (fillfactor = 50); -- as channel_conversations

-- Every movement of an allowance. The counters of whatsapp_sends can be recomputed from it and from the sums of what is too old to be told one by one.
CREATE TABLE whatsapp_send_ledger (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of writing
    user_id      TEXT NOT NULL,                            -- whose
    period_start TIMESTAMPTZ NOT NULL,                     -- of which period
    chunk_id     BIGINT NOT NULL,                          -- for what
    event        TEXT NOT NULL CHECK (event IN ('reserved', 'used', 'released', 'credited', 'withdrawn')), -- what happened; withdrawn: a credit
    was          TEXT CHECK (was IN ('reserved', 'used', 'released', 'credited')), -- where the chunk stood before
    at           TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- when
);
CREATE INDEX whatsapp_send_ledger_user ON whatsapp_send_ledger (user_id, period_start);

-- Old movements, which are not in the ledger any more.
CREATE TABLE whatsapp_send_sums (
    user_id      TEXT NOT NULL,                            -- as in whatsapp_send_ledger
    period_start TIMESTAMPTZ NOT NULL,                     -- as in whatsapp_send_ledger
    event        TEXT NOT NULL,                            -- as in whatsapp_send_ledger
    was          TEXT,                                     -- as in whatsapp_send_ledger
    number       INTEGER NOT NULL CHECK (number > 0),      -- how many there were
    UNIQUE NULLS NOT DISTINCT (user_id, period_start, event, was)
);

-- What WhatsApp said last of the templates that schedules name. It judges them anew at any time.
CREATE TABLE channel_templates (
    content_sid TEXT PRIMARY KEY,                          -- Twilio's id
    category    TEXT,                                      -- marketing, utility or authentication, in Twilio's word; NULL: none is known
    status      TEXT,                                      -- approved, paused and the like, in Twilio's word; missing: the account does not have it; NULL: Twilio did not say
    asked_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when Twilio was asked last; a day later it is asked again
    seen_at     TIMESTAMPTZ                                -- when it answered last; NULL: never
);

-- What each user was sent, by what WhatsApp charges for. A message counts when its SID is stored.
CREATE TABLE channel_sent_days (
    user_id TEXT NOT NULL,                                 -- to whom; no reference, since it outlives the user
    day     DATE NOT NULL,                                 -- in UTC
    kind    TEXT NOT NULL CHECK (kind IN (                 -- of message
        'reply', 'notice', 'metered', 'marketing_template', 'utility_template', 'authentication_template', 'template')),
    number  INTEGER NOT NULL,                              -- how many
    PRIMARY KEY (user_id, day, kind)
);
CREATE INDEX channel_sent_days_day ON channel_sent_days (day);

-- What everybody was sent, also people without a user. Of the rows of a month and kind each transaction changes one, so that few wait for each other.
CREATE TABLE channel_sent_months (
    month  DATE NOT NULL,                                  -- its first day, in UTC
    kind   TEXT NOT NULL CHECK (kind IN (                  -- of message
        'reply', 'notice', 'metered', 'marketing_template', 'utility_template', 'authentication_template', 'template')),
    shard  SMALLINT NOT NULL,                              -- from 0 to 63, by the chunk
    number BIGINT NOT NULL,                                -- how many
    PRIMARY KEY (month, kind, shard)
) WITH (fillfactor = 50); -- as channel_conversations

-- -------- Looking after it --------

-- What a person must look at: one row per cause while it goes on. A cause that comes back soon after its end goes on in the same row.
CREATE TABLE channel_alerts (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what an administrator acknowledges
    cause           TEXT NOT NULL CHECK (cause IN (        -- what happened
        'double_send', 'unknown_send', 'send_in_doubt', 'sender_refused', 'template', 'template_changed', 'pause_without_probe', 'long_pause',
        'undelivered', 'callbacks_failing', 'dead_jobs', 'sender_moved', 'unusable_entry', 'backfill_behind', 'human_wanted', 'monthly_cap_near',
        'monthly_cap_reached', 'schedule_disabled', 'schedules_unreadable', 'slots_late', 'time_zones', 'secret_key', 'unknown_kind', 'clock',
        'agent_token', 'agent_endpoint', 'agent_name', 'agent_unreachable', 'agent_locked_out', 'agent_busy', 'agent_provider', 'agent_setup',
        'agent_failing', 'database_away', 'database_read_only', 'database_refuses')),
    detail          TEXT NOT NULL,                         -- of the latest time
    times           INTEGER NOT NULL DEFAULT 1,            -- how often it was raised
    opened_at       TIMESTAMPTZ NOT NULL DEFAULT now(),    -- the first time
    last_seen_at    TIMESTAMPTZ NOT NULL DEFAULT now(),    -- the latest time
    told_at         TIMESTAMPTZ,                           -- when it was last told to the log and the operator's service; NULL: not yet
    tell_at         TIMESTAMPTZ NOT NULL DEFAULT now(),    -- not told again before
    tellings        INTEGER NOT NULL DEFAULT 0,            -- how often it was told, its end included; part of each post's id
    told_open       BOOLEAN NOT NULL DEFAULT FALSE,        -- it was last told that it goes on, so its end is told, too
    acknowledged_at TIMESTAMPTZ,                           -- when a person had looked, so that it is not told again; NULL until then
    closed_at       TIMESTAMPTZ                            -- when it was seen to be over; NULL: it goes on, or nobody has looked at what happened
);
CREATE UNIQUE INDEX channel_alerts_open ON channel_alerts (cause) WHERE closed_at IS NULL;
CREATE INDEX channel_alerts_cause ON channel_alerts (cause, id DESC);

-- The product is told of changes. No row: nobody is.
CREATE TABLE channel_callbacks (
    is_only      BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- there is one row
    kind         TEXT NOT NULL,                            -- of the jobs that tell it
    pool         TEXT NOT NULL,                            -- where they run
    max_attempts SMALLINT NOT NULL                         -- how often they are tried
);

-- How far periodic work has come.
CREATE TABLE channel_cursors (
    name   TEXT PRIMARY KEY CHECK (name IN ('backfill', 'first_start')), -- what was read of Twilio's list; the first start of all
    moment TIMESTAMPTZ NOT NULL                            -- everything before is done, or is none of ours
);

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

-- Administrators who have logged in with a browser. A row goes when its administrator logs out, or some time after its end.
CREATE TABLE channel_admin_sessions (
    hash          BYTEA PRIMARY KEY,                       -- SHA-256 of what the cookie holds
    administrator TEXT NOT NULL,                           -- who
    may_act       BOOLEAN NOT NULL,                        -- false: only look; the session ends where the configuration says otherwise
    begun_at      TIMESTAMPTZ NOT NULL DEFAULT now(),      -- when they logged in
    ends_at       TIMESTAMPTZ NOT NULL                     -- not valid after this
);
CREATE INDEX channel_admin_sessions_ends_at ON channel_admin_sessions (ends_at);

-- Links to the dashboard that the product has asked for. A code is exchanged for a session once, which deletes its row.
CREATE TABLE channel_dashboard_codes (
    hash    BYTEA PRIMARY KEY,                             -- SHA-256 of the code
    user_id TEXT NOT NULL REFERENCES channel_users (id) ON DELETE CASCADE, -- whose dashboard it opens
    ends_at TIMESTAMPTZ NOT NULL                           -- not valid after this
);
CREATE INDEX channel_dashboard_codes_user ON channel_dashboard_codes (user_id);
CREATE INDEX channel_dashboard_codes_ends_at ON channel_dashboard_codes (ends_at);

-- Users who have the dashboard open in a browser.
CREATE TABLE channel_dashboard_sessions (
    hash     BYTEA PRIMARY KEY,                            -- SHA-256 of what the cookie holds
    user_id  TEXT NOT NULL REFERENCES channel_users (id) ON DELETE CASCADE, -- whose
    begun_at TIMESTAMPTZ NOT NULL DEFAULT now(),           -- when the code was exchanged
    ends_at  TIMESTAMPTZ NOT NULL                          -- not valid after this
);
CREATE INDEX channel_dashboard_sessions_user ON channel_dashboard_sessions (user_id);
CREATE INDEX channel_dashboard_sessions_ends_at ON channel_dashboard_sessions (ends_at);

-- How far what is too old has been taken away, the oldest first.
CREATE TABLE channel_retention (
    part          TEXT PRIMARY KEY CHECK (part IN          -- of what
        ('entries', 'messages', 'turns', 'deliveries', 'callbacks', 'slot_users', 'claim_tries', 'idempotency_keys', 'rate_buckets', 'ledger', 'strangers',
         'claim_tokens', 'sent_days', 'alerts', 'unusable_entries', 'agent_outages', 'dashboard_codes', 'dashboard_sessions')),
    next_id       BIGINT NOT NULL DEFAULT 0,               -- of rows that are walked by number: those up to here are done
    next_delivery UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- the same of deliveries
    next_name     TEXT NOT NULL DEFAULT '',                -- the same of rows that are walked by name
    walked_at     TIMESTAMPTZ                              -- when nothing more was old enough; NULL: that has not been yet
);
INSERT INTO channel_retention (part)
VALUES ('entries'), ('messages'), ('turns'), ('deliveries'), ('callbacks'), ('slot_users'), ('claim_tries'), ('idempotency_keys'), ('rate_buckets'),
       ('ledger'), ('strangers'), ('claim_tokens'), ('sent_days'), ('alerts'), ('unusable_entries'), ('agent_outages'), ('dashboard_codes'),
       ('dashboard_sessions');

-- What is still to be emptied of erased people: they are forgotten at once, and what was said goes page by page. A row goes with its last page.
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
