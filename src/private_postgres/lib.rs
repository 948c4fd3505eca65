//! A database when none is given: a private PostgreSQL cluster.
