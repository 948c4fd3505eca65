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

/// How much of a connection one address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From the first byte of a request, or from the connection if it is the first, until its head is complete.
    pub(crate) head: Duration,
    /// From there until its body is complete.
    pub(crate) body: Duration,
    /// Until another request begins, and until a client that stopped reading reads on.
    pub(crate) silence: Duration,
    /// A larger head is answered 431.
    pub(crate) head_bytes: usize,
    /// This much of a body is gathered before its handler sees it; the handler's own limit may be lower.
    pub(crate) body_bytes: usize,
    /// What has come of all bodies together; beyond it, the body that we have waited for longest is given up.
    pub(crate) all_bodies_bytes: usize,
    /// Connections at a time.
    pub(crate) connections: usize,
}
