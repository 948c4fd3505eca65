//! A private PostgreSQL cluster for when no database is given: development and tests.
//!
//! It runs the server that is installed on the machine, listens on a Unix socket only, and is shared by any number of processes. It
//! stops when the last of them is gone, however that one ended (`kill -9` included), and starts again with its data at the next run.
//! If the server itself is killed, the processes that use it see a lost connection; the next [`cluster::PrivatePostgres::start`]
//! brings it back.

/// Starting, joining and keeping the cluster.
pub mod cluster;
/// What can go wrong, with remedies.
pub mod error;
/// Which server binaries are used.
pub mod server_binaries;
/// A fresh, migrated database for each test.
#[cfg(feature = "test-database")]
pub mod test_database;

mod lease;
mod server_user;
