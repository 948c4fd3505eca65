//! What has changed, for whoever follows.

use std::collections::BTreeSet;

use crate::exchanges::Exchange;
use crate::faults::Faults;
use crate::message::SandboxMessage;

/// What has changed since a version.
pub(crate) struct Changes {
    /// The version that this leads to.
    pub(crate) version: u64,
    /// Everything before was forgotten.
    pub(crate) is_reset: bool,
    /// With each message's place among all.
    pub(crate) messages: Vec<(usize, SandboxMessage)>,
    pub(crate) exchanges: Vec<Exchange>,
    /// If faults or readers have changed.
    pub(crate) controls: Option<(Faults, BTreeSet<String>)>,
}
