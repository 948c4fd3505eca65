//! What every job needs: connections, the ways out, and the settings that decide.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use agent::allowed_hosts::AllowedHosts;
use alert_webhook::AlertWebhook;
use queue::Queue;
use queue::connections::Connections;
use queue::transaction::Transaction;
use serde::Deserialize;
use store::secret_keys::SecretKeys;

use crate::conversation::unsaved_replies::UnsavedReplies;
use crate::durations;
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
    pub twilio: twilio::client::TwilioClient,
    /// The way out to the agent.
    pub agent: agent::Agent,
    /// What users' own gateways are asked through.
    pub gateways: agent::client::Gateways,
    /// What the operator decided.
    pub settings: Arc<Settings>,
}

/// The operator's decisions that jobs follow. A section of `config.toml` is read straight into the type that stands here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sender, `whatsapp:+E164`.
    pub whatsapp_number: String,
    /// Where Twilio reports what became of a message; the chunk is added as a query. `None`: nowhere that Twilio could reach.
    pub status_callback_url: Option<String>,
    /// `[agent]`
    pub agent: AgentRuns,
    /// `[media]`
    pub media: FileLimits,
    /// `[whatsapp]`
    pub whatsapp: Whatsapp,
    /// `[deliveries]`
    pub deliveries: Deliveries,
    /// What `[twilio]` says of sending.
    pub sending: Sending,
    /// `[backfill]`
    pub backfill: Backfill,
    /// `[metering]`
    pub metering: Metering,
    /// Who is told of alerts.
    pub alert_webhook: Option<AlertWebhook>,
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

/// How turns are run.
#[derive(Clone, Debug, Deserialize)]
pub struct AgentRuns {
    /// A person who still types is waited for: this long after the last message …
    #[serde(with = "humantime_serde")]
    pub debounce: Duration,
    /// … but no longer than this after the first.
    #[serde(with = "humantime_serde")]
    pub debounce_cap: Duration,
    /// One run of the agent.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Runs for one turn before the apology.
    pub attempts: u16,
}

/// How far files that people send are fetched.
#[derive(Clone, Debug, Deserialize)]
pub struct FileLimits {
    /// No file may be larger.
    pub size_limit_bytes: usize,
    /// For all the files of a turn.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What the channel does.
#[derive(Clone, Debug, Deserialize)]
pub struct Whatsapp {
    /// Free text is only sent within 24 hours of the person's last message, as WhatsApp has it.
    pub enforce_window: bool,
    /// People see that their message is read and being answered.
    pub typing_indicator: bool,
    /// Whether the channel is open at all.
    pub enabled: bool,
}

/// How long what is said stays worth sending.
#[derive(Clone, Debug, Deserialize)]
pub struct Deliveries {
    /// A reply that could not be sent is dropped this long after the message it answers.
    #[serde(with = "humantime_serde")]
    pub reply_expires: Duration,
    /// The same for a notification that names no time of its own, counted from its request.
    #[serde(with = "humantime_serde")]
    pub notification_expires: Duration,
    /// The next chunk waits for the callback of the one before it, but no longer than this.
    #[serde(with = "humantime_serde")]
    pub callback_wait: Duration,
}

/// How fast is sent, and the times that keep a send from happening twice.
#[derive(Clone, Debug, Deserialize)]
pub struct Sending {
    /// A request starts this long after `sending` was committed, or not at all.
    #[serde(with = "humantime_serde")]
    pub send_start_within: Duration,
    /// From that commit until the request is given up.
    #[serde(with = "humantime_serde")]
    pub send_deadline: Duration,
    /// After the deadline Twilio may still take the request in; its list proves nothing before this has passed as well.
    #[serde(with = "humantime_serde")]
    pub in_doubt_grace: Duration,
    /// Between the two lists that together prove a miss.
    #[serde(with = "humantime_serde")]
    pub in_doubt_second_look: Duration,
    /// After that a send in doubt is left for a person.
    #[serde(with = "humantime_serde")]
    pub in_doubt_give_up: Duration,
    /// Twilio is asked for the final state of an accepted message at these ages, and then no more.
    #[serde(deserialize_with = "durations::list")]
    pub status_look_ups: Vec<Duration>,
    /// The sender's messages in a second; a fifth of them is kept for replies.
    pub sender_per_sec: u32,
    /// One person gets so many messages at once …
    pub recipient_burst: u32,
    /// … and then one in this time.
    #[serde(with = "humantime_serde")]
    pub recipient_every: Duration,
    /// How often a sender that Twilio refuses is tried again.
    #[serde(with = "humantime_serde")]
    pub probe_every: Duration,
    /// The same, when its daily cap is reached.
    #[serde(with = "humantime_serde")]
    pub daily_cap_probe_every: Duration,
}

impl Sending {
    /// From an attempt until Twilio's list says anything about it.
    pub(crate) fn until_looked_up(&self) -> Duration {
        self.send_deadline + self.in_doubt_grace
    }

    /// The whole sender's messages in a second.
    #[must_use]
    pub fn per_sec(&self) -> f64 {
        f64::from(self.sender_per_sec)
    }
}

/// Which messages are fetched whose webhook never came.
#[derive(Clone, Debug, Deserialize)]
pub struct Backfill {
    /// A message is left to its webhook for this long before it is fetched.
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// Between two looks at Twilio's list.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

/// How the allowance is counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Metering {
    /// What was accepted and then failed for good is given back to the allowance.
    pub credit_failed: bool,
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
