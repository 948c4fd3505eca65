-- Some jobs are what others rely on: the probe that ends a pause, a follow-up that closes what died. A cancel of "everything in this pool" means the
-- work that waits there, and not those.
ALTER TABLE queue.kinds ADD COLUMN kept BOOLEAN NOT NULL DEFAULT FALSE; -- a cancel by pool, state or time leaves it alone; one by kind or number does not
