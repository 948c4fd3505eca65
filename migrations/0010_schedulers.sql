-- Which process has which version of the schedules' files, for people: a machine that a configuration has not reached yet is seen here.
CREATE TABLE channel_schedulers (
    process  TEXT PRIMARY KEY,                             -- host and process id
    set_hash TEXT NOT NULL,                                -- of everything it has loaded: two processes with one hash do the same
    hashes   JSONB NOT NULL,                               -- of each schedule by name
    seen_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- it lives: written about twice a minute
);

-- A turn that a schedule asked for: while it runs, the person's own messages wait for it as for any other turn.
ALTER TABLE channel_turns ADD COLUMN slot_id BIGINT REFERENCES channel_slots (id); -- NULL: somebody wrote

-- A slot whose prompts are quicker than its audience is long must not end before its last user is asked.
ALTER TABLE channel_slots ADD COLUMN audience_done_at TIMESTAMPTZ; -- when the last user of the audience was dealt with or given to the agent
