//! A Twilio that runs on this machine: a real HTTP server that behaves like Twilio's REST API towards a client and like Twilio's webhooks
//! towards a service. A newcomer talks through it, and tests prove on its list of messages what went out, also with faults on.
//!
//! It reads requests and signs webhooks with code of its own, so it is an independent check of whoever talks to it. Behaviour and shapes
//! follow Twilio's documentation of the Messages resource and of webhooks, as of 2026.

/// Faults on request.
pub mod faults;
/// A message as Twilio keeps it.
pub mod message;
/// What it is told at the start.
pub mod settings;

mod api_error;
mod cdn;
mod changes;
mod clock;
mod configuration;
mod control;
mod create;
mod exchanges;
mod inbound;
mod journal;
mod list;
mod media;
mod page;
mod recording;
mod resource;
mod same_origin;
mod schedule;
mod server;
mod shelf;
mod signing;
mod state;
mod status;
mod typing;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::faults::Faults;
use crate::message::SandboxMessage;
use crate::settings::{SandboxOptions, SandboxSettings};
use crate::state::SandboxState;

/// Why it cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Anybody who reaches it can make it write to people's service; so it is for this machine alone.
    #[error("the sandbox listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The port is taken, say.
    #[error("the sandbox cannot listen on {address}; another one may be running, or set [sandbox] listen")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// The journal cannot be read or written.
    #[error("the sandbox cannot use its journal {path}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No HTTP client can be made on this machine.
    #[error("the sandbox cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A running sandbox. Dropping it lets it run; see [`Sandbox::stop`].
pub struct Sandbox {
    state: Arc<SandboxState>,
    serving: tokio::task::JoinHandle<()>,
}

impl Sandbox {
    /// Reads the journal, listens, and resumes what was under way.
    pub async fn start(settings: SandboxSettings) -> Result<Self, SandboxError> {
        let wanted = settings.options.listen;
        if !wanted.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(wanted));
        }
        let listener = tokio::net::TcpListener::bind(wanted)
            .await
            .map_err(|source| SandboxError::Listen { address: wanted, source })?;
        let address =
            listener.local_addr().map_err(|source| SandboxError::Listen { address: wanted, source })?;
        // From here on, where it really listens: the port may have been any.
        let options = SandboxOptions { listen: address, ..settings.options };
        let state = Arc::new(SandboxState::open(SandboxSettings { options, ..settings })?);
        status::resume(&state);
        let serving = tokio::spawn(server::serve(listener, state.clone()));
        Ok(Self { state, serving })
    }

    /// Where it listens, `http://127.0.0.1:…`: what a client takes for Twilio's address.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.state.base_url()
    }

    /// Where webhooks of inbound messages go from now on.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        self.state.set_webhook_url(url.into());
    }

    /// A person writes. Returns the HTTP status of the webhook's answer.
    ///
    /// # Errors
    /// In words, why the message could not be kept or its webhook was not answered.
    pub async fn write(&self, from: &str, body: &str) -> Result<u16, String> {
        let given = [("From".to_owned(), from.to_owned()), ("Body".to_owned(), body.to_owned())];
        let written = inbound::write(&self.state, &given).await.map_err(|error| error.to_string())?;
        let answered = written.webhook.unwrap_or_else(|| Err("it was not delivered".to_owned()))?;
        Ok(answered.status.as_u16())
    }

    /// A person has a file to send. Returns the URL that goes into the `MediaUrl0` of a message; the last 32 files are kept.
    #[must_use]
    pub fn add_media(&self, content_type: &str, bytes: Vec<u8>) -> String {
        self.state.add_media(content_type, None, bytes)
    }

    /// Everything that was said, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<SandboxMessage> {
        self.state.messages()
    }

    /// What went out to this person, in order.
    #[must_use]
    pub fn sent_to(&self, address: &str) -> Vec<SandboxMessage> {
        self.messages().into_iter().filter(|message| !message.is_inbound() && message.to == address).collect()
    }

    /// Misbehaves like this from now on. A probability outside 0 to 1 counts as the nearer of the two.
    pub fn set_faults(&self, faults: Faults) {
        self.state.set_faults(faults);
    }

    /// Waits until this is true of the messages. False: it was not within `patience`.
    pub async fn wait_until(&self, patience: Duration, is_so: impl Fn(&[SandboxMessage]) -> bool) -> bool {
        let mut changes = self.state.changes();
        let wait = async {
            while !is_so(&self.messages()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }

    /// Stops listening and forgets what is under way: a sandbox that starts on the same journal goes on with it.
    pub async fn stop(self) {
        self.state.stop.cancel();
        let _ = self.serving.await;
    }
}
