//! What the sandbox is told at the start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How the sandbox runs.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only account it knows.
    pub account_sid: String,
    /// Its token: authenticates requests and signs webhooks.
    pub auth_token: SecretString,
    /// A key of the account that authenticates requests, too: its id, `SK…`, and its secret.
    pub api_key: Option<(String, SecretString)>,
    /// Its only sender, `whatsapp:+E164`.
    pub whatsapp_number: String,
    /// Where webhooks of inbound messages go; a fragment like `#rc=3&rp=all` sets the retries.
    pub webhook_url: String,
    /// Everything is kept in this file, so that a killed process finds its messages again.
    pub journal: Option<PathBuf>,
    /// Between two statuses of a message.
    pub status_delay: Duration,
    /// Makes faults repeatable.
    pub seed: u64,
}
