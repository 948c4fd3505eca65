//! What the sandbox is told at the start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// What an operator decides about the sandbox, as the section `[sandbox]` has it.
#[derive(Clone, Debug, Deserialize)]
pub struct SandboxOptions {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Between two statuses of a message.
    #[serde(with = "humantime_serde")]
    pub status_delay: Duration,
}

/// How the sandbox runs.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// What the operator decided.
    pub options: SandboxOptions,
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
    /// Makes faults repeatable.
    pub seed: u64,
}
