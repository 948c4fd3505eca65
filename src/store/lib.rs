//! What is remembered: all SQL over the channel's own tables.
