-- The durable job queue: how work is tried. It knows no job kind and none of the channel's tables. Its functions stand in functions.sql.
--
-- A job lives in queue.jobs while it may still run. When it ends it leaves that table in the same statement: done and cancelled jobs go to
-- queue.finished (one partition a day, pruned by age), dead ones to queue.dead, where they stay until a person acts. So the live table stays small, and
-- the speed of a claim does not depend on the past.

CREATE SCHEMA queue;

CREATE TYPE queue.state AS ENUM (
    'held',       -- waits behind another job of its lane
    'scheduled',  -- waits for run_at: a future job, a backoff or a snooze
    'parked',     -- its kind is paused, or the process that met it does not know the kind
    'waiting',    -- due: a worker may claim it
    'running'     -- claimed by the worker in worker_id
);

-- The state as the indexes know it: what waits and what runs is the same to them. So a claim changes no indexed column, the row stays on its page, and no
-- index gets a second entry (a heap-only tuple).
CREATE TYPE queue.phase AS ENUM ('held', 'scheduled', 'parked', 'due');

-- One row per process that works, from its first claim to its end.
CREATE TABLE queue.workers (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used twice: a process that lost its lease comes back under a new id
    name        TEXT NOT NULL,                             -- host and process id, for people
    version     TEXT,                                      -- of the program, for people; NULL: not told
    started_at  TIMESTAMPTZ NOT NULL DEFAULT now(),        -- when it claimed for the first time
    renewed_at  TIMESTAMPTZ NOT NULL DEFAULT now(),        -- the last heartbeat: when the lease was last renewed
    lease_until TIMESTAMPTZ NOT NULL,                      -- renewed while the process lives; once past, another process hands its jobs back
    calls_from  BIGINT NOT NULL DEFAULT 0,                 -- a claim with a lower number comes too late: nobody waits for its answer
    kinds       TEXT[],                                    -- what this process can run; NULL: everything
    pools       JSONB NOT NULL DEFAULT '{}'                -- the pools it serves, each with how many of its jobs run at a time
);

-- What the end of a kind's jobs leads to; written by every process that registers the kind.
CREATE TABLE queue.kinds (
    kind        TEXT PRIMARY KEY,                          -- as its jobs name it
    on_end_kind TEXT,                                      -- job enqueued when a job of this kind dies or is cancelled
    on_end_pool TEXT,                                      -- where that job runs
    on_end_attempts SMALLINT,                              -- how often it is tried, as its own kind says
    kept        BOOLEAN NOT NULL DEFAULT FALSE,            -- others rely on it: a cancel by pool, state or time leaves it alone; one by kind or number does not
    CHECK (num_nulls(on_end_kind, on_end_pool, on_end_attempts) IN (0, 3))
);

-- Kinds that were met by processes which do not know them, for people.
CREATE TABLE queue.unknown_kinds (
    kind  TEXT PRIMARY KEY,                                -- of parked jobs
    since TIMESTAMPTZ NOT NULL DEFAULT now()               -- when the first one was parked; the row goes when a process comes that knows the kind
);

-- Pools and kinds that a person has paused, for all processes.
CREATE TABLE queue.pauses (
    scope     TEXT NOT NULL CHECK (scope IN ('pool', 'kind')), -- what the name means
    name      TEXT NOT NULL,                               -- of the pool or kind
    paused_at TIMESTAMPTZ NOT NULL DEFAULT now(),          -- since when
    paused_by TEXT NOT NULL,                               -- who
    reason    TEXT,                                        -- why; NULL: not told
    PRIMARY KEY (scope, name)
);

CREATE SEQUENCE queue.job_ids;   -- drawn under the lane's lock, so ids of one lane follow the order of commits
CREATE SEQUENCE queue.claim_ids; -- the first part of each claim's number, the fence

CREATE TABLE queue.jobs (
    id           BIGINT PRIMARY KEY DEFAULT nextval('queue.job_ids'), -- in a lane: the order in which jobs run
    run_at       TIMESTAMPTZ NOT NULL DEFAULT now(),       -- not before; moved by backoff and snooze
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),       -- when it was enqueued
    claimed_at   TIMESTAMPTZ,                              -- of the present claim
    worker_id    BIGINT,                                   -- who runs it
    claim        BIGINT,                                   -- the fence: only the holder of this number may complete the job
    priority     SMALLINT NOT NULL DEFAULT 0,              -- higher first
    attempt      SMALLINT NOT NULL DEFAULT 0,              -- attempts that ended in a failure
    max_attempts SMALLINT NOT NULL CHECK (max_attempts > 0), -- it dies when so many have failed
    crashes      SMALLINT NOT NULL DEFAULT 0,              -- times the process died while this job alone was under suspicion
    suspicion    SMALLINT NOT NULL DEFAULT 0,              -- 0 none; 1 its process died: claimed singly; 2 claimed with no other suspect beside it
    snoozes      INTEGER NOT NULL DEFAULT 0,               -- times it put itself off without using an attempt
    state        queue.state NOT NULL,                     -- where it stands
    probing      BOOLEAN NOT NULL DEFAULT FALSE,           -- runs as a suspect; committed before its handler starts
    woken        BOOLEAN NOT NULL DEFAULT FALSE,           -- a wake came while it ran: its next snooze is cut short
    cancel_asked BOOLEAN NOT NULL DEFAULT FALSE,           -- a person wants the running job to stop
    kind         TEXT NOT NULL,                            -- what it does
    pool         TEXT NOT NULL,                            -- which workers run it
    lane         TEXT,                                     -- jobs of one lane run one at a time, in order
    unique_key   TEXT,                                     -- at most one live job has it
    traceparent  TEXT,                                     -- W3C trace context of who enqueued it
    payload      JSONB NOT NULL,                           -- its arguments
    phase        queue.phase NOT NULL GENERATED ALWAYS AS (
        CASE state
            WHEN 'held' THEN 'held'::queue.phase
            WHEN 'scheduled' THEN 'scheduled'::queue.phase
            WHEN 'parked' THEN 'parked'::queue.phase
            ELSE 'due'::queue.phase -- waiting or running
        END) STORED
    -- Pages are filled to less than a half: a claimed row stays on its page, where the new version costs half as much to write and to log.
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER SEQUENCE queue.job_ids OWNED BY queue.jobs.id;

-- What a claim reads, already in its order. It passes what runs, which is never more than all workers have room for.
CREATE INDEX jobs_due ON queue.jobs (pool, priority DESC, id) WHERE phase = 'due' AND suspicion = 0;
CREATE INDEX jobs_suspect ON queue.jobs (pool, suspicion, id) WHERE phase = 'due' AND suspicion > 0;
CREATE INDEX jobs_scheduled ON queue.jobs (run_at) WHERE phase = 'scheduled';
CREATE INDEX jobs_parked ON queue.jobs (kind) WHERE phase = 'parked';
-- What was parked as a suspect; there is next to none.
CREATE INDEX jobs_parked_suspect ON queue.jobs (kind) WHERE phase = 'parked' AND suspicion > 0;
CREATE INDEX jobs_to_stop ON queue.jobs (id) WHERE cancel_asked;
-- A person looks for the jobs of a kind, which may be a few among a million others, and cancels them.
CREATE INDEX jobs_kind ON queue.jobs (kind, id);
-- Jobs that have failed and are tried again: a few among all.
CREATE INDEX jobs_failing ON queue.jobs (id) WHERE attempt > 0;
-- One job of a lane at most is anything but held: the running mark of the lane, kept by the database itself.
CREATE UNIQUE INDEX jobs_lane_head ON queue.jobs (lane) WHERE lane IS NOT NULL AND phase <> 'held';
CREATE INDEX jobs_lane_held ON queue.jobs (lane, priority DESC, id) WHERE phase = 'held';
CREATE UNIQUE INDEX jobs_unique_key ON queue.jobs (unique_key) WHERE unique_key IS NOT NULL;

-- Jobs that ended well or were cancelled. One partition a day; the default one only catches what a missing partition would lose.
CREATE TABLE queue.finished (
    id          BIGINT NOT NULL,                           -- as it was in queue.jobs
    finished_at TIMESTAMPTZ NOT NULL DEFAULT now(),        -- when it ended
    created_at  TIMESTAMPTZ NOT NULL,                      -- when it was enqueued
    claimed_at  TIMESTAMPTZ,                               -- of the last claim
    worker_id   BIGINT,                                    -- who ran it
    claim       BIGINT,                                    -- the last one's number
    attempt     SMALLINT NOT NULL,                         -- the attempt that ended it, from 1
    crashes     SMALLINT NOT NULL,                         -- as in queue.jobs
    cancelled   BOOLEAN NOT NULL,                          -- somebody cancelled it; FALSE: it is done
    kind        TEXT NOT NULL,                             -- as in queue.jobs
    pool        TEXT NOT NULL,                             -- as in queue.jobs
    lane        TEXT,                                      -- as in queue.jobs
    unique_key  TEXT,                                      -- as in queue.jobs
    traceparent TEXT,                                      -- as in queue.jobs
    reason      TEXT,                                      -- why it was cancelled
    payload     JSONB NOT NULL                             -- as in queue.jobs
) PARTITION BY RANGE (finished_at);
CREATE INDEX finished_id ON queue.finished (id);
-- Jobs that were cancelled are a few among all that ended.
CREATE INDEX finished_cancelled ON queue.finished (id) WHERE cancelled;
CREATE TABLE queue.finished_default PARTITION OF queue.finished DEFAULT;

-- Jobs that gave up and wait for a person.
CREATE TABLE queue.dead (
    id           BIGINT PRIMARY KEY,                       -- as it was in queue.jobs
    finished_at  TIMESTAMPTZ NOT NULL DEFAULT now(),       -- when it gave up
    created_at   TIMESTAMPTZ NOT NULL,                     -- when it was enqueued
    attempt      SMALLINT NOT NULL,                        -- attempts that failed
    max_attempts SMALLINT NOT NULL,                        -- as in queue.jobs
    crashes      SMALLINT NOT NULL,                        -- as in queue.jobs
    priority     SMALLINT NOT NULL,                        -- as in queue.jobs
    kind         TEXT NOT NULL,                            -- as in queue.jobs
    pool         TEXT NOT NULL,                            -- as in queue.jobs
    lane         TEXT,                                     -- as in queue.jobs
    unique_key   TEXT,                                     -- as in queue.jobs
    traceparent  TEXT,                                     -- as in queue.jobs
    reason       TEXT NOT NULL,                            -- the last error, for people
    failure_group TEXT NOT NULL,                           -- of jobs of this kind whose errors have one shape; a trigger sets it
    payload      JSONB NOT NULL                            -- as in queue.jobs
);
-- Groups are counted, and their jobs acted on, in the order of their numbers; the times of their first and last death are told.
CREATE INDEX dead_group ON queue.dead (failure_group, id);
CREATE INDEX dead_group_times ON queue.dead (failure_group, finished_at);
-- Administrators look for those of a kind or pool, the newest first.
CREATE INDEX dead_kind ON queue.dead (kind, id);
CREATE INDEX dead_pool ON queue.dead (pool, id);
-- A successor that is made for what a lane's job was about puts that job away.
CREATE INDEX dead_lane ON queue.dead (lane) WHERE lane IS NOT NULL;
-- An alert tells of the latest ones.
CREATE INDEX dead_finished ON queue.dead (finished_at);

-- Every attempt that did not simply succeed; the successful one is the row in queue.finished.
CREATE TABLE queue.attempts (
    job_id     BIGINT NOT NULL,                            -- of which job
    attempt    SMALLINT NOT NULL,                          -- from 1; a snooze or a crash repeats the number it was to be
    outcome    TEXT NOT NULL CHECK (outcome IN ('failed', 'dead', 'snoozed', 'crashed', 'handed_back', 'cancelled')), -- how it ended
    worker_id  BIGINT,                                     -- who ran it
    started_at TIMESTAMPTZ,                                -- when it was claimed
    ended_at   TIMESTAMPTZ NOT NULL DEFAULT now(),         -- when it ended
    error      TEXT                                        -- why
);
CREATE INDEX attempts_job ON queue.attempts (job_id, ended_at);
CREATE INDEX attempts_ended ON queue.attempts (ended_at);

-- Every action of an administrator.
CREATE TABLE queue.audit (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in order of acting
    at      TIMESTAMPTZ NOT NULL DEFAULT now(),            -- when
    actor   TEXT NOT NULL,                                 -- who: a user of the command line, or an administrator by name
    action  TEXT NOT NULL,                                 -- the verb of the command: retry, cancel, pause, resume, probe, acknowledge, verdict, set plan …
    target  TEXT NOT NULL,                                 -- the job, or the scope and name, or the schedule, or the user, in words
    outcome TEXT NOT NULL,                                 -- what came of it
    before  TEXT,                                          -- how what was changed stood before; NULL: nothing was changed, or it has no such word
    after   TEXT                                           -- and after
);
-- Erasing a user takes the id out of what was done about them.
CREATE INDEX audit_user ON queue.audit (target) WHERE target LIKE 'user %';

-- Always empty for whoever looks: whether the database takes writes is asked by writing here on trial, which is undone at once.
CREATE TABLE queue.trials (
    filler TEXT NOT NULL                                   -- nearly a page, so that a row never finds room beside another one
);
ALTER TABLE queue.trials ALTER COLUMN filler SET STORAGE PLAIN;

-- Every job that is still remembered, in one shape. States for people: the live ones, then done, cancelled and dead.
CREATE VIEW queue.every_job AS
    SELECT id, state::TEXT AS state, kind, pool, lane, unique_key, priority::INTEGER, attempt::INTEGER AS failed_attempts, max_attempts::INTEGER,
           crashes::INTEGER, snoozes, run_at, created_at, claimed_at, NULL::TIMESTAMPTZ AS finished_at, worker_id, cancel_asked, NULL::TEXT AS reason,
           traceparent, payload
    FROM queue.jobs
    UNION ALL
    SELECT id, CASE WHEN cancelled THEN 'cancelled' ELSE 'done' END, kind, pool, lane, unique_key, NULL, attempt - (NOT cancelled)::INTEGER, NULL,
           crashes, NULL, NULL, created_at, claimed_at, finished_at, worker_id, cancelled, reason, traceparent, payload
    FROM queue.finished
    UNION ALL
    SELECT id, 'dead', kind, pool, lane, unique_key, priority, attempt, max_attempts, crashes, NULL, NULL, created_at, NULL, finished_at, NULL, FALSE,
           reason, traceparent, payload
    FROM queue.dead;
