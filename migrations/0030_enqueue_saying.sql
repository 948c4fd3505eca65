-- A worker that is told of a job starts it sooner when what it does first goes on while the job is on its way to the disk.

-- Enqueues a plain job for now, and tells who listens. Two commits: the first makes the job visible and wakes, and waits for no disk; the second
-- waits until both are on it. So the caller knows of nothing that a crash of the server could take back, and a handler starts for no such job
-- either: the claim's commit comes behind the first one in the log, and waits for the disk. An error in between leaves open whether there is
-- a job, as an answer that is lost does.
CREATE PROCEDURE queue.enqueue_saying(
    INOUT id BIGINT, the_priority SMALLINT, attempts SMALLINT, the_kind TEXT, the_pool TEXT, the_traceparent TEXT, the_payload JSONB,
    channel TEXT, said TEXT
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO queue.jobs (priority, max_attempts, state, kind, pool, traceparent, payload)
    VALUES (the_priority, attempts, 'waiting', the_kind, the_pool, the_traceparent, the_payload) RETURNING id INTO id;
    PERFORM pg_notify(channel, said), set_config('synchronous_commit', 'off', TRUE);
    COMMIT;
    -- A commit that has nothing to log waits for nothing.
    PERFORM pg_logical_emit_message(TRUE, 'queue', '');
END $$;
