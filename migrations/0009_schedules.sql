-- Operators' cron duties: their present definitions, and every moment at which one fell due.

CREATE TABLE channel_schedules (
    name          TEXT PRIMARY KEY,                        -- the file's stem
    hash          TEXT NOT NULL,                           -- of the definition: a process fires only what it has the same of
    definition    JSONB NOT NULL,                          -- as the last process that loaded it had it
    loaded_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when it became the present one
    fired_until   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- every moment up to here is a slot, or was left out on purpose
    enabled       BOOLEAN NOT NULL DEFAULT TRUE,           -- an administrator's switch, beside the file's own
    disabled_why  TEXT,                                    -- why it was switched off
    failed_in_row INTEGER NOT NULL DEFAULT 0,              -- slots that failed one after the other
    removed_at    TIMESTAMPTZ                              -- its file is gone; NULL while it is there
);

-- A moment of a schedule: two schedulers, a restart or an edit cannot fire it twice.
CREATE TABLE channel_slots (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- named by jobs
    schedule    TEXT NOT NULL REFERENCES channel_schedules (name), -- of which schedule
    moment      TIMESTAMPTZ NOT NULL,                      -- when it fell due; of a manual one, when it was asked for
    manual      BOOLEAN NOT NULL DEFAULT FALSE,            -- somebody fired it by hand
    definition  JSONB NOT NULL,                            -- what it does, whatever the schedule becomes meanwhile
    state       TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed', 'skipped')), -- open until the last user is planned or given up
    reason      TEXT,                                      -- why it was skipped or failed
    last_user   TEXT,                                      -- of the audience, the last one that was dealt with: a crash goes on from here
    fired_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), -- when this row was made
    finished_at TIMESTAMPTZ,                               -- when it ended
    UNIQUE (schedule, moment),
    CHECK ((state = 'open') = (finished_at IS NULL))
);
CREATE INDEX channel_slots_schedule ON channel_slots (schedule, moment DESC);
CREATE INDEX channel_slots_open ON channel_slots (schedule) WHERE state = 'open';

-- What a slot came to for each user, once.
CREATE TABLE channel_slot_users (
    slot_id     BIGINT NOT NULL REFERENCES channel_slots (id), -- of which slot
    user_id     TEXT NOT NULL,                             -- for whom; no reference, since it outlives the user
    outcome     TEXT NOT NULL CHECK (outcome IN ('asked', 'agent_failed', 'planned', 'blocked', 'empty')), -- asked: the agent is at work on it
    reason      TEXT,                                      -- why it came to nothing
    delivery_id UUID REFERENCES channel_deliveries (id),   -- the WhatsApp copy, whose own state tells the rest
    PRIMARY KEY (slot_id, user_id)
);
