//! The durable job queue on apalis and Postgres.
