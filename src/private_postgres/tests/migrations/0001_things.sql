-- What the tests of test databases write into.
CREATE TABLE things (name TEXT PRIMARY KEY);
