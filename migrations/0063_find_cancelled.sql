-- Jobs that were cancelled are a few among all that ended: an administrator's list of them read the whole history.
CREATE INDEX finished_cancelled ON queue.finished (id) WHERE cancelled;
