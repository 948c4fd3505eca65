//! The keys of `config.toml`, as they are written there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent::moderation::ModeratorSettings;
use agent::target::Target;
use channel::alerts::settings::AlertSettings;
use channel::app::{AgentRuns, Backfill, Costs, Deliveries, FileLimits, Metering, Sending, Whatsapp};
use channel::compliance::Compliance;
use channel::conversation::memory::MemoryLimits;
use channel::conversation::takeovers::Takeovers;
use channel::inbound::human::Human;
use channel::inbound::limits::RateLimits;
use channel::plans::Plan;
use channel::pools;
use channel::retention::Retention;
use sandbox::settings::SandboxOptions;
use secrecy::SecretString;
use serde::Deserialize;

use crate::serving::ClientLimits;

/// The keys of `config.toml`; each is described there.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Keys {
    pub server: ServerKeys,
    pub(super) dashboard: DashboardKeys,
    pub database: DatabaseKeys,
    pub(crate) twilio: TwilioKeys,
    pub sandbox: SandboxOptions,
    pub(super) openclaw: OpenClawKeys,
    pub whatsapp: Whatsapp,
    pub(super) plans: PlanKeys,
    pub(crate) limits: RateLimits,
    pub(super) moderation: ModerationKeys,
    pub agent: AgentRuns,
    pub media: FileLimits,
    pub deliveries: Deliveries,
    pub schedules: Schedules,
    pub human: Human,
    /// Conversations in which a person answers instead of the agent.
    pub takeovers: Takeovers,
    pub compliance: Compliance,
    pub costs: Costs,
    pub retention: Retention,
    pub metering: Metering,
    pub backfill: Backfill,
    pub(crate) alerts: AlertsKeys,
    pub(super) callbacks: CallbackKeys,
    pub queue: queue::settings::QueueSettings,
    pub pools: Pools,
    pub log: LogKeys,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct ServerKeys {
    pub(super) roles: Vec<String>,
    pub listen: SocketAddr,
    #[serde(deserialize_with = "address_or_none")]
    pub dashboard_listen: Option<SocketAddr>,
    #[serde(deserialize_with = "address_or_none")]
    pub private_listen: Option<SocketAddr>,
    pub(crate) origins: Vec<String>,
    pub connections: usize,
    pub dashboard_connections: usize,
    pub private_connections: usize,
    #[serde(flatten)]
    pub(crate) client: ClientLimits,
    pub body_limit_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub webhook_timeout: Duration,
    pub(super) api_token: SecretString,
    pub(super) admin_token: SecretString,
    pub(super) secret_key: SecretString,
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct DashboardKeys {
    pub(super) url: String,
    pub(super) embed_in: Vec<String>,
}

/// An address, or an empty text for none.
fn address_or_none<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(given)?;
    let wrong = |_| serde::de::Error::custom(format!("{text:?} is no address like 127.0.0.1:8082"));
    Some(text.as_str()).filter(|text| !text.is_empty()).map(|text| text.parse().map_err(wrong)).transpose()
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct DatabaseKeys {
    pub url: SecretString,
    pub direct_url: SecretString,
    pub data_directory: PathBuf,
    pub receiver_connections: u32,
    pub worker_connections: u32,
    pub queue_connections: u32,
    pub api_connections: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TwilioKeys {
    pub(super) account_sid: String,
    pub(super) auth_token: SecretString,
    pub(super) api_key: String,
    pub(super) api_secret: SecretString,
    pub(super) webhook_keys: SecretString,
    pub(super) whatsapp_number: String,
    pub(super) api_base_url: String,
    pub(super) webhook_public_url: String,
    pub(super) webhook_skip_signature_validation: bool,
    #[serde(with = "humantime_serde")]
    pub(super) connect_timeout: Duration,
    #[serde(flatten)]
    pub(crate) sending: Sending,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct OpenClawKeys {
    pub(super) base_url: String,
    pub(super) token: SecretString,
    #[serde(flatten)]
    pub(super) target: Target,
    pub(super) memory: String,
    #[serde(flatten)]
    pub(super) memory_limits: MemoryLimits,
    pub(super) allowed_hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PlanKeys {
    pub(super) default: String,
    #[serde(flatten)]
    pub(super) plans: BTreeMap<String, Plan>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ModerationKeys {
    pub(super) mode: String,
    pub(super) rules: Vec<String>,
    #[serde(flatten)]
    pub(super) moderator: ModeratorSettings,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Schedules {
    pub directory: PathBuf,
    pub zoneinfo: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AlertsKeys {
    pub(super) webhook_url: SecretString,
    pub(super) webhook_secret: SecretString,
    #[serde(flatten)]
    pub(crate) settings: AlertSettings,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CallbackKeys {
    pub(super) url: SecretString,
    pub(super) secret: SecretString,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Pools {
    pub inbound: Pool,
    pub conversation: Pool,
    pub prompts: Pool,
    pub replies: Pool,
    pub proactive: Pool,
    pub upkeep: Pool,
    pub callbacks: Pool,
}

impl Pools {
    /// Every pool with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Pool); 7] {
        [
            (pools::INBOUND, &self.inbound),
            (pools::CONVERSATION, &self.conversation),
            (pools::PROMPTS, &self.prompts),
            (pools::REPLIES, &self.replies),
            (pools::PROACTIVE, &self.proactive),
            (pools::UPKEEP, &self.upkeep),
            (pools::CALLBACKS, &self.callbacks),
        ]
    }
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Pool {
    pub concurrency: usize,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct LogKeys {
    pub format: String,
    pub filter: String,
    #[serde(with = "humantime_serde")]
    pub repeat: Duration,
}
