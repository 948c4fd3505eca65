//! What every job needs: connections, the ways out, and the settings that decide.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use agent::allowed_hosts::AllowedHosts;
use alert_webhook::AlertWebhook;
use queue::Queue;
use queue::connections::Connections;
use queue::transaction::Transaction;
use store::secret_keys::SecretKeys;

use crate::conversation::unsaved_replies::UnsavedReplies;
use crate::inbound::limits::Limits;
use crate::inbound::moderation::Moderation;
use crate::plans::Plans;

/// Shared by all handlers; clones are the same thing.
#[derive(Clone)]
pub struct App(Arc<Parts>, UnsavedReplies);

/// What an [`App`] is made of.
pub struct Parts {
    /// The handlers' own connections: slow handlers cost neither webhooks nor leases.
    pub pg: Connections,
    /// Where follow-up work goes.
    pub queue: Queue,
    /// What tells our conversations from other deployments' at a gateway.
    pub deployment: String,
    /// The way out to WhatsApp.
    pub twilio: twilio::client::Client,
    /// The way out to the agent.
    pub agent: agent::Agent,
    /// What users' own gateways are asked through.
    pub gateways: agent::client::Gateways,
    /// What the operator decided.
    pub settings: Arc<Settings>,
}

/// The operator's decisions that jobs follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sender, `whatsapp:+E164`.
    pub whatsapp_number: String,
    /// Where Twilio reports what became of a message; the chunk is added as a query. `None`: nowhere that Twilio could reach.
    pub status_callback_url: Option<String>,
    /// A person who still types is waited for: this long after the last message …
    pub debounce: Duration,
    /// … but no longer than this after the first.
    pub debounce_cap: Duration,
    /// One run of the agent.
    pub agent_timeout: Duration,
    /// How far files that people send are fetched.
    pub media: Media,
    /// People see that their message is read and being answered.
    pub typing_indicator: bool,
    /// Runs of the agent for one turn before the apology.
    pub agent_attempts: i32,
    /// A reply that could not be sent is dropped this long after the message it answers.
    pub reply_expires: Duration,
    /// How a send is kept from happening twice.
    pub sending: Sending,
    /// The sender's messages in a second; a fifth of them is kept for replies.
    pub sender_per_sec: f64,
    /// One person gets so many messages at once …
    pub recipient_burst: u32,
    /// … and then one in this time.
    pub recipient_every: Duration,
    /// How often a sender that Twilio refuses is tried again.
    pub probe_every: Duration,
    /// The same, when its daily cap is reached.
    pub daily_cap_probe_every: Duration,
    /// A message is left to its webhook for this long before it is fetched.
    pub backfill_settle: Duration,
    /// Free text is only sent within 24 hours of the person's last message, as WhatsApp has it.
    pub enforce_window: bool,
    /// What was accepted and then failed for good is given back to the allowance.
    pub credit_failed: bool,
    /// Who is told of alerts.
    pub alert_webhook: Option<AlertWebhook>,
    /// Whether the channel is open at all.
    pub whatsapp_enabled: bool,
    /// What users may do.
    pub plans: Plans,
    /// How fast they may write.
    pub limits: Limits,
    /// Where their own agents may be.
    pub agent_hosts: AllowedHosts,
    /// What they may say to the agent.
    pub moderation: Moderation,
    /// What keys the hashes of tokens and numbers.
    pub secret_keys: SecretKeys,
}

/// How far files that people send are fetched.
#[derive(Clone, Debug)]
pub struct Media {
    /// No file may be larger.
    pub size_bytes: usize,
    /// For all the files of a turn.
    pub timeout: Duration,
}

/// The times that keep a send from happening twice.
#[derive(Clone, Debug)]
pub struct Sending {
    /// A request starts this long after `sending` was committed, or not at all.
    pub start_within: Duration,
    /// From that commit until the request is given up.
    pub deadline: Duration,
    /// After the deadline Twilio may still take the request in; its list proves nothing before this has passed as well.
    pub in_doubt_grace: Duration,
    /// Between the two lists that together prove a miss.
    pub second_look: Duration,
    /// After that a send in doubt is left for a person.
    pub give_up: Duration,
    /// Twilio is asked for the final state of an accepted message at these ages, and then no more.
    pub status_look_ups: Vec<Duration>,
    /// The next chunk waits for the callback of the one before it, but no longer than this.
    pub callback_wait: Duration,
}

impl Sending {
    /// From an attempt until Twilio's list says anything about it.
    pub(crate) fn until_looked_up(&self) -> Duration {
        self.deadline + self.in_doubt_grace
    }
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts), UnsavedReplies::default())
    }

    /// What the agent has said and the database has not yet.
    pub fn unsaved_replies(&self) -> &UnsavedReplies {
        &self.1
    }

    /// Begins a transaction on the handlers' connections.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.queue.begin(&self.pg).await
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
