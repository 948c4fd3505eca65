//! Clusters on this machine's server, used and killed by real processes. Run as root, everything is run once more as an
//! ordinary user.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do; a child process answers on its standard output"
)]

mod places;
mod recovery;
mod scratch_clusters;
mod sharing;
mod support;
mod test_databases;
mod users;
