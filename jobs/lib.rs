//! What is done: one file per job kind.
