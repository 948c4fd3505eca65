-- The durable job queue: how work is tried. It knows no job kind and none of the channel's tables.
--
-- A job lives in queue.jobs while it may still run. When it ends it leaves that table in the same
-- statement: done and cancelled jobs go to queue.finished (one partition a day, pruned by age), dead
-- ones to queue.dead, where they stay until a person acts. So the live table stays small, and the
-- speed of a claim does not depend on the past.
--
-- What must be atomic is a function here: it takes one round trip, each of its statements sees what
-- was committed before it, and its planner settings hold on any connection, also behind a pooler.

CREATE SCHEMA queue;

CREATE TYPE queue.state AS ENUM (
    'held',       -- waits behind another job of its lane
    'scheduled',  -- waits for run_at: a future job, a backoff or a snooze
    'parked',     -- its kind is paused
    'waiting',    -- due: a worker may claim it
    'running'     -- claimed by the worker in worker_id
);

-- One row per process that works, from its first claim to its end.
CREATE TABLE queue.workers (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used twice: a process that lost its lease comes back under a new id
    name        TEXT NOT NULL,                                   -- host and process id, for people
    started_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    lease_until TIMESTAMPTZ NOT NULL                             -- renewed while the process lives; once past, its jobs are taken back
);

-- What a kind's failures lead to; written by every process that registers the kind.
CREATE TABLE queue.kinds (
    kind        TEXT PRIMARY KEY,
    on_end_kind TEXT,                                            -- job enqueued when a job of this kind dies or is cancelled
    on_end_pool TEXT,
    CHECK ((on_end_kind IS NULL) = (on_end_pool IS NULL))
);

-- Pools and kinds that a person has paused, for all processes.
CREATE TABLE queue.pauses (
    scope     TEXT NOT NULL CHECK (scope IN ('pool', 'kind')),
    name      TEXT NOT NULL,
    paused_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    paused_by TEXT NOT NULL,
    PRIMARY KEY (scope, name)
);

CREATE SEQUENCE queue.job_ids;   -- drawn under the lane's lock, so ids of one lane follow the order of commits
CREATE SEQUENCE queue.claim_ids; -- one number for each claim: the fence

CREATE TABLE queue.jobs (
    id           BIGINT PRIMARY KEY DEFAULT nextval('queue.job_ids'),
    run_at       TIMESTAMPTZ NOT NULL DEFAULT now(), -- not before; moved by backoff and snooze
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    claimed_at   TIMESTAMPTZ,                        -- of the present claim
    worker_id    BIGINT,                             -- who runs it
    claim        BIGINT,                             -- the fence: only the holder of this number may complete the job
    priority     SMALLINT NOT NULL DEFAULT 0,        -- higher first
    attempt      SMALLINT NOT NULL DEFAULT 0,        -- attempts that ended in a failure
    max_attempts SMALLINT NOT NULL CHECK (max_attempts > 0),
    crashes      SMALLINT NOT NULL DEFAULT 0,        -- times the process died while this job alone was under suspicion
    suspicion    SMALLINT NOT NULL DEFAULT 0,        -- 0 none; 1 its process died: claimed singly; 2 claimed with no other suspect beside it
    snoozes      INTEGER NOT NULL DEFAULT 0,         -- times it put itself off without using an attempt
    state        queue.state NOT NULL,
    probing      BOOLEAN NOT NULL DEFAULT FALSE,     -- runs as a suspect; committed before its handler starts
    woken        BOOLEAN NOT NULL DEFAULT FALSE,     -- a wake came while it ran: its next snooze is cut short
    cancel_asked BOOLEAN NOT NULL DEFAULT FALSE,     -- a person wants the running job to stop
    kind         TEXT NOT NULL,
    pool         TEXT NOT NULL,
    lane         TEXT,                               -- jobs of one lane run one at a time, in order
    unique_key   TEXT,                               -- at most one live job has it
    traceparent  TEXT,                               -- W3C trace context of who enqueued it
    payload      JSONB NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

ALTER SEQUENCE queue.job_ids OWNED BY queue.jobs.id;

-- What a claim reads, already in its order.
CREATE INDEX jobs_waiting ON queue.jobs (pool, priority DESC, id) WHERE state = 'waiting' AND suspicion = 0;
CREATE INDEX jobs_suspect ON queue.jobs (pool, suspicion, id) WHERE state = 'waiting' AND suspicion > 0;
CREATE INDEX jobs_scheduled ON queue.jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_parked ON queue.jobs (kind) WHERE state = 'parked';
CREATE INDEX jobs_running ON queue.jobs (worker_id) WHERE state = 'running';
-- One job of a lane at most is anything but held: the running mark of the lane, kept by the database itself.
CREATE UNIQUE INDEX jobs_lane_head ON queue.jobs (lane) WHERE lane IS NOT NULL AND state <> 'held';
CREATE INDEX jobs_lane_held ON queue.jobs (lane, priority DESC, id) WHERE state = 'held';
CREATE UNIQUE INDEX jobs_unique_key ON queue.jobs (unique_key) WHERE unique_key IS NOT NULL;

-- Jobs that ended well or were cancelled. One partition a day; the default one only catches what a missing partition would lose.
CREATE TABLE queue.finished (
    id          BIGINT NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at  TIMESTAMPTZ NOT NULL,
    claimed_at  TIMESTAMPTZ,
    worker_id   BIGINT,
    claim       BIGINT,
    attempt     SMALLINT NOT NULL,        -- the attempt that ended it, from 1
    crashes     SMALLINT NOT NULL,
    cancelled   BOOLEAN NOT NULL,
    kind        TEXT NOT NULL,
    pool        TEXT NOT NULL,
    lane        TEXT,
    unique_key  TEXT,
    traceparent TEXT,
    reason      TEXT,                     -- why it was cancelled
    payload     JSONB NOT NULL
) PARTITION BY RANGE (finished_at);
CREATE INDEX finished_id ON queue.finished (id);
CREATE TABLE queue.finished_default PARTITION OF queue.finished DEFAULT;

-- Jobs that gave up and wait for a person.
CREATE TABLE queue.dead (
    id           BIGINT PRIMARY KEY,
    finished_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at   TIMESTAMPTZ NOT NULL,
    attempt      SMALLINT NOT NULL,
    max_attempts SMALLINT NOT NULL,
    crashes      SMALLINT NOT NULL,
    priority     SMALLINT NOT NULL,
    kind         TEXT NOT NULL,
    pool         TEXT NOT NULL,
    lane         TEXT,
    unique_key   TEXT,
    traceparent  TEXT,
    reason       TEXT NOT NULL,           -- the last error, for people
    payload      JSONB NOT NULL
);

-- Every attempt that did not simply succeed; the successful one is the row in queue.finished.
CREATE TABLE queue.attempts (
    job_id     BIGINT NOT NULL,
    attempt    SMALLINT NOT NULL,         -- from 1; a snooze or a crash repeats the number it was to be
    outcome    TEXT NOT NULL CHECK (outcome IN ('failed', 'dead', 'snoozed', 'crashed', 'handed_back', 'cancelled')),
    worker_id  BIGINT,
    started_at TIMESTAMPTZ,
    ended_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    error      TEXT
);
CREATE INDEX attempts_job ON queue.attempts (job_id, ended_at);
CREATE INDEX attempts_ended ON queue.attempts (ended_at);

-- Partitions of the history from yesterday to `days` ahead. Safe to call from several processes at once.
CREATE FUNCTION queue.prepare_history(days INTEGER) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    start_day DATE;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('queue.history'));
    FOR offset_days IN -1 .. days LOOP
        start_day := (now() AT TIME ZONE 'UTC')::date + offset_days;
        IF to_regclass(format('queue.finished_%s', to_char(start_day, 'YYYYMMDD'))) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE queue.finished_%s PARTITION OF queue.finished FOR VALUES FROM (%L) TO (%L)',
                to_char(start_day, 'YYYYMMDD'),
                start_day::timestamp AT TIME ZONE 'UTC', (start_day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;
SELECT queue.prepare_history(3);

-- Puts jobs into the queue; returns their ids in the order given, NULL for a duplicate of a live unique_key.
--
-- A lane's first job becomes its head; the unique index makes a second transaction wait for the first.
-- Where there is a head, its row is locked until the caller commits, so that the lane's ids follow the
-- order of commits and the head cannot end without seeing who waits behind it. Lanes are taken in
-- sorted order, so that two batches cannot wait for each other.
CREATE FUNCTION queue.enqueue(
    kinds TEXT[], pools TEXT[], payloads JSONB[], priorities SMALLINT[], run_ats TIMESTAMPTZ[],
    lanes TEXT[], unique_keys TEXT[], max_attempts SMALLINT[], traceparents TEXT[]
) RETURNS BIGINT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids BIGINT[];
    first RECORD;
    following RECORD;
    new_id BIGINT;
BEGIN
    IF cardinality(array_remove(lanes, NULL)) = 0 AND cardinality(array_remove(unique_keys, NULL)) = 0 THEN
        WITH added AS (
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, traceparent, payload)
            SELECT coalesce(u.run_at, now()), u.priority, u.attempts,
                   (CASE WHEN u.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   u.kind, u.pool, u.traceparent, u.payload
            FROM unnest(kinds, pools, payloads, priorities, run_ats, max_attempts, traceparents)
                AS u (kind, pool, payload, priority, run_at, attempts, traceparent)
            RETURNING id
        )
        SELECT array_agg(id) INTO ids FROM added;
        RETURN coalesce(ids, '{}');
    END IF;

    ids := array_fill(NULL::BIGINT, ARRAY[cardinality(kinds)]);
    -- The first job of each lane tries to be its head. Only the first: were a head to end meanwhile, a later one would overtake.
    FOR first IN
        WITH given AS MATERIALIZED (
            SELECT nextval('queue.job_ids') AS id, sorted.*
            FROM (SELECT u.*, row_number() OVER (PARTITION BY u.lane ORDER BY u.place) AS in_lane
                  FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents)
                      WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, place)
                  ORDER BY u.lane, u.place) AS sorted
            WHERE sorted.lane IS NULL OR sorted.in_lane = 1
        ), added AS (
            INSERT INTO queue.jobs (id, run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            SELECT g.id, coalesce(g.run_at, now()), g.priority, g.attempts,
                   (CASE WHEN g.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
                   g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
            FROM given g ORDER BY g.id
            ON CONFLICT DO NOTHING
            RETURNING queue.jobs.id
        )
        SELECT given.place, added.id FROM given JOIN added ON given.id = added.id
    LOOP
        ids[first.place] := first.id;
    END LOOP;

    -- What is left stands behind the head of its lane, or is a duplicate.
    FOR following IN
        SELECT * FROM unnest(kinds, pools, payloads, priorities, run_ats, lanes, unique_keys, max_attempts, traceparents, ids)
            WITH ORDINALITY AS u (kind, pool, payload, priority, run_at, lane, unique_key, attempts, traceparent, added_id, place)
        WHERE u.added_id IS NULL AND u.lane IS NOT NULL
        ORDER BY u.lane, u.place
    LOOP
        LOOP
            PERFORM FROM queue.jobs j WHERE j.lane = following.lane AND j.state <> 'held' FOR NO KEY UPDATE;
            IF FOUND THEN
                INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
                VALUES (coalesce(following.run_at, now()), following.priority, following.attempts, 'held', following.kind,
                        following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
                ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
                RETURNING id INTO new_id;
                EXIT;
            END IF;
            -- The head ended between the two looks: try for its place.
            INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, lane, unique_key, traceparent, payload)
            VALUES (coalesce(following.run_at, now()), following.priority, following.attempts,
                    (CASE WHEN following.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state, following.kind,
                    following.pool, following.lane, following.unique_key, following.traceparent, following.payload)
            ON CONFLICT DO NOTHING
            RETURNING id INTO new_id;
            EXIT WHEN new_id IS NOT NULL;
            EXIT WHEN EXISTS (SELECT FROM queue.jobs j WHERE j.unique_key = following.unique_key);
        END LOOP;
        ids[following.place] := new_id;
    END LOOP;
    RETURN ids;
END $$;

-- Makes the next job of each lane its head. Called in the transaction that took the old head away.
-- Returns the pools that got work.
CREATE FUNCTION queue.advance(lanes TEXT[]) RETURNS TEXT[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    pools TEXT[];
BEGIN
    WITH next_ids AS MATERIALIZED (
        SELECT (SELECT h.id FROM queue.jobs h WHERE h.lane = l.lane AND h.state = 'held'
                ORDER BY h.priority DESC, h.id LIMIT 1) AS id
        FROM (SELECT DISTINCT unnest(lanes) AS lane) AS l
    ), moved AS (
        UPDATE queue.jobs j
        SET state = (CASE WHEN j.run_at > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state
        FROM next_ids WHERE j.id = next_ids.id AND j.state = 'held'
        RETURNING j.pool
    )
    SELECT array_agg(DISTINCT moved.pool) INTO pools FROM moved;
    RETURN coalesce(pools, '{}');
END $$;

-- Claims up to `slots` due jobs of a pool for a worker, highest priority and lowest id first.
-- The worker's row is share-locked meanwhile: whoever takes a lost worker's jobs back waits for this claim and sees it.
-- A job whose kind is paused is parked instead, once, so that the next claim does not read it again.
CREATE FUNCTION queue.claim(for_worker BIGINT, from_pool TEXT, slots INTEGER)
RETURNS SETOF queue.jobs LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    picked BIGINT[];
    paused TEXT[];
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    picked := ARRAY(
        SELECT j.id FROM queue.jobs j
        WHERE j.pool = from_pool AND j.state = 'waiting' AND j.suspicion = 0
        ORDER BY j.priority DESC, j.id LIMIT slots
        FOR UPDATE SKIP LOCKED);
    IF cardinality(picked) = 0 THEN
        RETURN;
    END IF;
    paused := ARRAY(SELECT p.name FROM queue.pauses p WHERE p.scope = 'kind');
    IF cardinality(paused) > 0 THEN
        UPDATE queue.jobs SET state = 'parked' WHERE id = ANY (picked) AND kind = ANY (paused);
        picked := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.id = ANY (picked) AND j.state = 'waiting');
    END IF;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = fence.number, claimed_at = clock_timestamp()
        FROM (SELECT nextval('queue.claim_ids') AS number) AS fence
        WHERE j.id = ANY (picked)
        RETURNING j.*;
END $$;

-- Claims one suspect: a job whose process died. `probing` is committed before its handler starts, so that a
-- second death is held against it and not against its neighbours. `worst` is the highest suspicion that may
-- start now: 1 while another suspect runs in this process, else 2.
CREATE FUNCTION queue.claim_suspect(for_worker BIGINT, from_pool TEXT, worst SMALLINT)
RETURNS SETOF queue.jobs LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    picked BIGINT;
BEGIN
    PERFORM FROM queue.workers w WHERE w.id = for_worker AND w.lease_until > now() FOR KEY SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'pool' AND p.name = from_pool) THEN
        RETURN;
    END IF;
    SELECT j.id INTO picked FROM queue.jobs j
    WHERE j.pool = from_pool AND j.state = 'waiting' AND j.suspicion BETWEEN 1 AND worst
      AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = j.kind)
    ORDER BY j.suspicion, j.id LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
        UPDATE queue.jobs j
        SET state = 'running', worker_id = for_worker, claim = nextval('queue.claim_ids'), claimed_at = clock_timestamp(), probing = TRUE
        WHERE j.id = picked
        RETURNING j.*;
END $$;

-- Ends jobs that succeeded, fenced by their claims. Returns the ids that were ended, and the pools whose lanes moved on.
-- With `patient` a row that somebody else has locked is waited for; without, it is left out and the caller comes back to it,
-- so that one enqueuer's open transaction, which locks the head of its lane, cannot hold up a whole batch.
CREATE FUNCTION queue.finish(job_ids BIGINT[], claims BIGINT[], patient BOOLEAN, OUT ended BIGINT[], OUT woken_pools TEXT[])
LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    lanes TEXT[];
BEGIN
    IF NOT patient THEN
        SELECT array_agg(free.id), array_agg(free.claim) INTO job_ids, claims FROM (
            SELECT j.id, j.claim
            FROM unnest(job_ids, claims) AS mine (id, claim) JOIN queue.jobs j ON j.id = mine.id AND j.claim = mine.claim
            FOR UPDATE OF j SKIP LOCKED) AS free;
    END IF;
    WITH gone AS (
        DELETE FROM queue.jobs j USING unnest(job_ids, claims) AS mine (id, claim)
        WHERE j.id = mine.id AND j.claim = mine.claim
        RETURNING j.*
    ), kept AS (
        INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, payload)
        SELECT g.id, g.created_at, g.claimed_at, g.worker_id, g.claim, g.attempt + 1, g.crashes, FALSE, g.kind, g.pool, g.lane, g.unique_key, g.traceparent, g.payload
        FROM gone g
        RETURNING id, lane
    )
    SELECT array_agg(kept.id), array_agg(kept.lane) FILTER (WHERE kept.lane IS NOT NULL) INTO ended, lanes FROM kept;
    ended := coalesce(ended, '{}');
    woken_pools := CASE WHEN lanes IS NULL THEN '{}'::TEXT[] ELSE queue.advance(lanes) END;
END $$;

-- Enqueues the follow-up of a job that died or was cancelled, if its kind has one.
CREATE FUNCTION queue.follow_up(ended queue.jobs, ended_as TEXT, reason TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, traceparent, payload)
    SELECT 25, 'waiting', k.on_end_kind, k.on_end_pool, ended.traceparent,
           jsonb_build_object('jobId', ended.id, 'kind', ended.kind, 'state', ended_as, 'reason', reason, 'payload', ended.payload)
    FROM queue.kinds k WHERE k.kind = ended.kind AND k.on_end_kind IS NOT NULL;
END $$;

-- Moves a job that gave up to the dead ones, with its follow-up, and lets its lane go on. The caller holds the row's lock.
CREATE FUNCTION queue.bury(job_id BIGINT, reason TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
BEGIN
    DELETE FROM queue.jobs j WHERE j.id = job_id RETURNING j.* INTO job;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (job.id, job.created_at, job.attempt, job.max_attempts, job.crashes, job.priority, job.kind, job.pool, job.lane, job.unique_key,
            job.traceparent, reason, job.payload);
    PERFORM queue.follow_up(job, 'dead', reason);
    IF job.lane IS NOT NULL THEN
        PERFORM queue.advance(ARRAY[job.lane]);
    END IF;
END $$;

-- Ends a claim that did not simply succeed, fenced by its number. The verdict is one of
--   failed      counts an attempt; waits `delay_secs`, or dies when the attempts are used up
--   aborted     counts an attempt and dies
--   snoozed     counts nothing; waits `delay_secs`, or no time if a wake came meanwhile
--   handed_back counts nothing; due at once
--   cancelled   ends without an attempt
-- Returns what became of the job (scheduled, waiting, dead, cancelled), or NULL when the claim no longer holds.
CREATE FUNCTION queue.settle(job_id BIGINT, fence BIGINT, verdict TEXT, delay_secs DOUBLE PRECISION, error TEXT) RETURNS TEXT
LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    counted INTEGER := CASE WHEN verdict IN ('failed', 'aborted') THEN 1 ELSE 0 END;
    due TIMESTAMPTZ;
    dies BOOLEAN;
BEGIN
    SELECT * INTO job FROM queue.jobs j WHERE j.id = job_id AND j.claim = fence FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    dies := verdict = 'aborted' OR (verdict = 'failed' AND job.attempt + 1 >= job.max_attempts);
    INSERT INTO queue.attempts (job_id, attempt, outcome, worker_id, started_at, ended_at, error)
    VALUES (job.id, job.attempt + 1, CASE WHEN dies THEN 'dead' WHEN verdict = 'failed' THEN 'failed' ELSE verdict END,
            job.worker_id, job.claimed_at, clock_timestamp(), error);
    IF verdict = 'cancelled' THEN
        PERFORM queue.end_cancelled(job.id, error);
        RETURN 'cancelled';
    END IF;
    due := clock_timestamp() + make_interval(secs => CASE
        WHEN verdict = 'handed_back' OR (verdict = 'snoozed' AND job.woken) THEN 0
        ELSE coalesce(delay_secs, 0) END);
    UPDATE queue.jobs j
    SET state = (CASE WHEN due > clock_timestamp() THEN 'scheduled' ELSE 'waiting' END)::queue.state,
        run_at = due, attempt = j.attempt + counted, snoozes = j.snoozes + (verdict = 'snoozed')::INTEGER,
        worker_id = NULL, claim = NULL, claimed_at = NULL, probing = FALSE, woken = FALSE,
        suspicion = CASE WHEN verdict = 'handed_back' THEN j.suspicion ELSE 0 END
    WHERE j.id = job.id
    RETURNING j.state::TEXT INTO verdict;
    IF dies THEN
        PERFORM queue.bury(job.id, coalesce(error, 'gave up'));
        RETURN 'dead';
    END IF;
    RETURN verdict;
END $$;

-- Ends a live job as cancelled: its row goes to the history, its follow-up is enqueued, its lane goes on. The caller holds the row's lock.
CREATE FUNCTION queue.end_cancelled(job_id BIGINT, why TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
BEGIN
    DELETE FROM queue.jobs j WHERE j.id = job_id RETURNING j.* INTO job;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (job.id, job.created_at, job.claimed_at, job.worker_id, job.claim, job.attempt, job.crashes, TRUE, job.kind, job.pool, job.lane,
            job.unique_key, job.traceparent, why, job.payload);
    PERFORM queue.follow_up(job, 'cancelled', why);
    IF job.lane IS NOT NULL AND job.state <> 'held' THEN
        PERFORM queue.advance(ARRAY[job.lane]);
    END IF;
END $$;

-- Hands back everything a worker still holds and forgets the worker; costs no attempt. For a stop.
CREATE FUNCTION queue.leave(leaving BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    returned INTEGER := 0;
BEGIN
    FOR job IN SELECT * FROM queue.jobs j WHERE j.worker_id = leaving AND j.state = 'running' LOOP
        IF queue.settle(job.id, job.claim, 'handed_back', 0, 'the worker stopped') IS NOT NULL THEN
            returned := returned + 1;
        END IF;
    END LOOP;
    DELETE FROM queue.workers WHERE id = leaving;
    RETURN returned;
END $$;

-- Takes back the jobs of workers whose lease is over. A row that is locked just now (a completion under way) is left for the
-- next call; a worker is forgotten only when nothing of it is left, so no job is stranded.
-- Who was running alone as a suspect killed its process: that crash counts, and `crash_limit` of them end the job. Where several
-- suspects ran, none is blamed and each will be tried alone.
CREATE FUNCTION queue.rescue(crash_limit INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    lost BIGINT[];
    job RECORD;
    taken INTEGER := 0;
BEGIN
    lost := ARRAY(SELECT w.id FROM queue.workers w WHERE w.lease_until < now() FOR UPDATE SKIP LOCKED);
    IF cardinality(lost) = 0 THEN
        RETURN 0;
    END IF;
    FOR job IN
        WITH suspects AS MATERIALIZED (
            SELECT j.worker_id, count(*) FILTER (WHERE j.probing) AS number
            FROM queue.jobs j WHERE j.worker_id = ANY (lost) AND j.state = 'running' GROUP BY j.worker_id
        ), free AS MATERIALIZED (
            SELECT j.id, j.worker_id AS lost_worker, j.claimed_at AS began, (j.probing AND s.number = 1) AS blamed
            FROM queue.jobs j JOIN suspects s ON s.worker_id = j.worker_id
            WHERE j.worker_id = ANY (lost) AND j.state = 'running'
            FOR UPDATE OF j SKIP LOCKED
        )
        UPDATE queue.jobs j
        SET state = 'waiting', worker_id = NULL, claim = NULL, claimed_at = NULL, probing = FALSE, woken = FALSE,
            suspicion = CASE WHEN j.probing THEN 2 ELSE greatest(j.suspicion, 1) END,
            crashes = j.crashes + free.blamed::INTEGER
        FROM free WHERE j.id = free.id
        RETURNING j.id, j.attempt, j.crashes, free.blamed, free.lost_worker, free.began
    LOOP
        taken := taken + 1;
        INSERT INTO queue.attempts (job_id, attempt, outcome, worker_id, started_at, error)
        VALUES (job.id, job.attempt + 1, 'crashed', job.lost_worker, job.began,
                CASE WHEN job.blamed THEN 'the process died while this job alone was under suspicion' ELSE 'the worker was lost' END);
        IF job.blamed AND job.crashes >= crash_limit THEN
            PERFORM queue.bury(job.id, format('its process died %s times while it ran', job.crashes));
        END IF;
    END LOOP;
    DELETE FROM queue.workers w
    WHERE w.id = ANY (lost) AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.worker_id = w.id AND j.state = 'running');
    RETURN taken;
END $$;

-- The one statement a process polls with, for all its pools: makes due jobs claimable, unparks what is no longer paused, takes back
-- the jobs of lost workers, and says which pools have work, which have suspects, which running jobs of this worker shall stop,
-- whether other workers live, and in how many milliseconds the next job or lease falls due (NULL: none is known).
CREATE FUNCTION queue.tick(
    for_worker BIGINT, pools TEXT[], crash_limit INTEGER,
    OUT ready TEXT[], OUT suspects TEXT[], OUT cancels BIGINT[], OUT rescued INTEGER, OUT others BOOLEAN,
    OUT next_ms DOUBLE PRECISION
) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
        SELECT j.id FROM queue.jobs j WHERE j.state = 'scheduled' AND j.run_at <= now() ORDER BY j.run_at LIMIT 2000
        FOR UPDATE SKIP LOCKED));
    IF EXISTS (SELECT FROM queue.jobs j WHERE j.state = 'parked') THEN
        UPDATE queue.jobs SET state = 'waiting' WHERE id = ANY (ARRAY(
            SELECT j.id FROM queue.jobs j
            WHERE j.state = 'parked' AND NOT EXISTS (SELECT FROM queue.pauses p WHERE p.scope = 'kind' AND p.name = j.kind)
            LIMIT 2000 FOR UPDATE SKIP LOCKED));
    END IF;
    rescued := queue.rescue(crash_limit);
    ready := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE EXISTS (SELECT FROM queue.jobs j WHERE j.pool = p.name AND j.state = 'waiting' AND j.suspicion = 0));
    suspects := ARRAY(SELECT p.name FROM unnest(pools) AS p (name)
        WHERE EXISTS (SELECT FROM queue.jobs j WHERE j.pool = p.name AND j.state = 'waiting' AND j.suspicion > 0));
    cancels := ARRAY(SELECT j.id FROM queue.jobs j WHERE j.worker_id = for_worker AND j.state = 'running' AND j.cancel_asked);
    others := EXISTS (SELECT FROM queue.workers w WHERE w.id <> for_worker AND w.lease_until > now());
    next_ms := extract(epoch FROM least(
        (SELECT min(j.run_at) FROM queue.jobs j WHERE j.state = 'scheduled'),
        (SELECT min(w.lease_until) FROM queue.workers w WHERE w.id <> for_worker)) - clock_timestamp()) * 1000;
END $$;

-- Makes the live job with this key due now. While it runs, its next snooze is cut short instead. Returns its pool, NULL if there is none.
CREATE FUNCTION queue.wake(key TEXT) RETURNS TEXT LANGUAGE sql AS $$
    UPDATE queue.jobs
    SET run_at = least(run_at, now()),
        woken = (state = 'running'),
        state = (CASE WHEN state = 'scheduled' THEN 'waiting' ELSE state::TEXT END)::queue.state
    WHERE unique_key = key
    RETURNING pool;
$$;
