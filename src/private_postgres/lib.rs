//! A private PostgreSQL cluster for when no database is given: development and tests.
//!
//! It runs the server that is installed on the machine, or one that it fetches once, listens on a Unix socket only, and is shared by any number of
//! processes. It stops when the last of them is gone, however that one ended (`kill -9` included), and comes back with its
//! data at the next run.
//!
//! Nothing supervises the server. If it is killed under the processes that use it, they see lost connections and a log line
//! tells the process that had started it; the next [`cluster::PrivatePostgres::start`], in any process, brings it back at the
//! same address.

/// Starting, joining and sharing the cluster.
pub mod cluster;
/// What can go wrong, with remedies.
pub mod error;
/// A server for a machine that has none.
pub mod fetched_server;
/// What the databases of tests are made of.
#[cfg(feature = "test-database")]
pub mod schema;
/// A server of its own for a test that stops or kills it.
#[cfg(feature = "test-database")]
pub mod scratch_cluster;
/// Which server binaries are used.
pub mod server_binaries;
/// A fresh, migrated database for each test.
#[cfg(feature = "test-database")]
pub mod test_database;

mod cluster_folders;
mod launch;
mod lease;
mod postmaster;
mod process;
mod server_user;
#[cfg(feature = "test-database")]
mod test_server;
