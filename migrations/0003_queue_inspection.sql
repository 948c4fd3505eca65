-- What administrators see of the queue, and what they may do to it.

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

-- Every action of an administrator.
CREATE TABLE queue.audit (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        TIMESTAMPTZ NOT NULL DEFAULT now(),
    actor     TEXT NOT NULL,      -- who: a user of the command line, or the administrator's interface
    action    TEXT NOT NULL,      -- retry, cancel, pause, resume
    target    TEXT NOT NULL,      -- the job, or the scope and name, in words
    outcome   TEXT NOT NULL       -- what came of it
);

-- Brings a dead job back under its own number, with all its attempts before it; in its lane it is the next after the one at the head.
-- Returns what came of it: retried, or why not.
CREATE FUNCTION queue.retry_dead(dead_id BIGINT) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    job queue.dead;
    new_id BIGINT;
BEGIN
    SELECT * INTO job FROM queue.dead d WHERE d.id = dead_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'not dead';
    END IF;
    new_id := (queue.enqueue(ARRAY[job.kind], ARRAY[job.pool], ARRAY[job.payload], ARRAY[job.priority], ARRAY[NULL::TIMESTAMPTZ], ARRAY[job.lane],
                             ARRAY[job.unique_key], ARRAY[job.max_attempts], ARRAY[job.traceparent]))[1];
    IF new_id IS NULL THEN
        RETURN 'a live job has its unique key';
    END IF;
    UPDATE queue.jobs SET id = dead_id, created_at = job.created_at, crashes = 0, suspicion = (job.crashes > 0)::INTEGER WHERE id = new_id;
    DELETE FROM queue.dead WHERE id = dead_id;
    RETURN 'retried';
END $$;

-- Cancels a job: one that waits ends at once, one that runs is asked to stop, one that is dead is put away. Returns what came of it.
CREATE FUNCTION queue.cancel(job_id BIGINT, why TEXT) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    job queue.jobs;
    gone queue.dead;
BEGIN
    SELECT * INTO job FROM queue.jobs j WHERE j.id = job_id FOR UPDATE;
    IF FOUND AND job.state = 'running' THEN
        UPDATE queue.jobs SET cancel_asked = TRUE WHERE id = job_id;
        RETURN 'asked to stop';
    ELSIF FOUND THEN
        PERFORM queue.end_cancelled(job_id, why);
        RETURN 'cancelled';
    END IF;
    DELETE FROM queue.dead d WHERE d.id = job_id RETURNING d.* INTO gone;
    IF NOT FOUND THEN
        RETURN 'not live';
    END IF;
    -- Its follow-up ran when it died.
    INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, reason, payload)
    VALUES (gone.id, gone.created_at, gone.attempt, gone.crashes, TRUE, gone.kind, gone.pool, gone.lane, gone.unique_key, gone.traceparent,
            why || ' after: ' || gone.reason, gone.payload);
    RETURN 'put away';
END $$;

-- The upkeep of the history, once in a while by any process: partitions ahead, partitions and attempts older than `days` gone. The attempts
-- of live and dead jobs stay. Returns how many partitions went.
CREATE FUNCTION queue.prune(days INTEGER) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    partition RECORD;
    dropped INTEGER := 0;
    horizon DATE := (now() AT TIME ZONE 'UTC')::DATE - days;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('queue.prune')) THEN
        RETURN 0;
    END IF;
    PERFORM queue.prepare_history(3);
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'queue.finished'::regclass AND c.relname ~ '^finished_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < horizon
    LOOP
        EXECUTE format('DROP TABLE queue.%I', partition.relname);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM queue.finished_default WHERE finished_at < horizon;
    DELETE FROM queue.attempts WHERE ctid = ANY (ARRAY(
        SELECT a.ctid FROM queue.attempts a
        WHERE a.ended_at < horizon AND NOT EXISTS (SELECT FROM queue.jobs j WHERE j.id = a.job_id)
          AND NOT EXISTS (SELECT FROM queue.dead d WHERE d.id = a.job_id)
        ORDER BY a.ended_at LIMIT 100000));
    RETURN dropped;
END $$;
