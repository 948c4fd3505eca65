//! Serves HTTP/1.1 to whoever connects, within limits. A client that is slow with a head, a body or an answer, that is silent, or that comes with
//! thousands of connections costs a bounded amount of time, memory and files, and never the service of the others.

/// The body of a request and the body of an answer, watched.
mod bodies;
/// One connection from its first byte to its last.
pub(crate) mod connection;
/// How many files the process may open.
pub(crate) mod files;
/// The accept loop.
pub(crate) mod listener;
/// The places that an address has for connections.
mod places;
/// What a connection is doing, and since when.
mod progress;
/// The stream of a connection, watched.
mod watched_stream;

use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// A stop in two steps: clients are told, and then nobody is served any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// From here on each answer is the last one of its connection, so that clients turn to other processes by themselves.
    pub(crate) announced: CancellationToken,
    /// From here on no connection is taken; a request that has begun is still answered.
    pub(crate) begun: CancellationToken,
}

/// What `[server]` says of a client's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ClientLimits {
    /// From the first byte of a request, or from the connection if it is the first, until its head is complete.
    #[serde(with = "humantime_serde")]
    pub(crate) head_timeout: Duration,
    /// From there until its body is complete.
    #[serde(with = "humantime_serde")]
    pub(crate) body_timeout: Duration,
    /// Until another request begins, and until a client that stopped reading reads on.
    #[serde(with = "humantime_serde")]
    pub(crate) idle_timeout: Duration,
    /// A larger head is answered 431.
    pub(crate) head_limit_bytes: usize,
}

/// How much of a connection one address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// How slow and how large a client's requests may be.
    pub(crate) client: ClientLimits,
    /// This much of a body is gathered before its handler sees it; the handler's own limit may be lower.
    pub(crate) body_bytes: usize,
    /// What has come of all bodies together; beyond it, the body that we have waited for longest is given up.
    pub(crate) all_bodies_bytes: usize,
    /// Connections at a time.
    pub(crate) connections: usize,
}
