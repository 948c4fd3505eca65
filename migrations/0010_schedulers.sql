-- Which process has which version of the schedules' files, for people: a machine that a configuration has not reached yet is seen here.
CREATE TABLE channel_schedulers (
    process  TEXT PRIMARY KEY,                             -- host and process id
    set_hash TEXT NOT NULL,                                -- of everything it has loaded: two processes with one hash do the same
    hashes   JSONB NOT NULL,                               -- of each schedule by name
    seen_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() -- it lives: written about twice a minute
);
