//! What every job needs: connections, the ways out, and the settings that decide.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::allowed_hosts::AllowedHosts;
use chrono::{DateTime, Utc};
use outgoing_webhook::OutgoingWebhook;
use queue::Queue;
use queue::connections::Connections;
use queue::transaction::Transaction;
use serde::Deserialize;
use store::secret_keys::SecretKeys;
use whatsapp_text::text::Format;

use crate::alerts::settings::AlertSettings;
use crate::compliance::Compliance;
use crate::conversation::memory::MemorySettings;
use crate::conversation::takeovers::Takeovers;
use crate::conversation::unsaved_replies::UnsavedReplies;
use crate::durations;
use crate::inbound::human::Human;
use crate::inbound::limits::RateLimits;
use crate::inbound::moderation::Moderation;
use crate::plans::Plans;
use crate::retention::Retention;

/// Shared by all handlers; clones are the same thing.
#[derive(Clone)]
pub struct App(Arc<Parts>, UnsavedReplies, Arc<AtomicBool>);

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
    /// What `[openclaw]` says of memory.
    pub memory: MemorySettings,
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
    /// `[human]`
    pub human: Human,
    /// `[takeovers]`
    pub takeovers: Takeovers,
    /// `[compliance]`
    pub compliance: Compliance,
    /// `[costs]`
    pub costs: Costs,
    /// `[retention]`
    pub retention: Retention,
    /// `[metering]`
    pub metering: Metering,
    /// What is worth an alert.
    pub alerts: AlertSettings,
    /// Who is told of alerts.
    pub alert_webhook: Option<OutgoingWebhook>,
    /// Who is told what becomes of deliveries: the product.
    pub callback_webhook: Option<OutgoingWebhook>,
    /// What users may do.
    pub plans: Plans,
    /// How fast they may write.
    pub limits: RateLimits,
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
    /// The agent is asked when the person has written nothing for this long …
    #[serde(with = "humantime_serde")]
    pub debounce: Duration,
    /// … or this long after the person's first unanswered message.
    #[serde(with = "humantime_serde")]
    pub debounce_cap: Duration,
    /// The time limit of one run of the agent.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Runs for one turn. When all have failed, the person gets an apology.
    pub attempts: u16,
    /// The time for a turn, from its beginning; then the person gets an apology.
    #[serde(with = "humantime_serde")]
    pub turn_budget: Duration,
    /// After this time the person is told that it takes longer.
    #[serde(with = "humantime_serde")]
    pub tell_after: Duration,
    /// Whose signs its answers have.
    pub format: Format,
}

/// How far files that people send are fetched.
#[derive(Clone, Debug, Deserialize)]
pub struct FileLimits {
    /// Larger files are not fetched.
    pub size_limit_bytes: usize,
    /// The time to fetch all files of a turn.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What the channel does.
#[derive(Clone, Debug, Deserialize)]
pub struct Whatsapp {
    /// Free text is sent only within 24 hours of the person's last message, which is WhatsApp's rule.
    pub enforce_window: bool,
    /// How many people a conversation may be opened to within 24 hours; 0: any number.
    pub people_per_day: u32,
    /// While a turn runs, people see that their message was read and that the assistant is typing.
    pub typing_indicator: bool,
    /// Whether the channel is open at all.
    pub enabled: bool,
    /// The words REVOKE and OPTOUT are STOP, too.
    pub revoke_and_optout: bool,
}

/// When deliveries expire, and how long a chunk waits for the one before it.
#[derive(Clone, Debug, Deserialize)]
pub struct Deliveries {
    /// A reply that could not be sent is dropped this long after the message that it answers.
    #[serde(with = "humantime_serde")]
    pub reply_expires: Duration,
    /// A notification without an expiry of its own is dropped this long after its request.
    #[serde(with = "humantime_serde")]
    pub notification_expires: Duration,
    /// A chunk is sent when the callback of the chunk before it has come, or after this time.
    #[serde(with = "humantime_serde")]
    pub callback_wait: Duration,
}

/// The pace of sending, and the times that keep a chunk from being sent twice.
#[derive(Clone, Debug, Deserialize)]
pub struct Sending {
    /// A request must start within this time after `sending` was committed.
    #[serde(with = "humantime_serde")]
    pub send_start_within: Duration,
    /// The request is aborted this long after that commit.
    #[serde(with = "humantime_serde")]
    pub send_deadline: Duration,
    /// Twilio may accept a request late. Its list proves nothing until this long after the deadline.
    #[serde(with = "humantime_serde")]
    pub in_doubt_grace: Duration,
    /// The time between the two lists that together prove a miss.
    #[serde(with = "humantime_serde")]
    pub in_doubt_second_look: Duration,
    /// A send that is still in doubt after this time is left to an administrator.
    #[serde(with = "humantime_serde")]
    pub in_doubt_give_up: Duration,
    /// The ages at which an accepted message without a final state is looked up.
    #[serde(deserialize_with = "durations::list")]
    pub status_look_ups: Vec<Duration>,
    /// Messages of the sender in a second. A fifth of them is reserved for replies.
    pub sender_per_sec: u32,
    /// Messages to one person in a burst …
    pub recipient_burst: u32,
    /// … and the time between two messages after it.
    #[serde(with = "humantime_serde")]
    pub recipient_every: Duration,
    /// The interval at which one chunk is tried while Twilio refuses the account or the sender.
    #[serde(with = "humantime_serde")]
    pub probe_every: Duration,
    /// The same while the sender's daily cap is reached.
    #[serde(with = "humantime_serde")]
    pub daily_cap_probe_every: Duration,
}

impl Sending {
    /// When an attempt that began at this moment ends as unknown, if it is still in doubt.
    pub(crate) fn doubt_ends(&self, attempt_started_at: DateTime<Utc>) -> DateTime<Utc> {
        attempt_started_at + self.in_doubt_give_up
    }

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
    /// Messages that are younger than this are not fetched, since their webhook may still come.
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The interval at which Twilio's list is searched.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

/// What messages may cost.
#[derive(Clone, Debug, Deserialize)]
pub struct Costs {
    /// Replies and notices of a month beyond which an alert tells; 0: none does.
    pub monthly_cap: u32,
}

/// How the allowance is counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Metering {
    /// A message that Twilio accepted and that then failed for good is given back to the allowance.
    pub credit_failed: bool,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts), UnsavedReplies::default(), Arc::default())
    }

    /// What the agent has said and the database has not yet.
    pub fn unsaved_replies(&self) -> &UnsavedReplies {
        &self.1
    }

    /// Whether no round of the upkeep has begun in this process before. True once.
    #[must_use]
    pub fn is_first_round(&self) -> bool {
        !self.2.swap(true, Ordering::SeqCst)
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
